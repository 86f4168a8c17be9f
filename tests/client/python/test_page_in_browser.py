"""The report page in a real browser, without a network: what is drawn is what the job measured."""

from __future__ import annotations

import json
import pathlib
import shutil
import statistics
from collections.abc import Iterator
from typing import Any

import pytest

from stockpot import page
from stockpot.page._vega import theme

pytest.importorskip("vl_convert")
playwright = pytest.importorskip("playwright.sync_api")

FIXTURE = pathlib.Path(__file__).parent / "fixtures" / "cifar_job.json"
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
# Every drawn mark of a figure: what row it is of, its place as numbers by the figure's own scales, its colours.
MARKS = """
(id) => {
  const view = window.stockpotReport.views.get(id).view;
  const back = (name, at) => {
    try { const scale = view.scale(name); return scale.invert ? scale.invert(at) : null; } catch { return null; }
  };
  const found = [];
  const walk = (item, type) => {
    if (item.items && item.marktype) { for (const each of item.items) walk(each, item.marktype); return; }
    if (item.items) for (const each of item.items) walk(each, null);
    if (type && item.datum && item.mark.role === "mark") found.push({
      type, row: JSON.parse(JSON.stringify(item.datum)), x: back("x", item.x), y: back("y", item.y),
      x2: back("x", item.x2 ?? item.x + (item.width || 0)), fill: item.fill, opacity: item.opacity,
    });
  };
  walk(view.scenegraph().root, null);
  return found;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed (apt-get install chromium)")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    return page.to_html(page.read_job(FIXTURE.read_text(encoding="utf-8")), path)


def open_page(browser: Any, file: pathlib.Path, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    """The page when it is drawn, and what it said on the console or asked the network for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    opened = context.new_page()
    heard: list[str] = []
    opened.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.on("request", lambda request: heard.append(request.url) if request.url != file.as_uri() else None)
    opened.goto(file.as_uri())
    opened.evaluate("window.stockpotReport.ready")
    return opened, heard


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_looks(browser: Any, file: pathlib.Path, width: int, scheme: str) -> None:
    opened, heard = open_page(browser, file, width, scheme)
    assert heard == [] and opened.evaluate("window.stockpotReport.failures") == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    # Nothing that cannot be scrolled sticks out, and every figure was drawn with a name for those who do not see it.
    outside = (
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.wide') && e.getBoundingClientRect().right >"
        " innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert opened.evaluate(outside) == []
    figures = opened.evaluate(
        "[...document.querySelectorAll('figure')].map(f => [f.id, f.querySelectorAll('.plot svg [aria-label]').length,"
        " f.querySelector('table').rows.length])"
    )
    assert len(figures) == 12 and all(marks > 0 and rows > 2 for _, marks, rows in figures), figures
    paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 25, 30)")
    opened.context.close()


def test_the_scheme_may_change_while_it_is_open(browser: Any, file: pathlib.Path) -> None:
    opened, heard = open_page(browser, file)
    opened.emulate_media(color_scheme="dark")
    # The page hears of it with its next frame, which a busy machine draws when it can: the colour is waited for.
    label = "document.querySelector('#figure-shifts svg .role-axis-label text')?.getAttribute('fill')"
    opened.wait_for_function(f"muted => {label} === muted", arg=theme()["palettes"]["dark"]["muted"])
    opened.evaluate("window.stockpotReport.ready")
    assert heard == [] and opened.evaluate("window.stockpotReport.failures") == []
    opened.context.close()


@pytest.fixture(scope="module")
def drawn(browser: Any, file: pathlib.Path) -> Iterator[Any]:
    opened, _ = open_page(browser, file)
    yield lambda id: opened.evaluate(f"({MARKS})({json.dumps(id)})")
    opened.context.close()


def top1(scores: list[dict[str, Any]], data_set: str) -> float:
    return next(float(each["score"]["top1"]) for each in scores if each["data_set"] == data_set)


def test_shifts(drawn: Any, job: dict[str, Any]) -> None:
    result = job["report"]["result"]
    shifts = [each["name"] for each in result["data_sets"] if each["role"] == "distribution_shift"]
    expected = {
        each["display_name"]: (
            top1(each["scores"], "held_out"),
            statistics.fmean(top1(each["scores"], name) for name in shifts),
        )
        for each in result["ingredients"]
        if each["scores"]
    }
    expected |= {
        each["kind"].replace("_", " "): (top1(each["scores"], "held_out"), each["mean_of_shifts"])
        for each in result["blends"]
    }
    found = {mark["row"]["name"]: (mark["x"], mark["y"]) for mark in drawn("shifts")}
    assert found.keys() == expected.keys() and len(found) == 13 + 7
    for name, place in expected.items():
        assert found[name] == pytest.approx(place, abs=1e-9), name


def test_the_path(drawn: Any, job: dict[str, Any]) -> None:
    steps = job["report"]["result"]["steps"]
    marks = drawn("path-0")
    tried = {
        mark["row"]["name"]: mark
        for mark in marks
        if mark["type"] == "symbol" and mark["row"]["what"] != "the candidate alone"
    }
    assert len(tried) == len(steps)
    for step in steps:
        mark = tried[step["candidate"]]
        assert mark["x"] == pytest.approx(step["score"]["top1"], abs=1e-9)
        assert mark["row"]["what"] == ("kept" if step["accepted"] else "dropped")
    alone = {mark["row"]["name"]: mark["x"] for mark in marks if mark["row"]["what"] == "the candidate alone"}
    for each in job["report"]["result"]["ingredients"]:
        if each["scores"]:
            assert alone[each["display_name"]] == pytest.approx(top1(each["scores"], "held_out"), abs=1e-9)
    best = 0.0
    line = {mark["row"]["step"]: mark["x"] for mark in marks if mark["type"] == "line"}
    for at, step in enumerate(steps, 1):
        best = step["score"]["top1"] if step["accepted"] else best
        assert line[at] == pytest.approx(best, abs=1e-9)


def test_gains(drawn: Any, job: dict[str, Any]) -> None:
    marks = drawn("gains")
    for gain in job["report"]["result"]["gains"]:
        (rule,) = (mark for mark in marks if mark["type"] == "rule" and mark["row"].get("set") == gain["data_set"])
        assert (rule["x"], rule["x2"]) == pytest.approx((gain["lower"], gain["upper"]), abs=1e-9)
        (point,) = (mark for mark in marks if mark["type"] == "symbol" and mark["row"]["set"] == gain["data_set"])
        assert point["x"] == pytest.approx(gain["top1_difference"], abs=1e-9)


def test_pairs(drawn: Any, job: dict[str, Any]) -> None:
    found = {
        (mark["row"]["pair"], mark["row"]["what"], round(mark["x"], 6)): mark["y"]
        for mark in drawn("pairs")
        if mark["type"] == "symbol"
    }
    expected = {}
    for pair in job["report"]["result"]["pairs"]["pairs"]:
        for point in pair["points"]:
            name = f"{pair['first']} – {pair['second']}"
            expected[name, "weights averaged", point["coefficient"]] = 1 - point["score"]["top1"]
            if point.get("ensemble_score"):
                expected[name, "logits averaged", point["coefficient"]] = 1 - point["ensemble_score"]["top1"]
    assert found == pytest.approx(expected, abs=1e-9)
    gaps = [
        point["gap"]
        for pair in job["report"]["result"]["pairs"]["pairs"]
        for point in pair["points"]
        if point.get("gap")
    ]
    places = [(mark["x"], mark["y"]) for mark in drawn("approximation") if mark["type"] == "symbol"]
    for gap, place in zip(gaps, places, strict=True):
        assert place == pytest.approx((gap["soup_loss"] - gap["ensemble_loss"], gap["approximation"]), abs=1e-9)


def test_the_curve_and_the_coefficients(drawn: Any, job: dict[str, Any]) -> None:
    result = job["report"]["result"]
    found = {
        (mark["row"]["set"], round(mark["x"], 6)): mark["y"] for mark in drawn("wise-ft-0") if mark["type"] == "symbol"
    }
    for point in result["wise_ft"]["points"]:
        at = round(point["coefficient"], 6)
        assert found["held_out", at] == pytest.approx(top1(point["scores"], "held_out"), abs=1e-9)
        assert found["mean over shifts", at] == pytest.approx(point["mean_of_shifts"], abs=1e-9)
    (learned,) = (each for each in result["comparisons"] if each.get("learned"))
    bars = [mark["x2"] for mark in drawn("learned-3") if mark["type"] == "rect"]
    assert bars == pytest.approx(learned["learned"]["coefficients"], abs=1e-9)


def test_maps(drawn: Any, job: dict[str, Any]) -> None:
    result = job["report"]["result"]
    cells = [mark for mark in drawn("landscape") if mark["type"] == "shape"]
    expected = {(point["x"], point["y"]): 1 - point["score"]["top1"] for point in result["landscape"]["points"]}
    assert {(mark["row"]["x"], mark["row"]["y"]): mark["row"]["error"] for mark in cells} == pytest.approx(
        expected, abs=1e-12
    )
    # Darker is worse, cell by cell: red falls monotonically from light to dark.
    by_error = sorted(cells, key=lambda mark: float(mark["row"]["error"]))
    reds = [int(mark["fill"][4:].split(",")[0]) for mark in by_error]
    assert reds == sorted(reds, reverse=True) and reds[0] > reds[-1]
    names, angles = result["angles"]["ingredients"], result["angles"]["angles"]
    squares = [mark["row"] for mark in drawn("angles") if mark["type"] == "rect"]
    assert len(squares) == len(names) * (len(names) - 1)
    for square in squares:
        assert square["angle"] == angles[square["first"] * len(names) + square["second"]]


def test_a_table_for_those_who_do_not_see_it(browser: Any, file: pathlib.Path, job: dict[str, Any]) -> None:
    opened, _ = open_page(browser, file, 390)
    opened.click("#figure-path-0 summary")
    shown = opened.inner_text("#figure-path-0 table").replace("\u00a0", " ")
    for step in job["report"]["result"]["steps"]:
        assert f"{100 * step['score']['top1']:.2f} %" in shown
    opened.context.close()


def test_figures_are_saved(browser: Any, file: pathlib.Path) -> None:
    opened, _ = open_page(browser, file)
    for format, head in [("svg", b"<svg"), ("png", b"\x89PNG")]:
        with opened.expect_download() as download:
            opened.click(f"#figure-gains button[data-save={format}]")
        assert download.value.suggested_filename == f"gains.{format}"
        assert pathlib.Path(download.value.path()).read_bytes().startswith(head)
    opened.context.close()
