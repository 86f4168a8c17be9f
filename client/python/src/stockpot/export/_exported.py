"""What an export leaves."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, field

from ..v1 import spec_pb2


@dataclass(frozen=True)
class Exported:
    """An architecture file and how data becomes its arguments: give it to submit(architecture=…)."""

    path: pathlib.Path
    bindings: list[spec_pb2.InputBinding]
    image_transform: spec_pb2.ImageTransform | None  # what the model is evaluated with, where it says so
    max_difference: float  # largest absolute difference from the original's outputs that was seen
    method: str  # "trace", "script" or "compile"
    output_shape: tuple[int, ...]  # without the batch
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> spec_pb2.Model:
        return spec_pb2.Model(architecture_uri=str(self.path), inputs=self.bindings)
