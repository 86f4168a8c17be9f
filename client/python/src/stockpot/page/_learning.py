"""Figures of what comes after averaging, or in its place: WiSE-FT's curve, and learned coefficients."""

from __future__ import annotations

from collections.abc import Iterator

from ..v1 import report_pb2
from ._marks import axis_of_scores, tip
from ._parts import Figure, Row, Table
from ._reading import Reading, name_of


def wise_ft(reading: Reading) -> Iterator[Figure]:
    """The curve between base and soup, for each recipe that has one."""
    for at, (kind, found, _) in enumerate(reading.recipes()):
        if found.HasField("wise_ft"):
            yield from _wise_ft(reading, kind, found.wise_ft, at)


def _wise_ft(reading: Reading, kind: str, found: report_pb2.WiseFtResult, at: int) -> Iterator[Figure]:
    rows: list[Row] = []
    for point in found.points:
        values = {reading.held_out: reading.value_on(point.scores, reading.held_out)}
        if point.HasField("mean_of_shifts"):
            values["mean over shifts"] = point.mean_of_shifts
        else:
            values |= {entry.data_set: reading.report.value(entry.score) for entry in point.scores}
        for name, value in values.items():
            if value is not None:
                rows.append(
                    {"coefficient": point.coefficient, "set": name, "value": value, "shown": reading.show(value)}
                )
    if not rows:
        return
    names = list(dict.fromkeys(row["set"] for row in rows))
    chosen = (
        f" α = {found.selected:g} was best on the held-out set, and is shipped." if found.HasField("selected") else ""
    )
    yield Figure(
        f"wise-ft-{at}",
        f"From the base to the soup (WiSE-FT of {name_of(kind.partition('+')[0])})",
        f"(1 − α)·base + α·soup: α = 0 is the base, α = 1 the soup.{chosen}",
        {
            "height": 300,
            "data": {"name": "points"},
            "mark": {"type": "line", "point": {"filled": True, "size": 60}},
            "encoding": {
                "x": {"field": "coefficient", "type": "quantitative", "title": "α", "axis": {"tickCount": 5}},
                "y": {"field": "value", **axis_of_scores(reading.metric_title, reading.format)},
                "color": {
                    "field": "set",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": names, "range": _lines(len(names))},
                },
                "strokeDash": {"field": "set", "type": "nominal", "title": None, "scale": {"domain": names}},
                "tooltip": [
                    tip("set", "data set"),
                    {"field": "coefficient", "title": "α"},
                    tip("shown", reading.metric_title),
                ],
            },
        },
        {"points": rows},
        Table(
            f"{reading.metric_title} by α",
            ["α", "data set", reading.metric_title],
            [[f"{row['coefficient']:g}", row["set"], row["shown"]] for row in rows],
            frozenset({1}),
        ),
    )


def _lines(number: int) -> list[str]:
    colours = ["@accent", "@orange", "@green", "@purple", "@gold", "@sky", "@grey", "@ink"]
    return [colours[i % len(colours)] for i in range(number)]


def learned(reading: Reading) -> Iterator[Figure]:
    """The coefficients of learned soups."""
    for at, (kind, found, _) in enumerate(reading.recipes()):
        blend = next((each for each in reading.result.blends if each.kind == kind), None)
        if not found.HasField("learned") or blend is None or len(blend.ingredients) != len(found.learned.coefficients):
            continue
        rows: list[Row] = [
            {"name": name, "coefficient": value, "shown": f"{value:.4f}"}
            for name, value in zip(blend.ingredients, found.learned.coefficients)
        ]
        means = ", the mean over tensors" if found.learned.tensors else ""
        losses = found.learned.epoch_losses
        course = (
            f" The loss went from {losses[0]:.4f} to {losses[-1]:.4f} nats in {len(losses)} epochs."
            if len(losses) > 1
            else ""
        )
        yield Figure(
            f"learned-{at}",
            f"What was learned: {name_of(kind)}",
            f"The coefficient of each ingredient{means}; the line is what a uniform soup would give it.{course}",
            {
                "height": 20 * len(rows),
                "layer": [
                    {
                        "data": {"name": "coefficients"},
                        "mark": {"type": "bar", "color": "@sky", "height": {"band": 0.7}},
                        "encoding": {
                            "y": {"field": "name", "type": "nominal", "title": None, "sort": None},
                            "x": {
                                "field": "coefficient",
                                "type": "quantitative",
                                "title": "coefficient",
                                "axis": {"tickCount": 5},
                            },
                            "tooltip": [tip("name", "ingredient"), tip("shown", "coefficient")],
                        },
                    },
                    {
                        "data": {"values": [{}]},
                        "mark": {"type": "rule", "color": "@muted", "strokeDash": [4, 3], "strokeWidth": 1},
                        "encoding": {"x": {"datum": 1 / len(rows), "type": "quantitative"}},
                    },
                ],
            },
            {"coefficients": rows},
            Table(
                f"coefficients of {name_of(kind)}",
                ["ingredient", "coefficient"],
                [[row["name"], row["shown"]] for row in rows],
            ),
        )
