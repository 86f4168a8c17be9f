"""Puts the page together."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from importlib import resources

from ..report import Report
from . import _learning, _pairs, _path, _scores, _sections, _space
from ._parts import Figure, Markup, join, tag, text
from ._reading import Reading
from ._vega import script, theme, versions

_MAKERS: dict[str, list[Callable[[Reading], Iterator[Figure]]]] = {
    "gains": [_scores.gains],
    "soups": [_scores.shifts],
    "candidates": [_path.figures],
    "recipes": [_learning.wise_ft, _learning.learned],
    "ingredients": [_space.angles],
    "space": [_pairs.pairs, _pairs.approximation, _pairs.angle_gains, _space.landscape],
}


def figures(report: Report) -> list[Figure]:
    """All that the job has the data for, in the page's order."""
    reading = Reading(report)
    return [figure for makers in _MAKERS.values() for make in makers for figure in make(reading)]


def render(report: Report) -> str:
    """The page as one text of HTML."""
    reading = Reading(report)
    drawn = {section: [figure for make in makers for figure in make(reading)] for section, makers in _MAKERS.items()}
    every = [figure for figures in drawn.values() for figure in figures]
    sections = _every_section(reading, drawn)
    title = (reading.job and (reading.job.display_name or reading.job.name)) or "A soup"
    contents = tag("nav", *(tag("a", name, href=f"#{id}") for id, name, _ in sections), aria_label="Sections")
    headline = reading.result.headline or reading.result.explanation
    explained = reading.result.explanation if reading.result.headline else ""
    head = tag(
        "header",
        tag("p", "Stockpot · model soup report", class_="kicker"),
        tag("h1", title),
        tag("p", headline, class_="headline") if headline else "",
        tag("p", explained) if explained and explained != headline else "",
        _sections.problems(reading),
        _sections.tiles(reading),
        contents,
    )
    body = join(tag("section", tag("h2", name), *content, id=id) for id, name, content in sections)
    foot = tag("footer", tag("p", f"Made by stockpot from the job's report. Figures: {versions()}."))
    return _document(title, join([head, tag("main", body), foot]), every)


def _every_section(reading: Reading, drawn: dict[str, list[Figure]]) -> list[tuple[str, str, list[Markup]]]:
    """Identifier, heading and content of those sections that have any."""

    def shown(section: str) -> list[Markup]:
        return [figure.markup() for figure in drawn[section]]

    table, calibrations = _sections.blends(reading), _sections.calibration(reading)
    more = [each.markup() for each in _sections.more(reading)]
    found: list[tuple[str, str, list[Markup]]] = [
        ("soups", "Soups, ensembles and the best single model", ([table.markup()] if table else []) + shown("soups")),
        ("gains", "The gain, and how sure it is", shown("gains")),
        ("candidates", "Why candidates were kept or dropped", [*shown("candidates"), *_sections.candidates(reading)]),
        ("recipes", "Between base and soup, and learned coefficients", shown("recipes")),
        ("ingredients", "Ingredients", [*_sections.every_ingredient(reading), *shown("ingredients")]),
        ("space", "Between the models", shown("space")),
        ("calibration", "Calibration", calibrations),
        ("more", "Other measurements", more),
        ("cost", "Cost and reuse", [_sections.cost(reading)]),
        ("provenance", "Provenance", list(_sections.provenance(reading))),
    ]  # fmt: skip
    return [section for section in found if section[2]]


def _document(title: str, body: Markup, every: Iterable[Figure]) -> str:
    files = resources.files(__package__)
    style = files.joinpath("page.css").read_text(encoding="utf-8")
    scripts = [script(), files.joinpath("page.js").read_text(encoding="utf-8")]
    data = {
        **theme(),
        "figures": [{"id": f.id, "spec": f.spec, "data": f.data, "title": f.title} for f in every],
    }
    # No other script runs, and nothing is fetched, whatever the names in a report are.
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {' '.join(_hash(each) for each in scripts)};"
        " base-uri 'none'; form-action 'none'"
    )
    # "<" would end the element, or begin a comment in it.
    block = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy"'
        f' content="{policy}">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta'
        f' name="color-scheme" content="light dark">\n<title>{text(title)} ·'
        f' Stockpot</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n<script type="application/json"'
        f' id="report-figures">{block}</script>\n'
        + "".join(f"<script>{each}</script>\n" for each in scripts)
        + "</body>\n</html>\n"
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
