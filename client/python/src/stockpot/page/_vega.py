"""Vega-Lite by vl-convert: its script for the page, and figures as files. Nothing here reads from a network."""

from __future__ import annotations

import copy
import functools
import json
from importlib import resources
from typing import Any, Literal

from ..errors import FailedPrecondition
from ._parts import Figure

Scheme = Literal["light", "dark"]
_STATIC_WIDTH = 720


@functools.cache
def theme() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files(__package__).joinpath("theme.json").read_text(encoding="utf-8"))
    return found


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise FailedPrecondition("the page's figures need vl-convert: pip install 'stockpot[report]'") from error
    return vl_convert


@functools.cache
def script() -> str:
    """vega, vega-lite and vega-embed as one script that defines vegaEmbed."""
    bundle: str = _converter().javascript_bundle()
    return bundle


def versions() -> str:
    converter = _converter()
    return f"Vega {converter.get_vega_version()}, Vega-Lite {converter.get_vegalite_versions()[-1]}"


def image(figure: Figure, format: Literal["svg", "png"], scheme: Scheme = "light", scale: float = 2) -> bytes:
    spec = _painted(figure.spec, theme()["palettes"][scheme])
    spec["config"] = _painted(theme()["config"], theme()["palettes"][scheme])
    spec["config"]["legend"]["columns"] = 3
    spec |= {
        "width": _STATIC_WIDTH,
        "datasets": figure.data,
        "title": {"text": figure.title, "anchor": "start", "color": spec["config"]["text"]["color"]},
    }
    converter = _converter()
    if format == "svg":
        text: str = converter.vegalite_to_svg(spec, allowed_base_urls=[])
        return text.encode()
    pixels: bytes = converter.vegalite_to_png(spec, scale=scale, allowed_base_urls=[])
    return pixels


def _painted(value: Any, palette: dict[str, str]) -> Any:
    """The same with "@name" replaced by the palette's colour."""
    if isinstance(value, dict):
        return {key: _painted(each, palette) for key, each in value.items()}
    if isinstance(value, list):
        return [_painted(each, palette) for each in value]
    if isinstance(value, str) and value.startswith("@"):
        return palette.get(value[1:], value)
    return copy.copy(value)
