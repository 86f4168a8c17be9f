"""Holds an architecture file against the model it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ._families import pick
from ._refusals import ExportRefused

_BATCHES = (2, 1, 5)
# What depends on values may be right by chance: where the tracer doubts, many single examples are tried besides.
_DOUBTED_BATCHES = (1,) * 12


def random_inputs(
    examples: Mapping[str, Tensor], batch: int, generator: torch.Generator, longer: int = 0
) -> dict[str, Tensor]:
    """Of the examples' kinds: masks of ones, then zeros; integers in their range; floats spread as they are, up to fourfold."""
    return {name: _random(example, batch, generator, longer) for name, example in examples.items()}


def _random(example: Tensor, batch: int, generator: torch.Generator, longer: int) -> Tensor:
    shape = [batch, *example.shape[1:]]
    if longer and len(shape) == 2 and not example.is_floating_point():
        shape[1] += longer
    if example.is_floating_point():
        spread = example.std().item() if example.numel() > 1 else 1.0
        spread = (spread or 1.0) * (1 + 3 * torch.rand((), generator=generator).item())
        return example.mean().item() + spread * torch.randn(shape, generator=generator).to(example.dtype)
    low, high = int(example.min()), int(example.max())
    if low >= 0 and high <= 1 and len(shape) == 2:
        lengths = torch.randint(1, shape[1] + 1, (batch, 1), generator=generator)
        return (torch.arange(shape[1])[None] < lengths).to(example.dtype)
    return torch.randint(low, high + 1, shape, generator=generator).to(example.dtype)


class Comparison:
    """`run(model, **inputs)` against exported(*inputs), with the weights that `put` gives it. Raises ExportRefused beyond
    `tolerance`."""

    def __init__(
        self,
        model: nn.Module,
        run: Callable[..., Tensor],
        exported: Callable[..., Any],
        put: Callable[[Mapping[str, Tensor]], None],
        examples: Mapping[str, Tensor],
        tolerance: float,
        seed: int,
    ):
        self._model, self._run, self._exported, self._put, self._examples = model, run, exported, put, examples
        self._tolerance = tolerance
        self._random = torch.Generator().manual_seed(seed)
        self.max_difference = 0.0
        self.output_shape: tuple[int, ...] = ()

    def check(self, doubted: bool) -> None:
        for batch in _BATCHES + (_DOUBTED_BATCHES if doubted else ()):
            self._compare(random_inputs(self._examples, batch, self._random), f"a batch of {batch}")
        self._change_weights()
        self._compare(random_inputs(self._examples, 3, self._random), "other weights put in by name")

    def any_length(self) -> bool:
        """Whether integer inputs [N, length] may be longer than the examples."""
        try:
            self._compare(random_inputs(self._examples, 2, self._random, longer=3), "longer inputs")
        except ExportRefused:
            return False
        return True

    def _compare(self, inputs: dict[str, Tensor], what: str) -> None:
        try:
            expected = self._run(self._model, **{name: value.clone() for name, value in inputs.items()})
        except RuntimeError as error:
            raise ExportRefused(f"the model itself fails with {what}: {str(error).strip().splitlines()[-1]}") from error
        try:
            found = pick(self._exported(*[value.clone() for value in inputs.values()]))
        except RuntimeError as error:
            raise ExportRefused(f"the file fails with {what}: {str(error).strip().splitlines()[-1]}") from error
        batch = next(iter(inputs.values())).shape[0]
        if not 1 <= expected.dim() <= 3 or expected.shape[0] != batch or not expected.is_floating_point():
            raise ExportRefused(
                f"the output is {expected.dtype} {list(expected.shape)}; expected [{batch}], [{batch}, classes] or "
                f"[{batch}, length, vocabulary]: `output` chooses another"
            )
        if not expected.isfinite().all():
            raise ExportRefused(f"the model itself gives numbers that are not finite, with {what}")
        if found.shape != expected.shape:
            raise ExportRefused(
                f"the file gives {list(found.shape)} instead of {list(expected.shape)} with {what}"
            )
        difference = (found - expected).abs().max().item()
        scale = max(1.0, expected.abs().max().item())
        if not difference <= self._tolerance * scale:
            raise ExportRefused(
                f"the file differs from the model by {difference:.3g} with {what}: it depends on the values or "
                "shapes that it was made with"
            )
        self.max_difference = max(self.max_difference, difference)
        self.output_shape = tuple(expected.shape[1:])

    def _change_weights(self) -> None:
        """Other weights, put into the file by name as the server does."""
        for parameter in self._model.parameters():
            noise = torch.rand(parameter.shape, generator=self._random).to(parameter.device)
            parameter.mul_(1 + 0.1 * noise).add_(0.01 * noise)
        state = self._model.state_dict()
        for name, buffer in self._model.named_buffers():
            if name in state and buffer.is_floating_point():  # checkpoints have no others
                buffer.mul_(1 + 0.1 * torch.rand(buffer.shape, generator=self._random).to(buffer.device))
        self._put(state)
