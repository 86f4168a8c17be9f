"""AOTInductor packages: a model compiled to machine code for one kind of device, its weights put in from outside."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ._families import Contract
from ._refusals import ExportRefused

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Of outputs in fewer bits, which differ from the model's own in the last of those.
ROUGH_TOLERANCE = 0.1

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def autocast(device: str, precision: str) -> contextlib.AbstractContextManager[Any]:
    dtype = PRECISIONS[precision]
    return torch.autocast(device, dtype) if dtype is not None else contextlib.nullcontext()


def channels_last(value: Tensor) -> Tensor:
    """Images as a card wants them in 16 bits; anything else as it is."""
    is_image = value.dim() == 4 and value.is_floating_point()
    return value.contiguous(memory_format=torch.channels_last) if is_image else value


def compile_package(model: nn.Module, contract: Contract, path: pathlib.Path, device: str) -> None:
    """Writes the package of `model`, whose forward() takes the contract's inputs in their order. The batch may be of any
    size, all other dimensions are the examples'."""
    examples = tuple(value.to(device) for value in contract.inputs.values())
    batch = torch.export.Dim("batch", min=2, max=1 << 30)
    shapes = {name: {0: batch} for name in contract.inputs}
    program = torch.export.export(model.to(device), examples, dynamic_shapes=shapes)
    metadata = {"stockpot.tensors": _tensors(model), "stockpot.arguments": list(contract.inputs)}
    torch._inductor.aoti_compile_and_package(
        program,
        package_path=str(path),
        inductor_configs={
            "cpp.dynamic_threads": True,  # the server says how many
            "always_keep_tensor_constants": True,  # else small weights become numbers in the code
            "aot_inductor.check_lowerbound": False,  # else a batch of one is refused
            "aot_inductor.metadata": {key: json.dumps(value) for key, value in metadata.items()},
        },
    )


def _tensors(model: nn.Module) -> dict[str, dict[str, Any]]:
    """What a checkpoint of the model has: the compiler forgets what forward() does not use, and names of tied tensors."""
    table: dict[str, dict[str, Any]] = {}
    first: dict[Tensor, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        table[name] = _entry(name, parameter)
        if (tied := first.setdefault(parameter, name)) != name:
            table[name]["same_as"] = tied
    for name, buffer in model.named_buffers(remove_duplicate=False):
        table[name] = {**_entry(name, buffer), "buffer": True}
    return table


def _entry(name: str, tensor: Tensor) -> dict[str, Any]:
    if tensor.dtype not in _DTYPES:
        raise ExportRefused(f"tensor {name} is {tensor.dtype}, which cannot be souped")
    return {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape)}


class Package:
    """A package as the server has it."""

    def __init__(self, path: pathlib.Path, device: str):
        self._model = torch._inductor.aoti_load_package(str(path))
        self._device = device

    def __call__(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self._model(*[value.to(self._device) for value in inputs])
        return output.float().cpu()

    def put(self, state: Mapping[str, Tensor]) -> None:
        known = [name for name in self._model.get_constant_fqns() if name in state]
        self._model.load_constants({name: state[name].to(self._device) for name in known}, check_full_update=False)
