"""A pipeline's step against the real server: outputs, exit codes, attempts that come again, digests, trackers."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import types
from typing import Any

import pytest
import yaml

import stockpot
from stockpot import errors, tracking
from stockpot.pipeline import read_job_file
from stockpot.pipeline._digest import digest_of
from support import MODELS, Server, Sweep

VALUES = ["job", "state", "soup_uri", "soup_sha256", "soup_digest", "scores", "metrics.json"]


def write_job(sweep: Sweep, path: pathlib.Path, **more: Any) -> pathlib.Path:
    spec = {
        "model": {"architecture_uri": str(MODELS / "linear.pt")},
        "ingredients": [{"uri": os.path.relpath(each, path.parent)} for each in sweep.ingredients],
        "evaluation": {
            "held_out": {"uri": os.path.relpath(sweep.held_out, path.parent)},
            "report_sets": [{"name": "test", "uri": str(sweep.test), "role": "FINAL"}],
        },
        **more,
    }
    path.write_text(json.dumps(spec) if path.suffix == ".json" else yaml.safe_dump(spec))
    return path


def step(*arguments: object, server: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any], str]:
    """Exit code, the line of standard output, and the log."""
    done = subprocess.run(
        [sys.executable, "-m", "stockpot", "step", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "STOCKPOT_SERVER": server, **(env or {})},
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout + done.stderr
    return done.returncode, json.loads(lines[0]), done.stderr


def test_outputs(server: Server, sweep: Sweep, folder: pathlib.Path, client: stockpot.Client) -> None:
    job = write_job(sweep, folder / "job.yaml", compute={"measure_again": True})
    code, line, log = step(
        *[job, "--request-id", "run-1-soup", "--outputs", folder / "out", "--download", folder / "soup"],
        server=server.address,
    )
    assert code == 0 and line["state"] == "SUCCEEDED" and not line["retryable"] and line["exit_code"] == 0
    found = {path.name: path.read_text() for path in (folder / "out").iterdir()}
    assert sorted(found) == sorted(VALUES)
    ended = client.job(found["job"])
    report = ended.report
    soup = next(file for file in ended.artifacts if file.file == "soup.safetensors")
    assert found["soup_uri"] == (folder / "soup" / "soup.safetensors").as_uri() == line["soup_uri"]
    assert (found["soup_sha256"], found["soup_digest"]) == (soup.sha256, report.result.soup_digest)
    scores = {entry.data_set: report.value(entry.score) for entry in report.chosen.scores}
    assert json.loads(found["scores"]) == scores == line["scores"] and set(scores) == {"held_out", "test"}
    metrics = json.loads(found["metrics.json"])
    assert metrics["gains"] == {gain.data_set: gain.difference for gain in report.result.gains}
    assert metrics["ingredients_in_soup"] == len(report.chosen.ingredients)
    assert "accepted" in log and "SUCCEEDED" in log and "\x1b" not in log


def test_an_attempt_that_comes_again_rejoins_its_job(server: Server, sweep: Sweep, folder: pathlib.Path) -> None:
    job = write_job(sweep, folder / "job.json")
    first = step(job, "--request-id", "run-2-soup", server=server.address)
    again = step(job, "--request-id", "run-2-soup", server=server.address)
    other = step(job, "--request-id", "run-3-soup", server=server.address)
    assert first[1] == again[1] and other[1]["job"] != first[1]["job"]
    assert first[1]["soup_uri"] == f"{first[1]['job']}/soup.safetensors"
    code, line, _ = step(
        write_job(sweep, folder / "other.json", recipe={"uniform": {}}),
        "--request-id",
        "run-2-soup",
        server=server.address,
    )
    assert code == 2 and "request" in line["message"]


def test_a_failed_job_is_queued_again_by_the_next_attempt(server: Server, sweep: Sweep, folder: pathlib.Path) -> None:
    missing = folder / "late.safetensors"
    job = write_job(
        sweep, folder / "job.yaml", ingredients=[{"uri": str(each)} for each in [sweep.ingredients[0], missing]]
    )
    code, line, log = step(job, "--request-id", "run-4-soup", "--outputs", folder / "out", server=server.address)
    assert (code, line["state"], line["retryable"]) == (1, "FAILED", False) and "late.safetensors" in log
    assert (folder / "out" / "soup_uri").read_text() == ""
    missing.write_bytes(sweep.ingredients[1].read_bytes())
    code, second, log = step(job, "--request-id", "run-4-soup", server=server.address)
    assert (code, second["job"]) == (0, line["job"]) and "queued again" in log


@pytest.mark.parametrize(
    "content, words",
    [("[1]", "expected a mapping"), ("a: [", "is not YAML"), ("nonsense: 1", "nonsense"), (None, "cannot be read")],
)
def test_bad_input(server: Server, tmp_path: pathlib.Path, content: str | None, words: str) -> None:
    job = tmp_path / "job.yaml"
    if content is not None:
        job.write_text(content)
    code, line, _ = step(job, "--request-id", "x", server=server.address)
    assert code == 2 and words in line["message"] and line["job"] == ""
    with pytest.raises(errors.InvalidArgument, match=words):
        read_job_file(job)


def test_no_server_is_retryable(sweep: Sweep, folder: pathlib.Path) -> None:
    job = write_job(sweep, folder / "job.yaml")
    code, line, _ = step(job, "--request-id", "x", "--outputs", folder / "out", server="127.0.0.1:1")
    assert (code, line["exit_code"], line["retryable"]) == (75, 75, True)
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(VALUES)
    code, line, _ = step(job, server="127.0.0.1:1")
    assert code == 2 and "--request-id" in line["message"]


def slow_job(sweep: Sweep, folder: pathlib.Path, name: str) -> pathlib.Path:
    big = Sweep(folder / name, count=30, examples=20_000)
    return write_job(big, folder / f"{name}.yaml", compute={"batch_size": 1, "measure_again": True})


def test_time_is_over_and_the_job_goes_on(
    server: Server, sweep: Sweep, folder: pathlib.Path, client: stockpot.Client
) -> None:
    job = slow_job(sweep, folder, "slow")
    code, line, _ = step(job, "--request-id", "run-5-soup", "--timeout", "1", server=server.address)
    assert (code, line["retryable"]) == (75, True)
    left = client.job(line["job"])
    assert not left.has_ended
    left.cancel()


@pytest.mark.parametrize("flags, code, state", [([], 75, "RUNNING"), (["--cancel-when-terminated"], 3, "CANCELLED")])
def test_a_pod_that_is_told_to_end(
    server: Server, sweep: Sweep, folder: pathlib.Path, client: stockpot.Client, flags: list[str], code: int, state: str
) -> None:
    job = slow_job(sweep, folder, "slow")
    command = [sys.executable, "-m", "stockpot", "step", str(job), "--request-id", f"{folder.name}-soup", *flags]
    env = {**os.environ, "STOCKPOT_SERVER": server.address}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "RUNNING" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    line = json.loads(out)
    assert (process.returncode, line["exit_code"]) == (code, code)
    left = client.job(line["job"])
    assert left.state == state
    if not left.has_ended:
        left.cancel()


def test_the_digest_is_of_content(server: Server, sweep: Sweep, folder: pathlib.Path) -> None:
    job = write_job(sweep, folder / "job.yaml")
    code, line, _ = step(job, "--digest", "--outputs", folder / "out", server=server.address)
    digest = line["inputs_sha256"]
    assert code == 0 and len(digest) == 64 and (folder / "out" / "inputs_sha256").read_text() == digest
    # The same content elsewhere: the same digest. Another weight: another.
    copies = folder / "copies"
    copies.mkdir()
    uris = []
    for each in sweep.ingredients:
        (copies / each.name).write_bytes(each.read_bytes())
        uris.append({"uri": str(copies / each.name), "display_name": ""})
    moved = write_job(sweep, folder / "moved.yaml", ingredients=uris)
    assert step(moved, "--digest", server=server.address)[1]["inputs_sha256"] == digest
    assert step(moved, "--expect-digest", digest, "--request-id", "run-6", server=server.address)[0] == 0
    (copies / sweep.ingredients[0].name).write_bytes(sweep.ingredients[1].read_bytes())
    assert step(moved, "--digest", server=server.address)[1]["inputs_sha256"] != digest
    code, line, _ = step(moved, "--expect-digest", digest, "--request-id", "run-7", server=server.address)
    assert code == 2 and "the inputs have digest" in line["message"] and line["job"] == ""
    pattern = write_job(sweep, folder / "pattern.yaml", ingredients=[{"uri_pattern": str(copies / "*.safetensors")}])
    code, line, _ = step(pattern, "--digest", server=server.address)
    assert code == 2 and "uri_pattern" in line["message"]


def test_a_transform_is_what_its_file_asks_for(client: stockpot.Client, sweep: Sweep, folder: pathlib.Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name in ["cat", "dog"]:
        (folder / "pictures" / name).mkdir(parents=True)
        image.new("RGB", (12, 9), color="red" if name == "cat" else "blue").save(folder / "pictures" / name / "0.png")

    def digest(config: str, mean: float) -> str:
        asked = {
            "image_processor_type": "CLIPImageProcessor",
            **{"do_resize": True, "size": {"shortest_edge": 8}, "resample": 3},
            **{"do_center_crop": True, "crop_size": {"height": 8, "width": 8}},
            **{"do_rescale": True, "rescale_factor": 1 / 255},
            **{"do_normalize": True, "image_mean": [mean] * 3, "image_std": [0.5] * 3},
        }
        (folder / config).write_text(json.dumps(asked))
        pictures = stockpot.data_set(folder / "pictures")
        pictures.image_transform.config_uri = str(folder / config)
        return digest_of(client, stockpot.job_spec(**{**sweep.arguments(), "held_out": pictures}))

    first = digest("a.json", 0.5)
    assert digest("elsewhere.json", 0.5) == first and digest("a.json", 0.25) != first


def test_github_outputs_and_output_uri(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("github")
    server = Server(folder, f"--allowed_output_root={folder}", f"--allowed_root={sweep.folder}")
    try:
        job = write_job(sweep, folder / "job.yaml", output={"output_uri": str(folder / "soup")})
        file = folder / "github_output"
        file.write_text("before=1\n")
        code, line, _ = step(
            job, "--request-id", "x", "--github-output", server=server.address, env={"GITHUB_OUTPUT": str(file)}
        )
        assert code == 0
        found = dict(each.split("=", 1) for each in file.read_text().splitlines())
        assert set(found) == {"before", *VALUES} - {"metrics.json"} and found["soup_uri"] == line["soup_uri"]
        assert line["soup_uri"] == (folder / "soup" / "soup.safetensors").as_uri()
        assert (folder / "soup" / "soup.safetensors").exists()
    finally:
        server.stop()


def test_what_trackers_are_told(done: stockpot.Job) -> None:
    report = done.report
    found = tracking.metrics(report)
    for blend in report.result.blends:
        for entry in blend.scores:
            assert found[f"{blend.kind}.{entry.data_set}.top1"] == entry.score.top1
    assert tracking.parameters(report)["recipe.acceptance"] == "STRICT_IMPROVEMENT"
    assert tracking.tags(report)["stockpot.job"] == done.name


def test_what_cannot_be_written_does_not_hide_the_soup(server: Server, sweep: Sweep, folder: pathlib.Path) -> None:
    job = write_job(sweep, folder / "job.yaml")
    flags = ["--request-id", folder.name, "--outputs", folder / "out", "--html", "/proc/no/report.html"]
    code, line, log = step(job, *flags, server=server.address)
    assert code == 5 and line["state"] == "SUCCEEDED" and not line["retryable"] and "not all was written" in log
    assert (folder / "out" / "soup_sha256").read_text() == line["soup_sha256"] != ""


class Recorder(types.ModuleType):
    """A module any function of which can be called."""

    def __init__(self, name: str):
        super().__init__(name)
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            return None if name == "active_run" else self

        return call

    def __enter__(self) -> Any:
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))

    def __exit__(self, *ignored: object) -> None:
        self.calls.append("end")


def test_mlflow_without_mlflow(done: stockpot.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Recorder("mlflow")
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    assert tracking.log_to_mlflow(done.report) == "r1"
    logged = ["log_params", "log_metrics", "set_tags", "log_artifact"]
    assert fake.calls[:5] == ["active_run", "start_run", *logged[:3]] and fake.calls[-1] == "end"
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(errors.FailedPrecondition, match=r"stockpot\[mlflow\]"):
        tracking.log_to_mlflow(done.report)


def test_the_real_mlflow(done: stockpot.Job, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    run = mlflow.get_run(tracking.log_to_mlflow(done.report))
    assert run.data.metrics == pytest.approx(tracking.metrics(done.report))
    assert run.data.params == tracking.parameters(done.report) and run.info.status == "FINISHED"
    with mlflow.start_run() as mine:
        assert tracking.log_to_mlflow(done.report) == mine.info.run_id == mlflow.active_run().info.run_id
    assert list(tmp_path.rglob("report.json"))


def test_the_real_wandb(done: stockpot.Job, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    run = wandb.init(project="x")
    assert tracking.log_to_wandb(done.report) == run.id
    assert dict(run.summary)["greedy.test.top1"] == done.report.chosen.scores[1].score.top1
    run.finish()
    assert tracking.log_to_wandb(done.report) and wandb.run is None
