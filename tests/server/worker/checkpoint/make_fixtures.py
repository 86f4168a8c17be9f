"""Writes the torch.save fixtures of data/ and the same weights as safetensors.

    python make_fixtures.py        (needs torch and safetensors; the tests need neither)

The files are committed: run this only to add one. Every *.pt with weights holds those of
weights.safetensors, or of dtypes.safetensors where its name begins with dtypes. cpp_pickle_save.pt is not
from here: tests/support/torch_save wrote it, with LibTorch's torch::pickle_save.
"""

import argparse
import collections
import os
import pathlib
import tarfile

import torch
from safetensors.torch import save_file

DATA = pathlib.Path(__file__).parent / "data"


def weights():
    generator = torch.Generator().manual_seed(7)
    return collections.OrderedDict(
        [
            ("conv.weight", torch.randn(4, 3, 3, 3, generator=generator)),
            ("norm.weight", torch.randn(4, generator=generator)),
            ("norm.running_mean", torch.randn(4, generator=generator)),
            ("norm.num_batches_tracked", torch.tensor(17)),
            ("fc.weight", torch.randn(5, 6, generator=generator)),
            ("fc.empty", torch.zeros(0, 3)),
        ]
    )


def dtypes():
    numbers = torch.tensor([0.0, -0.0, 1.0, -1.5, 0.3, 1e-3, 240.0])
    tensors = {
        "bfloat16": numbers.bfloat16(),
        "bool": torch.tensor([True, False, True]),
        "float16": numbers.half(),
        "float32": numbers,
        "float64": numbers.double(),
        "float8_e4m3": numbers.to(torch.float8_e4m3fn),
        "float8_e5m2": numbers.to(torch.float8_e5m2),
    }
    for name in ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        tensors[name] = torch.tensor([1, 2, 77], dtype=getattr(torch, name))
    return tensors


class Malicious:
    """Unpickled by Python, this would create a file named stockpot-was-here."""

    def __reduce__(self):
        return os.system, ("touch stockpot-was-here",)


def strided(tensors):
    """The same numbers, stored transposed, as a slice, or expanded."""
    result = {}
    for name, tensor in tensors.items():
        if tensor.dim() >= 2 and tensor.numel() > 0:
            tensor = tensor.transpose(0, 1).contiguous().transpose(0, 1)
        elif tensor.dim() == 1:
            tensor = torch.stack([tensor, tensor], dim=1)[:, 1]
        result[name] = tensor
    return result


def shared(tensors):
    """The same numbers, all floats in one storage."""
    floats = {k: v for k, v in tensors.items() if v.dtype == torch.float32}
    flat = torch.cat([v.flatten() for v in floats.values()])
    result, offset = dict(tensors), 0
    for name, tensor in floats.items():
        result[name] = flat[offset : offset + tensor.numel()].view(tensor.shape)
        offset += tensor.numel()
    return result


def with_metadata(tensors):
    state_dict = collections.OrderedDict(tensors)
    state_dict._metadata = collections.OrderedDict({"": {"version": 1}, "norm": {"version": 2}})
    return state_dict


def attribute_parameter(tensor):
    parameter = torch.nn.Parameter(tensor)
    parameter.tensor_model_parallel = True
    return parameter


class Part(torch.nn.Module):
    """Parameters and buffers of these names; a tensor and a list besides, which are no state."""

    def __init__(self, parameters, buffers):
        super().__init__()
        for name, value in parameters.items():
            setattr(self, name, torch.nn.Parameter(value))
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self.table = torch.ones(2)
        self.sizes = [1, 2]

    def forward(self, x):
        return x + self.table.sum() + len(self.sizes)


class Scripted(torch.nn.Module):
    """A module whose state dict is weights()."""

    def __init__(self):
        super().__init__()
        w = weights()
        self.conv = Part({"weight": w["conv.weight"]}, {})
        buffers = ("running_mean", "num_batches_tracked")
        self.norm = Part({"weight": w["norm.weight"]}, {name: w["norm." + name] for name in buffers})
        self.fc = Part({"weight": w["fc.weight"]}, {"empty": w["fc.empty"]})

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)))


def main():
    DATA.mkdir(exist_ok=True)
    w = weights()
    save_file({k: v for k, v in w.items()}, DATA / "weights.safetensors")
    save_file(dtypes(), DATA / "dtypes.safetensors")
    floats = {k: v for k, v in w.items() if v.is_floating_point()}
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    optimizer.step()

    def save(name, what, **options):
        torch.save(what, DATA / name, **options)

    save("plain.pt", dict(w))
    save("ordered_metadata.pt", with_metadata(w))
    save("protocol4.pt", dict(w), pickle_protocol=4)
    save("protocol5.pt", with_metadata(w), pickle_protocol=5)
    save("nested_state_dict.pt", {"epoch": 3, "state_dict": w, "best_acc": torch.tensor(93.5)})
    save("nested_model.pt", {"model": {"state_dict": w}, "name": "vit"})
    save("module_prefix.pt", {"model": {"module." + k: v for k, v in w.items()}})
    parameters = {k: torch.nn.Parameter(v) if k in floats else v for k, v in w.items()}
    save("parameters.pt", parameters | {"norm.weight": attribute_parameter(w["norm.weight"])})
    save("strided.pt", strided(w))
    save("shared_storage.pt", shared(w))
    save(
        "namespace.pt",
        {"args": argparse.Namespace(lr=0.1, tags=["a", "b"], nested=argparse.Namespace()), "model": w},
    )
    save("optimizer.pt", {"model_state_dict": w, "optimizer": optimizer.state_dict()})
    save("dtypes.pt", dtypes())
    save("malicious_beside.pt", {"model": w, "extra": Malicious()})
    save("malicious.pt", Malicious())
    save("whole_module.pt", torch.nn.Linear(2, 2))
    save("no_tensors.pt", {"epoch": 3, "loss": 0.5})
    sparse = torch.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (3,))
    save("sparse.pt", dict(w) | {"sparse": sparse})
    save("sparse_beside.pt", {"model": w, "mask": {"sparse": sparse}})
    save("quantized.pt", {"q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)})
    save("complex.pt", {"c": torch.zeros(2, dtype=torch.complex64)})
    save("legacy.pt", dict(w), _use_new_zipfile_serialization=False)
    torch.jit.script(Scripted()).save(str(DATA / "torchscript.pt"))
    torch.jit.trace(Scripted(), torch.ones(2)).save(str(DATA / "traced.pt"))
    torch.jit.freeze(torch.jit.script(Scripted().eval())).save(str(DATA / "frozen.pt"))
    lightning = {"model." + k: v for k, v in w.items()} | {"loss.weight": torch.ones(5)}
    save("lightning.pt", {"pytorch-lightning_version": "2.6.6", "epoch": 1, "state_dict": lightning})
    averaged = {"module." + k: v for k, v in w.items()} | {"n_averaged": torch.tensor(9)}
    save("averaged_model.pt", averaged)
    save("ema.pt", {"state_dict": {k: v * 0 for k, v in w.items()}, "state_dict_ema": dict(w)})
    packed = torch.ops.quantized.linear_prepack(
        torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8), torch.zeros(2)
    )
    save("packed.pt", dict(w) | {"1._packed_params": torch.ops.quantized.linear_unpack(packed)})
    with tarfile.open(DATA / "legacy.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    os.truncate(DATA / "legacy.tar", 1024)


if __name__ == "__main__":
    main()
