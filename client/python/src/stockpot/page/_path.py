"""The greedy path: what was tried in which order, and why each candidate was kept or dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..v1 import report_pb2
from ._marks import CROSS, axis_of_scores, tip
from ._parts import Figure, Markup, Row, Table, tag
from ._reading import Reading, choices_of, count, name_of

_MOST_NAMES = 120  # more candidates than that are drawn without their names
_TALLEST = 2_400  # pixels


class Path:
    """Of one greedy recipe."""

    def __init__(
        self, reading: Reading, at: int, kind: str, steps: Sequence[report_pb2.CandidateStep], choices: Sequence[str]
    ):
        self.reading = reading
        self.at = at  # among the recipes; 0 was shipped
        self.kind = kind
        self.steps = steps
        self.choices = choices
        self.strict = not any("NOT_WORSE" in choice for choice in choices)
        self.alone = {
            each.display_name: reading.value_on(each.scores, reading.held_out) for each in reading.result.ingredients
        }
        self.group = {each.display_name: each.group for each in reading.result.ingredients}

    @property
    def accepted(self) -> int:
        return sum(step.accepted for step in self.steps)

    def reasons(self) -> list[tuple[report_pb2.CandidateStep, str]]:
        """Each step and why it went so, in words."""
        found = []
        before: report_pb2.Score | None = None
        for step in self.steps:
            found.append((step, self._reason(step, before)))
            if step.accepted:
                before = step.score
        return found

    def _reason(self, step: report_pb2.CandidateStep, before: report_pb2.Score | None) -> str:
        show = self.reading.report.show
        if step.passed_over:
            return f"Not tried: another of its group {self.group.get(step.candidate, '')!r} is in the soup."
        if step.accepted and before is None:
            return f"Kept: the soup begins with it, at {show(step.score)}."
        if step.accepted and before is not None:
            return (
                f"Kept: the soup went from {show(before)} to {show(step.score)} with"
                f" it{self._more(before, step.score)}."
            )
        if step.HasField("score") and before is not None:
            limit = "it had to be better than" if self.strict else "it must not be worse than"
            return (
                f"Dropped: the soup with it scores {show(step.score)}; {limit}"
                f" {show(before)}{self._more(before, step.score)}."
            )
        if step.HasField("not_better_than"):
            words = "is not better than" if self.strict else "is worse than"
            return f"Dropped early: it was proven that the soup with it {words} {show(step.not_better_than)}."
        return "Dropped: the report does not say at what."

    def _more(self, before: report_pb2.Score, after: report_pb2.Score) -> str:
        """Where the metric counts examples, how many of them that is."""
        counts = {"top1": "top1_correct", "top5": "top5_correct"}
        name = counts.get(self.reading.report.metric)
        if name is None or before.example_count != after.example_count:
            return ""
        difference = getattr(after, name) - getattr(before, name)
        if difference == 0:
            return " (as many examples right)"
        more = "more" if difference > 0 else "fewer"
        return f" ({count(abs(difference), 'example')} {more} right)"

    def rows(self) -> list[Row]:
        show, value = self.reading.report.show, self.reading.report.value
        rows: list[Row] = []
        soup: float | None = None
        for at, (step, reason) in enumerate(self.reasons(), 1):
            if step.accepted:
                soup = value(step.score)
            score = value(step.score) if step.HasField("score") else None
            bound = value(step.not_better_than) if step.HasField("not_better_than") and score is None else None
            alone = self.alone.get(step.candidate)
            what = (
                "kept"
                if step.accepted
                else "not tried"
                if step.passed_over
                else "dropped"
                if bound is None
                else "dropped early"
            )
            shown = (
                show(step.score)
                if score is not None
                else ""
                if bound is None
                else f"not better than {show(step.not_better_than)}"
            )
            rows.append(
                {
                    **{"step": at, "name": step.candidate, "what": what, "reason": reason, "shown": shown},
                    **{"tried": score if score is not None else bound, "soup": soup, "alone": alone},
                    **{"alone_shown": self.reading.show(alone), "size": step.soup_size},
                }
            )
        return rows


def paths(reading: Reading) -> list[Path]:
    """Of every recipe that tried candidates."""
    return [
        Path(reading, at, kind, found.steps, choices)
        for at, (kind, found, choices) in enumerate(reading.recipes())
        if found.steps
    ]


def figures(reading: Reading) -> Iterator[Figure]:
    for path in paths(reading):
        rows = path.rows()
        if sum(row["tried"] is not None for row in rows) < 2:
            continue
        yield _figure(reading, path, rows)


def _figure(reading: Reading, path: Path, rows: list[Row]) -> Figure:
    looks = {
        "kept": ("@green", "diamond"),
        "dropped": ("@orange", CROSS),
        "dropped early": ("@orange", "triangle-left"),
    }
    looks = {what: look for what, look in looks.items() if any(row["what"] == what for row in rows)}
    alone = "the candidate alone"
    names = [*looks, alone]

    def channel(values: list[str]) -> dict[str, object]:
        return {"field": "what", "type": "nominal", "title": None, "scale": {"domain": names, "range": values}}

    y: dict[str, Any] = {"field": "step", "type": "ordinal", "title": None}
    if len(rows) <= _MOST_NAMES:
        lookup = [row["name"] for row in rows]
        y["axis"] = {"labelExpr": f"{_array(lookup)}[datum.value - 1]", "labelLimit": 130, "labelOverlap": False}
    else:
        y |= {"title": "candidates in the order in which they were tried", "axis": {"labels": False, "ticks": False}}
    scores = axis_of_scores(f"{reading.metric_title} on {reading.held_out}", reading.format)
    colours = [colour for colour, _ in looks.values()] + ["@grey"]
    shapes = [shape for _, shape in looks.values()] + ["circle"]
    tooltip = [
        tip("name", "candidate"),
        tip("shown", "soup with it"),
        tip("alone_shown", "alone"),
        tip("reason", "why"),
    ]
    early = (
        " A triangle stands at what the soup with the candidate was proven not to exceed."
        if "dropped early" in looks
        else ""
    )
    singles = [{**row, "what": alone} for row in rows if row["alone"] is not None]
    return Figure(
        f"path-{path.at}",
        f"The path of {name_of(path.kind.partition('+')[0])}",
        f"From above in the order of trying ({choices_of(path.choices)}); the line is the soup so far, which ends with "
        f"{count(rows[-1]['size'], 'model')}.{early}",
        {
            "height": len(rows) * max(3, min(22, _TALLEST // len(rows))),
            "encoding": {"y": y},
            "layer": [
                {
                    "data": {"name": "steps"},
                    "mark": {
                        "type": "line",
                        "interpolate": "step-before",
                        "color": "@green",
                        "strokeWidth": 1.5,
                        "opacity": 0.7,
                    },
                    "encoding": {"x": {"field": "soup", **scores}, "order": {"field": "step", "type": "quantitative"}},
                },
                {
                    "data": {"name": "singles"},
                    "mark": {"type": "point", "size": 36},
                    "encoding": {
                        "x": {"field": "alone", **scores},
                        **{"stroke": channel(colours), "shape": channel(shapes)},
                        "tooltip": tooltip,
                    },
                },
                {
                    "data": {"name": "steps"},
                    "transform": [{"filter": "isValid(datum.tried)"}],
                    "mark": {"type": "point", "size": 90},
                    "encoding": {
                        "x": {"field": "tried", **scores},
                        **{"stroke": channel(colours), "shape": channel(shapes)},
                        "fill": channel(
                            [*(c if w != "dropped early" else "@hollow" for w, (c, _) in looks.items()), "@hollow"]
                        ),
                        "tooltip": tooltip,
                    },
                },
            ],
        },
        {"steps": rows, "singles": singles},
        Table(
            f"the path of {name_of(path.kind)}",
            ["candidate", "soup with it", "alone", "models in the soup", "decision"],
            [[row["name"], row["shown"], row["alone_shown"], f"{row['size']}", row["what"]] for row in rows],
            frozenset({4}),
        ),
    )


def _array(names: Sequence[str]) -> str:
    """An array of strings as an expression of Vega's: JSON is one."""
    return json.dumps(list(names))


def reasons_list(path: Path) -> Markup:
    """A list, which a narrow screen shows as well as a wide one."""
    items = []
    for step, reason in path.reasons():
        decision, _, why = reason.partition(": ")
        badge = tag("span", decision.lower(), class_="badge good" if step.accepted else "badge")
        items.append(tag("li", tag("b", step.candidate), " ", badge, tag("p", why[:1].upper() + why[1:])))
    return tag("ol", *items, class_="reasons")
