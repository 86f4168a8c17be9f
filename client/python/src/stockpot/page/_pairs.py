"""Figures of pairs of ingredients: error along the segment between them, equation 2, angles and gains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..v1 import report_pb2
from ._marks import axis_of_scores, tip
from ._parts import Figure, Row, Table
from ._reading import Reading, count

_MOST_COLOURS = 6
_COLOURS = ["@accent", "@orange", "@green", "@purple", "@gold", "@sky"]


def error_of(reading: Reading, score: report_pb2.Score) -> float | None:
    """1 − rate; of a metric that is no rate, the metric."""
    value = reading.report.value(score)
    return None if value is None else 1 - value if reading.is_rate else value


def error_title(reading: Reading) -> str:
    titles = {"top1": "error (1 − top-1 accuracy)"}
    return titles.get(reading.report.metric, f"1 − {reading.metric_title}" if reading.is_rate else reading.metric_title)


def pairs(reading: Reading) -> Iterator[Figure]:
    """Error along the segment between two ingredients."""
    found = reading.result.pairs
    rows: list[Row] = []
    for pair in found.pairs:
        name = f"{pair.first} – {pair.second}"
        for point in pair.points:
            scores = [("weights averaged", point.score)]
            if point.HasField("ensemble_score"):
                scores.append(("logits averaged", point.ensemble_score))
            for what, score in scores:
                error = error_of(reading, score)
                if error is not None:
                    rows.append(
                        {
                            "pair": name,
                            "coefficient": point.coefficient,
                            "what": what,
                            "error": error,
                            "shown": reading.show(error),
                        }
                    )
    if not rows or len({row["coefficient"] for row in rows}) < 3:
        return
    names = list(dict.fromkeys(row["pair"] for row in rows))
    ways = list(dict.fromkeys(row["what"] for row in rows))
    encoding: dict[str, Any] = {
        "x": {
            "field": "coefficient",
            "type": "quantitative",
            "title": "α: from the first model (0) to the second (1)",
            "axis": {"tickCount": 5},
        },
        "y": {"field": "error", **axis_of_scores(error_title(reading), reading.format)},
        "detail": {"field": "pair", "type": "nominal"},
        "strokeDash": {
            "field": "what",
            "type": "nominal",
            "title": None,
            "scale": {"domain": ways, "range": [[1, 0], [4, 4]][: len(ways)]},
        },
        "tooltip": [
            tip("pair", "pair"),
            {"field": "coefficient", "title": "α"},
            tip("what", "how"),
            tip("shown", "error"),
        ],
    }
    if len(names) <= _MOST_COLOURS:
        encoding["color"] = {
            "field": "pair",
            "type": "nominal",
            "title": None,
            "scale": {"domain": names, "range": _COLOURS[: len(names)]},
        }
    mark: dict[str, Any] = {"type": "line", "point": {"filled": True, "size": 45}}
    if len(names) > _MOST_COLOURS:
        mark |= {"color": "@accent", "opacity": 0.4, "point": {"filled": True, "size": 25, "opacity": 0.5}}
    yield Figure(
        "pairs",
        "Error between two ingredients",
        f"(1 − α)·first + α·second on {found.data_set}, for {count(len(names), 'pair')}. Where a line sags below its"
        " ends, averaging the two helps"
        + ("; dashed, what averaging their logits would give." if len(ways) > 1 else "."),
        {"height": 320, "data": {"name": "points"}, "mark": mark, "encoding": encoding},
        {"points": rows},
        Table(
            "error between two ingredients",
            ["pair", "α", "how", error_title(reading)],
            [[row["pair"], f"{row['coefficient']:g}", row["what"], row["shown"]] for row in rows],
            frozenset({2}),
        ),
    )


def approximation(reading: Reading) -> Iterator[Figure]:
    """The paper's equation 2 against the true difference of losses, soup minus ensemble."""
    found = reading.result.pairs
    rows: list[Row] = [
        {
            **{"pair": f"{pair.first} – {pair.second}", "coefficient": point.coefficient},
            **{"true": point.gap.soup_loss - point.gap.ensemble_loss, "approximation": point.gap.approximation},
            "true_shown": f"{point.gap.soup_loss - point.gap.ensemble_loss:+.4f}",
            "approximation_shown": f"{point.gap.approximation:+.4f}",
        }
        for pair in found.pairs
        for point in pair.points
        if point.HasField("gap")
    ]
    if len(rows) < 3:
        return
    ends = [value for row in rows for value in (row["true"], row["approximation"])]
    line = [{"at": min(ends)}, {"at": max(ends)}]
    number = {"format": "+.3~f", "tickCount": 5}
    correlation = found.approximation_to_difference
    yield Figure(
        "approximation",
        "Soup against ensemble, as the paper predicts it",
        "Loss of the soup minus loss of the ensemble for each pair and α: measured, and by equation 2 of the paper; on"
        f" the line they are equal. Correlation {correlation.pearson:.3f} (Pearson), {correlation.spearman:.3f}"
        f" (Spearman), of {count(correlation.count, 'point')}.",
        {
            "height": 320,
            "layer": [
                {
                    "data": {"name": "line"},
                    "mark": {"type": "line", "color": "@muted", "strokeDash": [4, 3], "strokeWidth": 1},
                    "encoding": {
                        "x": {"field": "at", "type": "quantitative"},
                        "y": {"field": "at", "type": "quantitative"},
                    },
                },
                {
                    "data": {"name": "points"},
                    "mark": {"type": "point", "filled": True, "color": "@accent", "opacity": 0.8},
                    "encoding": {
                        "x": {
                            "field": "true",
                            "type": "quantitative",
                            "title": "measured difference of losses, nats",
                            "axis": number,
                        },
                        "y": {
                            "field": "approximation",
                            "type": "quantitative",
                            "title": "by equation 2",
                            "axis": number,
                        },
                        "tooltip": [
                            tip("pair", "pair"),
                            {"field": "coefficient", "title": "α"},
                            tip("true_shown", "measured"),
                            tip("approximation_shown", "equation 2"),
                        ],
                    },
                },
            ],
        },
        {"points": rows, "line": line},
        Table(
            "loss of the soup minus loss of the ensemble, nats",
            ["pair", "α", "measured", "by equation 2"],
            [[row["pair"], f"{row['coefficient']:g}", row["true_shown"], row["approximation_shown"]] for row in rows],
        ),
    )


def angle_gains(reading: Reading) -> Iterator[Figure]:
    """The paper's section 5: the angle between two fine-tunes, and what averaging them gains in top-1."""
    found = reading.result.pairs
    rows: list[Row] = []
    for pair in found.pairs:
        by_coefficient = {point.coefficient: point for point in pair.points if point.score.example_count > 0}
        inside = [at for at in by_coefficient if 0 < at < 1]
        if not pair.HasField("angle") or not inside or not {0.0, 1.0} <= set(by_coefficient):
            continue
        middle = min(inside, key=lambda at: abs(at - 0.5))
        gain = by_coefficient[middle].score.top1 - (by_coefficient[0.0].score.top1 + by_coefficient[1.0].score.top1) / 2
        shown = {"angle_shown": f"{pair.angle:.1f}°", "gain_shown": f"{100 * gain:+.2f} points"}
        rows.append({"pair": f"{pair.first} – {pair.second}", "angle": pair.angle, "gain": gain, **shown})
    if len(rows) < 3:
        return
    correlation = found.angle_to_gain
    words = (
        f" Correlation {correlation.pearson:.3f} (Pearson), {correlation.spearman:.3f} (Spearman), of"
        f" {count(correlation.count, 'pair')}."
        if correlation.count > 2
        else ""
    )
    yield Figure(
        "angle-gains",
        "Do fine-tunes that moved in different directions gain more?",
        "For each pair the angle between the moves from the base, and top-1 accuracy of the average minus the mean of"
        f" both.{words}",
        {
            "height": 280,
            "data": {"name": "pairs"},
            "mark": {"type": "point", "filled": True, "color": "@accent", "opacity": 0.8},
            "encoding": {
                "x": {
                    "field": "angle",
                    "type": "quantitative",
                    "title": "angle, degrees",
                    "scale": {"zero": False},
                    "axis": {"tickCount": 6},
                },
                "y": {
                    "field": "gain",
                    "type": "quantitative",
                    "title": "gain in top-1 accuracy",
                    "axis": {"format": "+.1%", "tickCount": 5},
                },
                "tooltip": [tip("pair", "pair"), tip("angle_shown", "angle"), tip("gain_shown", "gain")],
            },
        },
        {"pairs": rows},
        Table(
            "angle and gain of pairs",
            ["pair", "angle", "gain"],
            [[row["pair"], row["angle_shown"], row["gain_shown"]] for row in rows],
        ),
    )
