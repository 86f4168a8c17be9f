"""Jobs from their making to their end, through the real server."""

from __future__ import annotations

import pathlib

import pytest

import stockpot
from stockpot import errors
from stockpot.v1 import job_pb2, soup_service_pb2, spec_pb2
from support import MODELS, Server, Sweep


def test_a_job_succeeds_and_tells_how(client: stockpot.Client, done: stockpot.Job, sweep: Sweep) -> None:
    report = done.result()
    assert report.metric == "top1"
    assert report.chosen.kind == "greedy"
    assert [each.display_name for each in report.result.ingredients] == [path.name for path in sweep.ingredients]
    assert "held_out" in str(report) and report.to_dict()["result"]["chosen"] == "greedy"
    assert client.job(done.name).report.result == report.result
    with pytest.raises(LookupError, match="uniform"):
        report.blend("no_such")


def test_the_same_request_makes_one_job(client: stockpot.Client, sweep: Sweep) -> None:
    first = client.submit(**sweep.arguments(), request_id="once", labels={"test": "once"}, display_name="one")
    again = client.submit(**sweep.arguments(), request_id="once", labels={"test": "once"}, display_name="one")
    assert first.name == again.name
    with pytest.raises(errors.AlreadyExists) as caught:
        client.submit(**sweep.arguments(recipe="uniform"), request_id="once")
    assert caught.value.reason == "JOB_EXISTS"


def test_a_spec_may_be_a_message_or_a_mapping(client: stockpot.Client, sweep: Sweep) -> None:
    message = stockpot.job_spec(**sweep.arguments())
    mapping = {
        "model": {"architecture_uri": str(MODELS / "linear.pt")},
        "ingredients": [{"uri": str(path)} for path in sweep.ingredients],
        "evaluation": {
            "held_out": {"uri": str(sweep.held_out)},
            "report_sets": [{"name": "test", "uri": str(sweep.test)}],
        },
    }
    assert (
        client.submit(message, validate_only=True).message.spec
        == client.submit(mapping, validate_only=True).message.spec
    )
    over = client.submit(mapping, validate_only=True, recipe="learned-per-tensor")
    assert over.message.spec.recipe.learned.per_tensor and over.name == ""


def test_lists_page_by_page(client: stockpot.Client, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stockpot._requests._PAGE", 2)
    made = [client.submit(**sweep.arguments(), labels={"test": "list"}).name for _ in range(5)]
    assert [job.name for job in client.jobs("labels.test=list")] == made[::-1]
    assert [job.name for job in client.jobs("labels.test=list", order_by="create_time", limit=3)] == made[:3]
    with pytest.raises(errors.InvalidArgument) as caught:
        list(client.jobs("nonsense"))
    assert caught.value.violations[0].field == "filter"


def test_cancel_retry_and_delete(client: stockpot.Client, sweep: Sweep) -> None:
    job = client.submit(**sweep.arguments("slow.pt", compute={"batch_size": 1, "measure_again": True}))
    with pytest.raises(errors.FailedPrecondition, match="no report"):
        job.report
    with pytest.raises(errors.FailedPrecondition, match="no files"):
        job.download("nowhere")
    job.cancel()
    with pytest.raises(stockpot.JobCancelled) as caught:
        job.result(60)
    assert caught.value.job is job and job.has_ended
    assert job.retry().state in ("QUEUED", "RUNNING")
    with pytest.raises(errors.FailedPrecondition) as running:
        job.delete()
    assert running.value.reason == "JOB_NOT_ENDED"
    job.cancel().wait(60).delete()
    with pytest.raises(errors.NotFound) as gone:
        job.refresh()
    assert gone.value.reason == "JOB_NOT_FOUND"


def test_waiting_has_an_end(client: stockpot.Client, sweep: Sweep) -> None:
    job = client.submit(**sweep.arguments("slow.pt", compute={"batch_size": 1, "measure_again": True}))
    with pytest.raises(errors.DeadlineExceeded, match="has not ended"):
        job.wait(0.5)
    assert job.refresh().state in ("QUEUED", "RUNNING")
    job.cancel()


def test_a_job_that_failed_raises_its_error(client: stockpot.Client, sweep: Sweep) -> None:
    job = client.submit(**sweep.arguments("throws.pt"))
    with pytest.raises(stockpot.JobFailed, match="refuses to run") as caught:
        job.result(60)
    assert caught.value.reason == "MODEL_FAILED" and str(caught.value).startswith(f"{job.name} failed")
    assert job.error is not None and job.error.code == caught.value.code


def test_inspect(client: stockpot.Client, sweep: Sweep) -> None:
    checkpoint = client.inspect(checkpoint=sweep.ingredients[0], tensor_renames={"*": "model.*"})
    assert isinstance(checkpoint, soup_service_pb2.CheckpointDescription)
    assert {tensor.name: list(tensor.shape) for tensor in checkpoint.tensors} == {
        "model.weight": [3, 4],
        "model.bias": [3],
    }
    architecture = client.inspect(architecture=MODELS / "linear.pt")
    assert isinstance(architecture, soup_service_pb2.ArchitectureDescription) and len(architecture.tensors) == 2
    data_set = client.inspect(data_set=sweep.held_out)
    assert isinstance(data_set, soup_service_pb2.DataSetDescription) and data_set.example_count == 60
    with pytest.raises(errors.InvalidArgument, match="one of"):
        client.inspect()


def test_verify_by_name_and_by_manifest(client: stockpot.Client, done: stockpot.Job, tmp_path: pathlib.Path) -> None:
    assert client.verify(done.name).identical
    (manifest,) = done.download(tmp_path, ["manifest.json"])
    assert client.verify(manifest).identical
    with pytest.raises(errors.InvalidArgument) as caught:
        other = tmp_path / "other.json"
        other.write_text("{}")
        client.verify(other)
    assert caught.value.reason == "MANIFEST_INVALID"


def test_capabilities(client: stockpot.Client) -> None:
    found = client.capabilities()
    assert "greedy" in " ".join(found.recipes) and found.limits.max_ingredients > 0


def test_who_asks_is_told(server: Server, sweep: Sweep) -> None:
    with stockpot.Client(server.address, client="team-a") as named:
        assert named.submit(**sweep.arguments()).message.client == "team-a"


def test_messages_are_those_of_the_api(done: stockpot.Job) -> None:
    assert isinstance(done.message, job_pb2.Job) and isinstance(done.message.spec, spec_pb2.JobSpec)
    assert repr(done).endswith(f"{done.name} SUCCEEDED>")
