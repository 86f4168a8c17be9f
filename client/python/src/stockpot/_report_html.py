"""A report as a notebook shows it: one piece of HTML without scripts or files, in the colours of the page around it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from .report import LOWER_IS_BETTER, Report
from .v1 import report_pb2

# Inherited colours and greys that are seen on white and on black alike.
_STYLE = """
.stockpot-report{font:13px/1.45 system-ui,sans-serif;color:inherit;max-width:60em}
.stockpot-report table{border-collapse:collapse;margin:.5em 0;background:transparent;color:inherit}
.stockpot-report th,.stockpot-report td{padding:.2em .7em;text-align:right;border-bottom:1px solid rgba(128,128,128,.35);
background:transparent;color:inherit;font-variant-numeric:tabular-nums;white-space:nowrap}
.stockpot-report th:first-child,.stockpot-report td:first-child{text-align:left}
.stockpot-report .best{font-weight:700}
.stockpot-report .yes{color:#2e9e5b}.stockpot-report .no{color:#d0574e}
.stockpot-report .note{opacity:.75}
.stockpot-report summary{cursor:pointer;margin-top:.5em}
.stockpot-report svg{display:block;margin:.5em 0;max-width:100%;height:auto}
.stockpot-report svg text{fill:currentColor;font-size:11px}
.stockpot-report .wide{overflow-x:auto}
"""
_MOST_ROWS = 200


def render(report: Report) -> str:
    result = report.result
    parts = [f"<style>{_STYLE}</style><div class='stockpot-report'>"]
    parts += [f"<p><b>{_text(line)}</b></p>" for line in [result.headline or result.explanation] if line]
    parts.append(_blends(report))
    parts.append(_plot(report))
    parts.append(_steps(report))
    parts.append(_ingredients(report))
    parts.append(_cost(report))
    return "".join([*parts, "</div>"])


def _text(text: str) -> str:
    return html.escape(text)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML; headings are text."""
    head = "".join(f"<th>{_text(cell)}</th>" for cell in heading)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _details(title: str, content: str) -> str:
    return f"<details><summary>{_text(title)}</summary>{content}</details>"


def _blends(report: Report) -> str:
    """A row for each soup, a column for each data set, the best of each in bold."""
    result = report.result
    if not result.blends:
        return ""
    sign = -1 if report.metric in LOWER_IS_BETTER else 1
    best: dict[str, float] = {}
    for blend in result.blends:
        for entry in blend.scores:
            value = report.value(entry.score)
            if value is not None:
                best[entry.data_set] = max(best.get(entry.data_set, sign * value), sign * value)
    rows = []
    for blend in result.blends:
        scores = {entry.data_set: entry.score for entry in blend.scores}
        mark = " <span class='yes'>✓ shipped</span>" if blend.kind == result.chosen else ""
        row = [_text(blend.kind.replace("_", " ")) + mark, str(len(blend.ingredients))]
        for data_set in result.data_sets:
            score = scores.get(data_set.name, report_pb2.Score())
            value = report.value(score)
            is_best = value is not None and sign * value == best[data_set.name]
            row.append(f"<span class='best'>{report.show(score)}</span>" if is_best else report.show(score))
        rows.append(row)
    return _table([report.metric, "models", *(data_set.name for data_set in result.data_sets)], rows)


def _plot(report: Report) -> str:
    """Ingredients on the held-out set as dots (filled: in the soup), the chosen blend as a line."""
    result = report.result
    held_out = result.data_sets[0].name if result.data_sets else ""
    dots = []
    for ingredient in result.ingredients:
        for entry in ingredient.scores:
            value = report.value(entry.score)
            if entry.data_set == held_out and value is not None:
                dots.append((value, ingredient, entry.score))
    lines = [
        (value, blend, entry.score)
        for blend in result.blends
        for entry in blend.scores
        if blend.kind == result.chosen
        and entry.data_set == held_out
        and (value := report.value(entry.score)) is not None
    ]
    values = [value for value, *_ in dots] + [value for value, *_ in lines]
    if len(dots) < 2 or max(values) == min(values):
        return ""
    low, high = min(values), max(values)

    def x(value: float) -> float:
        return 20 + 520 * (value - low) / (high - low)

    shapes = ["<line x1='20' x2='540' y1='30' y2='30' stroke='currentColor' stroke-opacity='.4'/>"]
    for value, ingredient, score in dots:
        title = _text(
            f"{ingredient.display_name}: {report.show(score)}" + (", in the soup" if ingredient.in_soup else "")
        )
        fill = "#3b82d0" if ingredient.in_soup else "none"
        shapes.append(
            f"<circle cx='{x(value):.1f}' cy='30' r='5' fill='{fill}' stroke='#3b82d0'><title>{title}</title></circle>"
        )
    for value, blend, score in lines:
        title = _text(f"{blend.kind.replace('_', ' ')}: {report.show(score)}")
        shapes.append(
            f"<line x1='{x(value):.1f}' x2='{x(value):.1f}' y1='14' y2='46' stroke='#2e9e5b' stroke-width='3'/>"
        )
        anchor = "end" if x(value) > 280 else "start"
        shapes.append(f"<text x='{x(value):.1f}' y='10' text-anchor='{anchor}'>{title}</text>")
    shapes.append(
        f"<text x='20' y='62'>{report.metric} on {_text(held_out)}: every ingredient, filled where in the soup</text>"
    )
    return f"<svg viewBox='0 0 560 68' width='560' role='img' aria-label='scores of the ingredients'>{''.join(shapes)}</svg>"


def _steps(report: Report) -> str:
    steps = report.result.steps
    if not steps:
        return ""
    rows = []
    for step in steps[:_MOST_ROWS]:
        decision = "<span class='yes'>✓ accepted</span>" if step.accepted else "<span class='no'>✗ rejected</span>"
        if step.passed_over:
            decision = "passed over: its group is in the soup"
        score = report.show(step.score) if step.HasField("score") else ""
        if step.HasField("not_better_than"):
            score = f"<span class='note'>not better than {report.show(step.not_better_than)}</span>"
        rows.append([_text(step.candidate), decision, score, str(step.soup_size)])
    accepted = sum(step.accepted for step in steps)
    title = f"Candidates: {accepted} of {len(steps)} accepted" + _cut(len(steps))
    return _details(title, _table(["candidate", "decision", report.metric, "soup size"], rows))


def _ingredients(report: Report) -> str:
    result = report.result
    rows = []
    for ingredient in result.ingredients[:_MOST_ROWS]:
        scores = {entry.data_set: entry.score for entry in ingredient.scores}
        notes = [*ingredient.notes]
        if ingredient.identical_to:
            notes.append(f"the same weights as {ingredient.identical_to}")
        if ingredient.skipped_because:
            notes.append(f"left out: {ingredient.skipped_because}")
        row = [_text(ingredient.display_name), f"{ingredient.coefficient:.4g}" if ingredient.in_soup else ""]
        row += [report.show(scores.get(data_set.name, report_pb2.Score())) for data_set in result.data_sets]
        rows.append([*row, f"<span class='note'>{_text('; '.join(notes))}</span>"])
    sets = [data_set.name for data_set in result.data_sets]
    title = f"Ingredients: {sum(each.in_soup for each in result.ingredients)} of {len(result.ingredients)} in the soup"
    return _details(title + _cut(len(result.ingredients)), _table(["ingredient", "coefficient", *sets, "notes"], rows))


def _cut(count: int) -> str:
    return f" (the first {_MOST_ROWS} are shown)" if count > _MOST_ROWS else ""


def _cost(report: Report) -> str:
    cost, result = report.cost, report.result
    text = (
        f"{cost.evaluations_run} evaluations, {cost.evaluations_reused} known before; {cost.examples_evaluated:,} examples; "
        f"{cost.wall_seconds:.1f} s. {result.recipe}; {result.numerics}"
    )
    return f"<p class='note'>{_text(text)}</p>"
