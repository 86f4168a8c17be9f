"""Figures of the space of weights: the plane through three models, and the angles between the ingredients' moves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from ._marks import tip
from ._pairs import error_of, error_title
from ._parts import Figure, Row, Table
from ._reading import Reading


def landscape(reading: Reading) -> Iterator[Figure]:
    """Error in the plane through three models, to scale: the grid is skew where the models' moves are."""
    found = reading.result.landscape
    errors = [(point, error) for point in found.points if (error := error_of(reading, point.score)) is not None]
    columns, lines = (sorted({getattr(point, axis) for point, _ in errors}) for axis in ("x", "y"))
    first, second = math.sqrt(max(found.second_squared, 0)), found.third_squared
    if len(columns) < 2 or len(lines) < 2 or len(found.models) != 3 or first == 0:
        return
    along = found.inner_product / first
    across = math.sqrt(max(second - along * along, 0))
    if across == 0:  # one line: there is no plane
        return

    def place(x: float, y: float) -> list[float]:
        return [x * first + y * along, y * across]

    half_x, half_y = (columns[1] - columns[0]) / 2, (lines[1] - lines[0]) / 2
    corners = [(-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1)]
    cells: list[Row] = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[place(point.x + i * half_x, point.y + j * half_y) for i, j in corners]],
            },
            **{"x": point.x, "y": point.y, "error": error, "shown": reading.show(error)},
        }
        for point, error in errors
    ]
    ends = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    models: list[Row] = [
        {"name": name, "at_x": place(*end)[0], "at_y": place(*end)[1]} for name, end in zip(found.models, ends)
    ]
    at = {"longitude": {"field": "at_x", "type": "quantitative"}, "latitude": {"field": "at_y", "type": "quantitative"}}
    halo = {"type": "text", "dy": -13, "fontWeight": 600, "fontSize": 13}
    yield Figure(
        "landscape",
        "Error in the plane through three models",
        f"Each cell is a model, first + x·(second − first) + y·(third − first), measured on {found.data_set}; distances"
        f" in the plane are to scale. The models are {', '.join(found.models)}.",
        {
            "height": 400,
            "autosize": {"type": "fit", "contains": "padding"},
            "projection": {"type": "identity", "reflectY": True},
            "layer": [
                {
                    "data": {"name": "cells"},
                    "mark": {"type": "geoshape", "stroke": "@paper", "strokeWidth": 0.4},
                    "encoding": {
                        "color": {
                            "field": "error",
                            "type": "quantitative",
                            "title": error_title(reading),
                            "scale": {"range": ["@low", "@middle", "@high"], "zero": False},
                            "legend": {"format": reading.format, "direction": "horizontal", "tickCount": 4},
                        },
                        "tooltip": [
                            {"field": "x", "title": "x"},
                            {"field": "y", "title": "y"},
                            tip("shown", error_title(reading)),
                        ],
                    },
                },
                {
                    "data": {"name": "models"},
                    "mark": {
                        "type": "point",
                        "filled": True,
                        "size": 90,
                        "color": "@orange",
                        "stroke": "@paper",
                        "strokeWidth": 1.5,
                    },
                    "encoding": {**at, "tooltip": [tip("name", "model")]},
                },
                {
                    "data": {"name": "models"},
                    "mark": {**halo, "stroke": "@paper", "strokeWidth": 4},
                    "encoding": {**at, "text": {"field": "name"}},
                },
                {"data": {"name": "models"}, "mark": halo, "encoding": {**at, "text": {"field": "name"}}},
            ],
        },
        {"cells": cells, "models": models},
        Table(
            "error in the plane",
            ["x", "y", error_title(reading)],
            [[f"{row['x']:g}", f"{row['y']:g}", row["shown"]] for row in cells],
        ),
    )


def angles(reading: Reading) -> Iterator[Figure]:
    """The angles between the ingredients' moves from the base."""
    found = reading.result.angles
    names = list(found.ingredients)
    if len(names) < 3 or len(found.angles) != len(names) ** 2 or len(names) > 60:
        return
    cells: list[Row] = [
        {"first": i, "second": j, "angle": found.angles[i * len(names) + j], "first_name": names[i],
         "second_name": names[j], "shown": f"{found.angles[i * len(names) + j]:.1f}°"}
        for i in range(len(names))
        for j in range(len(names))
        if i != j
    ]  # fmt: skip
    axis = {
        "labelExpr": f"{json.dumps(names)}[datum.value]",
        "labelLimit": 110,
        "labelOverlap": True,
        "domain": False,
        "ticks": False,
    }
    yield Figure(
        "angles",
        "Angles between the ingredients' moves",
        "Of each ingredient minus the base. Near 0° two fine-tunes moved the same way, and averaging them changes"
        " little.",
        {
            "height": len(names) * (24 if len(names) <= 24 else 12),
            "data": {"name": "cells"},
            "mark": {"type": "rect", "stroke": "@paper", "strokeWidth": 0.6},
            "encoding": {
                "x": {"field": "second", "type": "ordinal", "title": None, "axis": {**axis, "labelAngle": -60}},
                "y": {"field": "first", "type": "ordinal", "title": None, "axis": axis},
                "color": {
                    "field": "angle",
                    "type": "quantitative",
                    "title": "degrees",
                    "scale": {"range": ["@low", "@middle", "@high"], "zero": False},
                    "legend": {"direction": "horizontal"},
                },
                "tooltip": [tip("first_name", "first"), tip("second_name", "second"), tip("shown", "angle")],
            },
        },
        {"cells": cells},
        Table(
            "angles between moves, degrees",
            ["ingredient", "length of its move", *names],
            [
                [name, f"{norm:.4g}", *(f"{found.angles[i * len(names) + j]:.1f}" for j in range(len(names)))]
                for i, (name, norm) in enumerate(zip(names, found.norms))
            ],
        ),
    )
