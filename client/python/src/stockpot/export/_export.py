"""export(): from a module to an architecture file."""

from __future__ import annotations

import copy
import functools
import inspect
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..spec import Json, message
from ..v1 import spec_pb2
from ._check import Comparison
from ._compile import PRECISIONS, ROUGH_TOLERANCE, Package, autocast, channels_last, compile_package
from ._exported import Exported
from ._families import Contract, Inputs, contract_of
from ._refusals import ExportRefused, check_names, check_weights, unwrap


def export(
    model: nn.Module,
    path: str | os.PathLike[str],
    inputs: Inputs | None = None,
    *,
    method: str = "auto",
    device: str = "cpu",
    precision: str = "float32",
    output: str | int | None = None,
    bindings: Sequence[Json | spec_pb2.InputBinding] | None = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> Exported:
    """Writes the architecture of `model`, which stays as it is, and says how it is called.

    inputs     an example batch: a tensor, tensors in forward()'s order, or {argument: tensor}. Known of timm, transformers
               and open_clip (whose image tower is exported)
    method     "trace", "script", or "auto": traced, and where that is not equal, scripted. BatchNorm statistics can be
               gathered anew (JobSpec.batch_norm) in scripted ones only. "compile": an AOTInductor package (name it .pt2),
               faster machine code for this kind of `device`, "cpu" or "cuda", in this `precision`, "float32", "bfloat16" or
               "float16" (autocast). Coefficients cannot be learned on one. The operator allows it with
               --allowed_compiled_architecture_prefix
    output     which of several outputs; default: `logits`, else the first
    bindings   InputBindings instead of those that are known or named as the arguments
    tolerance  of outputs, times the largest where that exceeds 1; default: 1e-5 in float32, 0.1 in fewer bits

    Weights are converted to float32. Raises ExportRefused.
    """
    if method not in ("auto", "trace", "script", "compile"):
        raise ExportRefused(f"method: expected auto, trace, script or compile; got {method!r}")
    if device not in ("cpu", "cuda") or precision not in PRECISIONS:
        raise ExportRefused(f"device and precision: expected cpu or cuda and {', '.join(PRECISIONS)}; got {device}, {precision}")
    if method != "compile" and (device, precision) != ("cpu", "float32"):
        raise ExportRefused("device and precision are of method='compile'; the server chooses those of TorchScript")
    original = unwrap(model)
    check_weights(original)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        working = _copy(original)
        contract = contract_of(working, inputs, output)
        contract.inputs = {name: _example(name, example) for name, example in contract.inputs.items()}
        if tolerance is None:
            tolerance = 1e-5 if precision == "float32" else ROUGH_TOLERANCE
        if method == "compile":
            return _compiled(working, contract, pathlib.Path(path), device, precision, bindings, tolerance, seed)
        return _first_that_works(working, contract, pathlib.Path(path), method, bindings, tolerance, seed)


def _copy(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    except Exception as error:
        raise ExportRefused(f"the model cannot be copied: {error}") from error


def _example(name: str, example: Tensor) -> Tensor:
    if not isinstance(example, Tensor) or example.dim() == 0 or example.numel() == 0:
        raise ExportRefused(f"inputs: {name}: expected a tensor whose first dimension is the batch")
    example = example.detach().cpu()
    example = example.float() if example.is_floating_point() else example
    # A batch of one would be traced as one that is broadcast.
    return torch.cat([example, example]) if example.shape[0] == 1 else example


def _first_that_works(
    model: nn.Module,
    contract: Contract,
    path: pathlib.Path,
    method: str,
    bindings: Sequence[Json | spec_pb2.InputBinding] | None,
    tolerance: float,
    seed: int,
) -> Exported:
    ways: dict[str, Callable[[nn.Module, Contract], torch.jit.ScriptModule]] = {"trace": _trace, "script": _script}
    ways = {name: way for name, way in ways.items() if method in ("auto", name)}
    refusals = []
    for name, way in ways.items():
        scratch = path.with_name(f"{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.jit.save(_convert(name, way, model, contract), str(scratch))
            exported = torch.jit.load(str(scratch), map_location="cpu")
            check_names(model, exported)
            put = functools.partial(_put, exported)
            comparison = Comparison(copy.deepcopy(model), contract.run, exported, put, contract.inputs, tolerance, seed)
            comparison.check(doubted=name == "trace" and bool(contract.doubts))
            os.replace(scratch, path)
        except ExportRefused as refusal:
            refusals.append(f"{name}: {refusal.message}")
        else:
            return _exported(name, path, contract, comparison, bindings)
        finally:
            scratch.unlink(missing_ok=True)
    raise ExportRefused("; ".join(refusals))


def _put(exported: torch.jit.ScriptModule, state: Mapping[str, Tensor]) -> None:
    into = exported.state_dict()
    for name, tensor in state.items():
        into[name].copy_(tensor)


def _compiled(
    model: nn.Module,
    contract: Contract,
    path: pathlib.Path,
    device: str,
    precision: str,
    bindings: Sequence[Json | spec_pb2.InputBinding] | None,
    tolerance: float,
    seed: int,
) -> Exported:
    plain = contract.run
    scratch = path.with_name(f"{path.stem}_part.pt2")  # the compiler insists on the ending

    def run(of: nn.Module, **inputs: Tensor) -> Tensor:
        if device == "cuda" and precision != "float32":
            inputs = {name: channels_last(value) for name, value in inputs.items()}
        with autocast(device, precision):
            return plain(of, **inputs).float()

    contract.run = run
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _forward_replaced(model, contract):
            _convert("compile", lambda of, by: compile_package(of, by, scratch, device), model, contract)
        package = Package(scratch, device)

        def run_here(of: nn.Module, **inputs: Tensor) -> Tensor:
            return run(of, **{name: value.to(device) for name, value in inputs.items()}).cpu()

        original = copy.deepcopy(model).to(device)
        comparison = Comparison(original, run_here, package, package.put, contract.inputs, tolerance, seed)
        comparison.check(doubted=False)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return _exported("compile", path, contract, comparison, bindings)


def _convert(name: str, way: Callable[[nn.Module, Contract], Any], model: nn.Module, contract: Contract) -> Any:
    try:
        return way(model, contract)
    except ExportRefused:
        raise
    except Exception as error:  # torch's and the model's own, of any kind
        lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
        tool = "AOTInductor" if name == "compile" else f"torch.jit.{name}"
        raise ExportRefused(f"{tool} does not take the model: {' '.join(lines)[:500]}") from error


def _trace(model: nn.Module, contract: Contract) -> torch.jit.ScriptModule:
    examples = tuple(value.clone() for value in contract.inputs.values())
    with _forward_replaced(model, contract), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", torch.jit.TracerWarning)
        traced: torch.jit.ScriptModule = torch.jit.trace(model, examples, check_trace=False)
    doubts = [str(each.message).split(".")[0] for each in told if issubclass(each.category, torch.jit.TracerWarning)]
    contract.doubts = list(dict.fromkeys(doubts))
    return traced


def _script(model: nn.Module, contract: Contract) -> torch.jit.ScriptModule:
    if not contract.plain:
        raise ExportRefused("only a forward() that gives the logits itself can be scripted")
    scripted: torch.jit.ScriptModule = torch.jit.script(model)
    return scripted


@contextmanager
def _forward_replaced(model: nn.Module, contract: Contract) -> Iterator[None]:
    """The model's forward() takes the contract's arguments and gives one tensor; tensors keep their names.

    By a class derived for the purpose: a module around the model would put a prefix before every name.
    """
    original, names = type(model), list(contract.inputs)

    def forward(self: nn.Module, *arguments: Tensor) -> Tensor:
        return contract.run(self, **dict(zip(names, arguments, strict=True)))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in ["self", *names]])
    setattr(forward, "__signature__", signature)
    model.__class__ = type(original.__name__, (original,), {"forward": forward, "__module__": original.__module__})
    try:
        yield
    finally:
        model.__class__ = original


def _exported(
    method: str,
    path: pathlib.Path,
    contract: Contract,
    comparison: Comparison,
    bindings: Sequence[Json | spec_pb2.InputBinding] | None,
) -> Exported:
    notes = list(contract.notes)
    if method == "trace":
        notes += [f"the tracer doubts what the comparisons found equal: {doubt}" for doubt in contract.doubts]
    max_difference, shape = comparison.max_difference, comparison.output_shape
    lengths = {
        value.shape[1] for value in contract.inputs.values() if value.dim() == 2 and not value.is_floating_point()
    }
    if lengths and not comparison.any_length():
        notes.append(f"data sets must have inputs of length {', '.join(map(str, sorted(lengths)))}, as the examples")
    if bindings is not None:
        contract.bindings = [message(spec_pb2.InputBinding, binding, "bindings") for binding in bindings]
    return Exported(path.absolute(), contract.bindings, contract.image_transform, max_difference, method, shape, notes)
