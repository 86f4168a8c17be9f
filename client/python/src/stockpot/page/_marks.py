"""How kinds of models look, the same in every figure: by colour and by shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._reading import name_of

INGREDIENT = "ingredient"
IN_SOUP = "ingredient in the soup"
# By the first part of a blend's kind.
CROSS = "M-0.9,-0.9L0.9,0.9M0.9,-0.9L-0.9,0.9"  # a path, for Vega's own cross is a plus that looks like a diamond
_LOOKS = {
    "best_single": ("@gold", "square"),
    "uniform": ("@orange", "triangle-up"),
    "greedy": ("@green", "diamond"),
    "learned": ("@sky", "triangle-right"),
    "learned_per_tensor": ("@accent", "triangle-left"),
    "logit_ensemble": ("@purple", CROSS),
    "greedy_logit_ensemble": ("@purple", "triangle-down"),
}


def look_of(kind: str) -> tuple[str, str]:
    """Colour and shape of a blend."""
    base = kind.partition("+")[0].rstrip("0123456789").rstrip("_")
    return _LOOKS.get(base, ("@ink", "stroke"))


def model_channels(kinds: Sequence[str], field: str = "what") -> dict[str, Any]:
    """Encoding channels that show what a model is: an ingredient, one in the soup, or a blend by its kind's name."""
    names = [INGREDIENT, IN_SOUP, *(name_of(kind) for kind in kinds)]
    looks = [look_of(kind) for kind in kinds]
    colours = ["@grey", "@accent", *(colour for colour, _ in looks)]
    # A recipe that stands there twice, or with WiSE-FT after it, is drawn hollow the second time.
    seen: set[tuple[str, str]] = set()
    fills = ["@hollow", "@accent"]
    for look in looks:
        fills.append("@hollow" if look in seen else look[0])
        seen.add(look)

    def channel(values: list[str]) -> dict[str, Any]:
        return {"field": field, "type": "nominal", "title": None, "scale": {"domain": names, "range": values}}

    shapes = ["circle", "circle", *(shape for _, shape in looks)]
    return {"stroke": channel(colours), "fill": channel(fills), "shape": channel(shapes)}


def axis_of_scores(title: str, format: str) -> dict[str, Any]:
    """A position channel's settings: scores seldom begin at zero, and the axis says so by its labels."""
    return {
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "nice": True, "padding": 10},
        "axis": {"format": format, "tickCount": 6},
    }


def tip(field: str, title: str) -> dict[str, Any]:
    """A line of a tooltip; the field has it in words."""
    return {"field": field, "type": "nominal", "title": title}
