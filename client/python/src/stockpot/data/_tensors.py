"""Named tensors in a safetensors file: DataSet.Format.TENSORS."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidArgument
from ..v1 import spec_pb2


def save_tensors(
    path: str | os.PathLike[str], inputs: Mapping[str, Any], labels: Any, *, name: str = ""
) -> spec_pb2.DataSet:
    """Writes inputs [N, …] by name and labels [N] (or [N, length]): arrays, tensors or lists.

    8-bit inputs [N, channels, height, width] are images. Raises InvalidArgument for what the server would refuse.
    """
    import torch
    from safetensors.torch import save_file

    target = pathlib.Path(path)
    if target.suffix != ".safetensors":
        raise InvalidArgument(f"{target}: the name must end with .safetensors")
    if "labels" in inputs:
        raise InvalidArgument("inputs: labels are given by themselves")
    tensors = {key: torch.as_tensor(value).contiguous() for key, value in {**inputs, "labels": labels}.items()}
    if len(tensors) < 2:
        raise InvalidArgument("inputs: there is none")
    count = tensors["labels"].shape[0] if tensors["labels"].dim() else 0
    for key, tensor in tensors.items():
        if tensor.dim() == 0 or tensor.shape[0] != count or count == 0:
            raise InvalidArgument(f"{key}: expected [{count}, …] as labels, and at least one; got {list(tensor.shape)}")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise InvalidArgument(f"{key} holds numbers that are not finite")
    # float64 is what lists and NumPy make of numbers; models take float32.
    tensors = {key: tensor.float() if tensor.dtype == torch.float64 else tensor for key, tensor in tensors.items()}
    if not tensors["labels"].is_floating_point():
        tensors["labels"] = tensors["labels"].long()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(target.name + ".part")
    try:
        save_file(tensors, scratch)
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
    return spec_pb2.DataSet(uri=str(target.absolute()), name=name)
