"""The first examples of a data set as pictures, which notebooks show."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import overload

from .v1 import soup_service_pb2 as service


class Picture:
    """An example as the model would see it, before its values are scaled and normalised."""

    def __init__(self, png: bytes, label: str):
        self.png = png
        """A PNG, grey or RGB."""
        self.label = label
        """The name of its class, or its number; "" where labels are no classes."""

    def __repr__(self) -> str:
        return f"Picture(label={self.label!r}, {len(self.png)} bytes of PNG)"

    def _repr_png_(self) -> bytes:
        return self.png


class Pictures(Sequence[Picture]):
    """Pictures in the order of the examples: a grid of them at the end of a notebook's cell."""

    def __init__(self, pictures: Iterable[Picture]):
        self._pictures = tuple(pictures)

    @classmethod
    def of(cls, description: service.DataSetDescription) -> Pictures:
        return cls(Picture(picture.png, picture.label) for picture in description.pictures)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures: ...
    def __getitem__(self, index: int | slice) -> Picture | Pictures:
        if isinstance(index, slice):
            return Pictures(self._pictures[index])
        return self._pictures[index]

    def __len__(self) -> int:
        return len(self._pictures)

    def __repr__(self) -> str:
        return f"Pictures({', '.join(picture.label for picture in self._pictures)})"

    def _repr_html_(self) -> str:
        return f'<div style="display:flex;flex-wrap:wrap;gap:6px">{"".join(map(_figure, self._pictures))}</div>'


def _figure(picture: Picture) -> str:
    label = html.escape(picture.label)
    image = base64.b64encode(picture.png).decode()
    return (
        '<figure style="margin:0;text-align:center">'
        f'<img alt="{label}" src="data:image/png;base64,{image}" style="min-width:64px;image-rendering:pixelated">'
        f"<figcaption>{label}</figcaption></figure>"
    )
