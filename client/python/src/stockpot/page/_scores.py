"""Figures of scores: held-out set against shifts, and the gains."""

from __future__ import annotations

from collections.abc import Iterator

from ._marks import IN_SOUP, INGREDIENT, axis_of_scores, model_channels, tip
from ._parts import Figure, Row, Table
from ._reading import Reading, count, name_of, points, show_points

_ROLES = {
    "held_out": "held-out set, which chose",
    "test": "test set",
    "distribution_shift": "shift",
    "final": "final set",
}


def shifts(reading: Reading) -> Iterator[Figure]:
    """The paper's Figure 1: each model on the held-out set and on the mean of the distribution shifts."""
    result = reading.result
    rows: list[Row] = []

    def add(what: str, name: str, held_out: float | None, shifted: float | None) -> None:
        if held_out is not None and shifted is not None:
            shown = {"held_out_shown": reading.show(held_out), "shifts_shown": reading.show(shifted)}
            rows.append({"what": what, "name": name, "held_out": held_out, "shifts": shifted, **shown})

    for each in result.ingredients:
        what = IN_SOUP if each.in_soup else INGREDIENT
        add(
            what,
            each.display_name,
            reading.value_on(each.scores, reading.held_out),
            reading.mean_of_shifts(each.scores),
        )
    for blend in result.blends:
        shifted = blend.mean_of_shifts if blend.HasField("mean_of_shifts") else None
        add(name_of(blend.kind), name_of(blend.kind), reading.value_on(blend.scores, reading.held_out), shifted)
    if len(rows) < 2:
        return
    kinds = [blend.kind for blend in result.blends if any(row["what"] == name_of(blend.kind) for row in rows)]
    better = "lower left" if reading.lower_is_better else "upper right"
    over = f"mean over {count(len(reading.shifts), 'shift')}: {', '.join(reading.shifts)}"
    yield Figure(
        "shifts",
        "Held-out set against distribution shifts",
        f"Each mark is a model: its {reading.metric_title} on the held-out set, and the {over}. Better is to the"
        f" {better}.",
        {
            "height": 380,
            "data": {"name": "models"},
            "mark": {"type": "point", "size": 110, "opacity": 0.95},
            "encoding": {
                "x": {
                    "field": "held_out",
                    **axis_of_scores(f"{reading.metric_title} on {reading.held_out}", reading.format),
                },
                "y": {"field": "shifts", **axis_of_scores("mean over shifts", reading.format)},
                **model_channels(kinds),
                "tooltip": [
                    tip("name", "model"),
                    tip("held_out_shown", reading.held_out),
                    tip("shifts_shown", "mean over shifts"),
                ],
            },
        },
        {"models": rows},
        Table(
            f"{reading.metric_title}, held-out set and mean over shifts",
            ["model", "what it is", reading.held_out, "mean over shifts"],
            [[row["name"], row["what"], row["held_out_shown"], row["shifts_shown"]] for row in rows],
            frozenset({1}),
        ),
    )


def gains(reading: Reading) -> Iterator[Figure]:
    """The chosen blend against the best single model, with intervals: in top-1, whatever the metric."""
    found = [gain for gain in reading.result.gains if gain.level > 0]
    if not found:
        return
    rows: list[Row] = [
        {
            "set": gain.data_set,
            "role": _ROLES.get(gain.role, gain.role),
            **{"difference": gain.top1_difference, "lower": gain.lower, "upper": gain.upper},
            "shown": show_points(gain.top1_difference),
            "interval": f"{points(gain.lower)} to {points(gain.upper)} points",
            "p": f"{gain.mcnemar_p_value:.3g}",
        }
        for gain in found
    ]
    of, over = name_of(found[0].of), name_of(found[0].over)
    y = {"field": "set", "type": "nominal", "title": None, "sort": None}
    x_axis = {"format": "+.1%", "tickCount": 5}
    roles = [role for role in dict.fromkeys(row["role"] for row in rows)]
    colours = {"held-out set, which chose": "@orange", "final set": "@green", "shift": "@purple"}
    colour = {
        "field": "role",
        "type": "nominal",
        "title": None,
        "scale": {"domain": roles, "range": [colours.get(role, "@accent") for role in roles]},
    }
    tooltip = [
        tip("set", "data set"),
        tip("role", "role"),
        tip("shown", "difference"),
        tip("interval", "interval"),
        tip("p", "McNemar's p"),
    ]
    yield Figure(
        "gains",
        f"What the soup gained: {of} against {over}",
        f"Difference in top-1 accuracy with its {100 * found[0].level:.0f} % interval (paired bootstrap). The held-out"
        " set chose the soup, so its gain is flattered; other sets had no say. An interval that holds zero is no proof"
        " of a gain.",
        {
            "height": 34 * len(rows),
            "layer": [
                {
                    "data": {"values": [{}]},
                    "mark": {"type": "rule", "color": "@muted", "strokeDash": [4, 3], "strokeWidth": 1},
                    "encoding": {"x": {"datum": 0, "type": "quantitative"}},
                },
                {
                    "data": {"name": "gains"},
                    "mark": {"type": "rule"},
                    "encoding": {
                        "y": y,
                        "x": {
                            "field": "lower",
                            "type": "quantitative",
                            "title": "points of top-1 accuracy",
                            "axis": x_axis,
                        },
                        "x2": {"field": "upper"},
                        "color": colour,
                        "tooltip": tooltip,
                    },
                },
                {
                    "data": {"name": "gains"},
                    "mark": {"type": "point", "filled": True, "size": 110},
                    "encoding": {
                        "y": y,
                        "x": {"field": "difference", "type": "quantitative"},
                        "color": colour,
                        "shape": {
                            **colour,
                            "scale": {
                                "domain": roles,
                                "range": ["circle", "diamond", "square", "triangle-up"][: len(roles)],
                            },
                        },
                        "tooltip": tooltip,
                    },
                },
            ],
        },
        {"gains": rows},
        Table(
            f"{of} against {over}: points of top-1 accuracy",
            [
                "data set",
                "role",
                "difference",
                "interval",
                "right in the soup alone",
                f"right in {over} alone",
                "McNemar's p",
            ],
            [
                [
                    row["set"],
                    row["role"],
                    row["shown"],
                    row["interval"],
                    f"{gain.only_of_correct:,}",
                    f"{gain.only_over_correct:,}",
                    row["p"],
                ]
                for row, gain in zip(rows, found)
            ],
            frozenset({1}),
        ),
    )
