"""The report page has the job's numbers and says why; it asks no network; names of others stay text."""

from __future__ import annotations

import html.parser
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

import stockpot
from stockpot import _program, errors
from stockpot.v1 import job_pb2, report_pb2
from support import Server, programs

pytest.importorskip("vl_convert")
from stockpot import page  # noqa: E402
from stockpot.page import _assemble, _outliers, _path  # noqa: E402
from stockpot.page._reading import Reading  # noqa: E402
from stockpot.page._vega import image  # noqa: E402

FIXTURE = pathlib.Path(__file__).parent / "fixtures" / "cifar_job.json"
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def cifar() -> stockpot.Report:
    """Of a real job over the shared CIFAR-10 sweep, with every analysis, a copy and a file that was not there."""
    return page.read_job(FIXTURE.read_text(encoding="utf-8"))


class Text(html.parser.HTMLParser):
    """What a page shows, the tags it has, and what it would load."""

    def __init__(self, text: str):
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.scripts = 0
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._silent += tag in ("script", "style")
        for name, value in attributes:
            assert not name.startswith("on")
            if name in ("src", "href") and not (value or "").startswith("#"):
                self.loads.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data.replace("\u00a0", " "))

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def test_one_file_that_asks_no_network(cifar: stockpot.Report, tmp_path: pathlib.Path) -> None:
    path = cifar.to_html(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < MOST_BYTES and path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    assert Text(text).loads == []
    assert "default-src 'none'" in text and "unsafe-eval" not in text and "script-src 'sha256-" in text
    assert page.render(cifar) == text  # the same job, the same bytes


def test_tables_have_the_jobs_numbers(cifar: stockpot.Report) -> None:
    shown = Text(page.render(cifar)).text
    for model in [*cifar.result.blends, *cifar.result.ingredients]:
        for entry in model.scores:
            assert cifar.show(entry.score) in shown
    for gain in cifar.result.gains:
        assert f"{100 * gain.top1_difference:+.2f} points".replace("-", "−") in shown
    assert cifar.result.headline in shown and cifar.result.soup_digest in shown
    assert f"{cifar.cost.evaluations_run:,} run" in shown and f"{cifar.cost.examples_evaluated:,} evaluated" in shown
    for data_set in cifar.result.data_sets:
        assert data_set.digest in shown
    assert "model_03_copy holds the same weights as model_03." in shown
    assert "nothing.safetensors: cannot open" in shown


@pytest.mark.parametrize(
    "figure, fields",
    [
        ("gains", ["gains"]),
        ("shifts", ["data_sets"]),
        ("path-0", ["steps"]),
        ("wise-ft-0", ["wise_ft"]),
        ("angles", ["angles"]),
        ("pairs", ["pairs"]),
        ("approximation", ["pairs"]),
        ("angle-gains", ["pairs"]),
        ("landscape", ["landscape"]),
    ],
)
def test_a_figure_is_there_only_with_its_data(cifar: stockpot.Report, figure: str, fields: list[str]) -> None:
    assert figure in {each.id for each in _assemble.figures(cifar)}
    without = report_pb2.Report()
    without.CopyFrom(cifar.message)
    for field in fields:
        without.result.ClearField(field)
    assert figure not in {each.id for each in _assemble.figures(stockpot.Report(without))}
    assert f'id="figure-{figure}"' not in page.render(stockpot.Report(without))


def test_every_candidate_has_its_reason(cifar: stockpot.Report) -> None:
    first = _path.paths(Reading(cifar))[0]
    reasons = {step.candidate: reason for step, reason in first.reasons()}
    assert len(reasons) == len(cifar.result.steps) == 13
    assert reasons["model_07"] == "Kept: the soup begins with it, at 70.52 %."
    assert reasons["model_05"] == "Kept: the soup went from 70.52 % to 70.64 % with it (3 examples more right)."
    tie = "Dropped: the soup with it scores 70.52 %; it had to be better than 70.52 % (as many examples right)."
    assert reasons["model_04"] == tie


def test_what_else_happens_to_candidates() -> None:
    def score(right: int) -> report_pb2.Score:
        return report_pb2.Score(example_count=100, top1_correct=right, top1=right / 100)

    result = report_pb2.ReportResult(
        metric="TOP1",
        chosen="greedy",
        recipe_choices=["acceptance=NOT_WORSE"],
        data_sets=[{"name": "held_out", "role": "held_out"}],
        ingredients=[{"display_name": name, "group": "run"} for name in "abcd"],
        steps=[
            {"candidate": "a", "accepted": True, "score": score(50), "soup_size": 1},
            {"candidate": "b", "not_better_than": score(50), "soup_size": 1},
            {"candidate": "c", "passed_over": True, "soup_size": 1},
            {"candidate": "d", "score": score(49), "soup_size": 1},
        ],
        stopped_because="max_evaluations: 5",
    )
    report = stockpot.Report(report_pb2.Report(result=result))
    (path,) = _path.paths(Reading(report))
    assert [reason for _, reason in path.reasons()][1:] == [
        "Dropped early: it was proven that the soup with it is worse than 50.00 %.",
        "Not tried: another of its group 'run' is in the soup.",
        "Dropped: the soup with it scores 49.00 %; it must not be worse than 50.00 % (1 example fewer right).",
    ]
    assert [row["tried"] for row in path.rows()] == [0.5, 0.5, None, 0.49]
    assert [row["what"] for row in path.rows()] == ["kept", "dropped early", "not tried", "dropped"]
    assert "max_evaluations: 5" in Text(page.render(report)).text


def test_losses_are_better_when_lower() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    losses = [1.0, 1.01, 0.99, 1.02, 1.0, 3.0]
    ingredients = [
        {"display_name": name, "scores": [{"data_set": "h", "score": {"example_count": 9, "cross_entropy": loss}}]}
        for name, loss in zip(names, losses)
    ]
    result = report_pb2.ReportResult(metric="CROSS_ENTROPY", data_sets=[{"name": "h"}], ingredients=ingredients)
    (sentence,) = _outliers.outliers(Reading(stockpot.Report(report_pb2.Report(result=result))))
    assert sentence == "f has 3.0000 on h, far above the median of 1.0050."


def test_names_of_others_stay_text(cifar: stockpot.Report) -> None:
    evil = "</script><script>alert('1')</script><!--\"'@accent"

    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poison(each) for key, each in value.items()}
        if isinstance(value, list):
            return [poison(each) for each in value]
        if not isinstance(value, str) or re.fullmatch(r"[A-Z_0-9]*|[\d.:T-]*Z?|greedy.*", value):
            return value  # numbers, enumerators, times
        return value.replace("model_0", evil).replace("shift_blur", evil).replace("CIFAR", evil)

    report = page.read_job(json.dumps(poison(json.loads(FIXTURE.read_text(encoding="utf-8")))))
    assert any(evil in each.display_name for each in report.result.ingredients)
    text = page.render(report)
    # The block of data and our two, however many there are in the names.
    assert text.count("<script") == 3 and text.count("</script>") == 3
    shown, plain = Text(text), Text(page.render(cifar))
    assert set(shown.tags) == set(plain.tags) and evil in shown.text


def test_what_is_no_number_is_not_drawn(cifar: stockpot.Report) -> None:
    message = report_pb2.Report()
    message.CopyFrom(cifar.message)
    message.result.blends[1].scores[0].score.top1 = float("nan")
    message.result.gains[0].lower = float("-inf")
    message.result.pairs.pairs[0].points[1].score.top1 = float("nan")
    text = page.render(stockpot.Report(message))
    block = re.search(r'id="report-figures">(.*?)</script>', text, re.DOTALL)
    assert block and not re.search(r"NaN|Infinity", block[1])
    assert json.loads(block[1])["figures"]
    for figure in _assemble.figures(stockpot.Report(message)):
        assert image(figure, "svg").startswith(b"<svg")


def test_a_thousand_ingredients() -> None:
    score = {"example_count": 1000, "top1": 0.5, "top1_correct": 500}
    names = [f"model_{i:04d}" for i in range(1000)]
    scores = [{"data_set": name, "score": score} for name in ("held_out", "shift")]
    result = report_pb2.ReportResult(
        metric="TOP1",
        chosen="greedy",
        data_sets=[{"name": "held_out", "role": "held_out"}, {"name": "shift", "role": "distribution_shift"}],
        ingredients=[{"display_name": name, "scores": scores} for name in names],
        steps=[{"candidate": name, "accepted": not i, "score": score, "soup_size": 1} for i, name in enumerate(names)],
        blends=[{"kind": "greedy", "ingredients": names[:1], "scores": scores, "mean_of_shifts": 0.5}],
    )
    report = stockpot.Report(report_pb2.Report(result=result))
    assert {figure.id for figure in _assemble.figures(report)} == {"shifts", "path-0"}
    assert len(page.render(report)) < 2 * MOST_BYTES


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "expected the JSON of"),
        ("[1]", "expected the JSON of"),
        (b"\xff\xfe", "expected the JSON of"),
        ("{}", "expected a job or a report"),
        ('{"name":"jobs/x","state":"RUNNING"}', "jobs/x is RUNNING"),
        ('{"result":{"metric":7}}', "expected the JSON of"),
        ("[" * 100_000, "expected the JSON of"),
    ],
)
def test_what_is_no_job_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=f"given: .*{words}"):
        page.read_job(text, "given")


def test_a_report_json_and_newer_fields_are_read() -> None:
    report = page.read_job('{"result":{"metric":"TOP1","from_the_future":{"a":1}}}')
    assert report.job is None and "top-1" in page.render(report)


def test_figures_as_files(cifar: stockpot.Report, tmp_path: pathlib.Path) -> None:
    names = [figure.id for figure in _assemble.figures(cifar)]
    paths = page.write_figures(cifar, tmp_path / "figures", ["svg", "png"], "dark")
    assert [path.name for path in paths] == [f"{name}.{format}" for name in names for format in ("svg", "png")]
    for path in paths:
        head = path.read_bytes()[:8]
        assert head == b"\x89PNG\r\n\x1a\n" if path.suffix == ".png" else head.startswith(b"<svg")
    drawn = (tmp_path / "figures" / "shifts.svg").read_text(encoding="utf-8")
    assert "model_07" in drawn and "@" not in re.sub(r'aria-label="[^"]*"', "", drawn)


def test_the_program_with_a_server_and_with_a_file(
    server: Server,
    done: stockpot.Job,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _program.main(["report", done.name, "--server", server.address, "--figures", "figures"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "report.html"
    live = pathlib.Path("report.html").read_text(encoding="utf-8")
    assert done.name in live and pathlib.Path("figures/path-0.svg").exists()
    from google.protobuf import json_format

    pathlib.Path("job.json").write_text(json_format.MessageToJson(done.message, preserving_proto_field_name=True))
    assert _program.report_main(["job.json", "-o", "saved.html"]) == 0
    assert pathlib.Path("saved.html").read_text(encoding="utf-8") == live
    done.report.to_html("again.html")
    assert pathlib.Path("again.html").read_text(encoding="utf-8") == live


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["no.json"], 2, "no.json"),
        (["{folder}/bad.json"], 2, "bad.json: expected the JSON"),
        (["nobody"], 2, "nobody"),
        (["x", "--server", "127.0.0.1:1"], 4, "127.0.0.1:1|nnect"),
        (["{fixture}", "-o", "/no/folder/report.html"], 2, "/no/folder"),
    ],
)
def test_exit_codes(
    server: Server,
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKPOT_SERVER", server.address)
    (tmp_path / "bad.json").write_text("no")
    given = [each.format(folder=tmp_path, fixture=FIXTURE) for each in arguments]
    assert _program.report_main(given) == code
    assert re.search(words, capsys.readouterr().err)


def test_a_job_that_failed_says_so(cifar: stockpot.Report) -> None:
    assert cifar.job is not None
    message = job_pb2.Job()
    message.CopyFrom(cifar.job)
    message.state = job_pb2.Job.FAILED
    message.error.message = "worker died <b>twice</b>"
    shown = page.render(stockpot.Report(message.report, message))
    assert (
        "FAILED" in shown and "worker died &lt;b&gt;twice&lt;/b&gt;. The report has what was measured so far." in shown
    )


def test_exit_codes_are_those_of_the_program() -> None:
    refused = [
        errors.InvalidArgument,
        errors.NotFound,
        errors.AlreadyExists,
        errors.PermissionDenied,
        errors.Unauthenticated,
    ]
    assert {_program.exit_code(error("x")) for error in refused} == {2}
    assert {_program.exit_code(error("x")) for error in [errors.Unavailable, errors.DeadlineExceeded]} == {4}
    assert {_program.exit_code(error("x")) for error in [errors.Internal, errors.DataLoss, errors.StockpotError]} == {5}


def test_the_program_makes_the_page(server: Server, done: stockpot.Job, tmp_path: pathlib.Path) -> None:
    """`stockpot report JOB -o FILE` has this package make it, and says how to install what is not there."""

    def run(folder: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command: list[str | pathlib.Path] = [programs() / "stockpot", "report", done.name, "--server", server.address]
        command += ["-o", folder / "page.html", "--figures", folder / "figures", "--figure-format", "png"]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, cwd=folder)

    python = pathlib.Path(sys.executable).parent
    made = run(tmp_path, PATH=f"{python}:{os.environ['PATH']}")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(str(tmp_path / "page.html"))
    assert 'id="figure-path-0"' in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert list((tmp_path / "figures").glob("*.png"))
    # Another Python; and a folder of the package's name is not the package.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to("/usr/bin/python3")
    (tmp_path / "stockpot").mkdir()
    (tmp_path / "stockpot" / "_program.py").write_text("main = print")
    missing = run(tmp_path, PATH=str(tmp_path / "bin"), PYTHONPATH="", PYTHONNOUSERSITE="1")
    assert missing.returncode == 5 and "pip install" in missing.stderr and "Traceback" not in missing.stderr
    none = run(tmp_path, PATH=str(tmp_path))
    assert none.returncode == 2 and "cannot start python3" in none.stderr
