"""A report in a notebook and as frames has the job's numbers, and nothing else than text of what others named."""

from __future__ import annotations

import html.parser
import io
import math

import pytest

import stockpot
from stockpot.report import metric_value
from stockpot.v1 import job_pb2, report_pb2, spec_pb2
from support import Sweep

pandas = pytest.importorskip("pandas")
pytest.importorskip("rich")


class Cells(html.parser.HTMLParser):
    """Text of table rows, and every tag and attribute."""

    def __init__(self, text: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        self.open.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attributes)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th", "span") and self.rows:
            self.rows[-1][-1] += data


def test_html_has_the_numbers(done: stockpot.Job) -> None:
    report = done.report
    page = report._repr_html_()
    cells = Cells(page)
    assert not cells.open and not {"script", "img", "link", "iframe"} & set(cells.tags)
    assert "http" not in page and "url(" not in page
    rows = {row[0]: row for row in cells.rows}
    for blend in report.result.blends:
        shown = rows[blend.kind.replace("_", " ") + (" ✓ shipped" if blend.kind == report.result.chosen else "")]
        assert shown[1:] == [str(len(blend.ingredients)), *[report.show(entry.score) for entry in blend.scores]]
    for ingredient in report.result.ingredients:
        assert rows[ingredient.display_name][2] == report.show(ingredient.scores[0].score)
    assert cells.tags.count("circle") == len(report.result.ingredients)
    assert done.name in done._repr_html_() and page in done._repr_html_()


def test_names_of_others_stay_text() -> None:
    evil = "<script>alert('1')</script>\"'"
    score = {"data_set": evil, "score": {"example_count": 2, "top1": 0.5}}
    other = {"data_set": evil, "score": {"example_count": 2, "top1": 0.25}}
    ingredient = {"display_name": evil, "scores": [score], "notes": [evil], "skipped_because": evil, "in_soup": True}
    result = report_pb2.ReportResult(
        metric="TOP1",
        headline=evil,
        chosen=evil,
        data_sets=[{"name": evil}],
        ingredients=[ingredient, {"display_name": evil, "scores": [other]}],
        blends=[{"kind": evil, "scores": [score], "ingredients": [evil]}],
        steps=[{"candidate": evil, "accepted": True}, {"candidate": evil, "not_better_than": score["score"]}],
        numerics=evil,
    )
    cells = Cells(stockpot.Report(report_pb2.Report(result=result))._repr_html_())
    assert "script" not in cells.tags and "svg" in cells.tags
    assert stockpot.Report(report_pb2.Report())._repr_html_()
    job = stockpot.client.JobBase(job_pb2.Job(name=evil, state=job_pb2.Job.FAILED, error={"message": evil}))
    assert "script" not in Cells(job._repr_html_()).tags


def test_frames(done: stockpot.Job) -> None:
    report = done.report
    frames = report.to_pandas()
    assert list(frames.ingredients.index) == [each.display_name for each in report.result.ingredients]
    best = frames.ingredients["top1.held_out"].max()
    assert best == max(each.scores[0].score.top1 for each in report.result.ingredients)
    assert list(frames.candidates["candidate"]) == [step.candidate for step in report.result.steps]
    assert frames.candidates["accepted"].sum() == len(report.chosen.ingredients)
    assert list(frames.data_sets["name"]) == ["held_out", "test"]
    scores = frames.scores.set_index(["kind", "model", "data_set"])
    assert scores.loc[("blend", "greedy", "test"), "top1_correct"] == report.chosen.scores[1].score.top1_correct
    assert len(scores) == 2 * (len(report.result.ingredients) + len(report.result.blends))
    assert math.isnan(scores["pearson"].astype(float).iloc[0])
    assert all(len(frame) == 0 for frame in stockpot.Report(report_pb2.Report()).to_pandas())


@pytest.mark.parametrize("metric", [name.lower() for name in spec_pb2.EvaluationPlan.Metric.keys()[1:]])
def test_every_metric_has_a_value(metric: str) -> None:
    every = {field.name: 1 for field in report_pb2.Score.DESCRIPTOR.fields}
    assert metric_value(report_pb2.Score(**every), metric) == 1.0
    assert metric_value(report_pb2.Score(), metric) is None


def test_progress_is_shown(client: stockpot.Client, sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    report = client.submit(**sweep.arguments(recipe="greedy", full_scores=True)).result(60, progress=True)
    shown = capsys.readouterr().out
    assert "SUCCEEDED" in shown
    for step in report.result.steps[1:]:
        assert f"{step.candidate} {'✓ accepted' if step.accepted else '✗ rejected'}" in shown


def test_markup_of_others_is_not_obeyed() -> None:
    from rich.console import Console
    from stockpot.notebook import ProgressView

    out = io.StringIO()
    with ProgressView("jobs/x", Console(file=out)) as view:
        step = {"candidate": "[bold]x[/nonsense]", "accepted": True}
        view.show(job_pb2.JobEvent(sequence=1, candidate_decided={"step": step, "position": 1, "candidate_count": 2}))
        view.show(job_pb2.JobEvent(progress={"tasks_done": 3, "tasks_total": 2, "activity": "[/] odd"}))
    assert "[bold]x[/nonsense] ✓ accepted" in out.getvalue()
