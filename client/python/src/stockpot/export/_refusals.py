"""Models whose export would not work, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ..errors import InvalidArgument


class ExportRefused(InvalidArgument):
    """The model cannot become an architecture; the message says why and what to do."""


# Parts of the names of modules' classes (with the package's) whose weights are packed.
_QUANTISED = (
    "quantized",
    "bitsandbytes",
    "linear4bit",
    "linear8bit",
    "wqlinear",
    "quantlinear",
    "fp8linear",
    "torchao",
)


def unwrap(model: nn.Module) -> nn.Module:
    """The module inside the wrappers of torch.compile and data parallelism. Raises ExportRefused for other wrappers."""
    if not isinstance(model, nn.Module):
        raise ExportRefused(f"expected a torch.nn.Module; got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise ExportRefused("the model is TorchScript already: model.save(path) makes the architecture")
    name = type(model).__name__
    if name == "OptimizedModule":
        return unwrap(model._orig_mod)
    if name in ("DataParallel", "DistributedDataParallel"):
        return unwrap(model.module)
    if "FullyShardedDataParallel" in name or name.startswith("FSDP"):
        raise ExportRefused("the weights are sharded over processes (FSDP): export the model before it is wrapped")
    if any(cls.__name__ == "PeftModel" for cls in type(model).__mro__):
        raise ExportRefused(
            "the model has an adapter of peft: export its base model, and give adapters as ingredients with base"
        )
    return model


def check_weights(model: nn.Module) -> None:
    """Raises ExportRefused when weights cannot be averaged or put in by name."""
    if getattr(model, "is_quantized", False) or getattr(model, "hf_quantizer", None) is not None:
        raise ExportRefused(
            "the model is quantised: the mean of such weights is not the mean of the models. Load it in float32"
        )
    for name, module in model.named_modules():
        kind = f"{type(module).__module__}.{type(module).__name__}".lower()
        if any(part in kind for part in _QUANTISED):
            raise ExportRefused(
                f"{name or 'the model'} is quantised ({type(module).__name__}): load the model in float32"
            )
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise ExportRefused(f"{name or 'the model'} has extra state, which TorchScript does not keep")
    for name, tensor in _tensors(model):
        if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
            raise ExportRefused(f"{name} has no shape yet: run the model once before")
        if tensor.device.type == "meta":
            raise ExportRefused(
                f"{name} has no values (device meta): load the weights, or model.to_empty(device='cpu')"
            )
        if tensor.is_quantized:
            raise ExportRefused(f"{name} is quantised: load the model in float32")
        if tensor.layout != torch.strided:
            raise ExportRefused(f"{name} is sparse: weights are averaged dense")
        if tensor.is_complex():
            raise ExportRefused(f"{name} is complex: checkpoints hold real numbers")
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point():
            raise ExportRefused(
                f"parameter {name} holds {parameter.dtype}, which cannot be averaged: is the model quantised?"
            )


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def check_names(model: nn.Module, exported: torch.jit.ScriptModule) -> None:
    """Raises ExportRefused unless checkpoints of the model fit the file."""
    wanted, found = set(model.state_dict()), set(exported.state_dict())
    missing = sorted(wanted - found)
    if missing:
        raise ExportRefused(f"tensors do not survive in TorchScript under their names: {_few(missing)}")
    extra = sorted({name for name, _ in exported.named_parameters()} - wanted)
    if extra:
        raise ExportRefused(f"TorchScript has parameters that the model's checkpoints have not: {_few(extra)}")


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
