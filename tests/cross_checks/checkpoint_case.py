"""A checkpoint that a real package wrote, and what is in it. `checkpoint_files.py` has them all."""

import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One file or folder.

    `weights` is what torch (or safetensors) reads there, under the names of the model's own state dict. Where
    `refused` is given, Stockpot does not read it, and says this (a part of its message).
    """

    name: str
    path: pathlib.Path
    weights: Weights
    refused: str = ""
    notes: tuple[str, ...] = ()  # a part of each must be said
    key: str = ""  # state_dict_key
    base: pathlib.Path | None = None  # of an adapter
    tolerance: float = 0.0  # of an adapter: merging adds a product of matrices


# Writes some cases below a folder of its own.
Writer = Callable[[pathlib.Path], Iterator[Case]]


def weights_of(module: torch.nn.Module, leave_out: tuple[str, ...] = ()) -> Weights:
    state = module.state_dict()
    return {name: tensor.detach().clone() for name, tensor in state.items() if name not in leave_out}


def randomize(module: torch.nn.Module, seed: int) -> None:
    """Every parameter, so that none is the zeros or ones that another reading would have as well."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
