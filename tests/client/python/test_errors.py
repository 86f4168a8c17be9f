"""Errors have what the server said; the builder of specs names what it does not know."""

from __future__ import annotations

import datetime
import inspect as python_inspect
import pathlib
from typing import Any, get_type_hints

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

import stockpot
from stockpot import errors, spec
from stockpot.v1 import spec_pb2
from support import Sweep


def test_all_fields_at_fault_are_named(client: stockpot.Client) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        client.submit({"model": {}, "recipe": {"learned": {"epochs": -1}}})
    fields = {violation.field for violation in caught.value.violations}
    assert "spec.model.architecture_uri" in " ".join(fields) and len(fields) >= 3
    assert caught.value.reason == "INVALID_FIELD" and isinstance(caught.value, ValueError)
    assert all(field in str(caught.value) for field in fields)


def test_reasons_and_metadata(client: stockpot.Client, sweep: Sweep) -> None:
    with pytest.raises(errors.PermissionDenied) as caught:
        client.submit(**sweep.arguments() | {"architecture": "/etc/model.pt"})
    assert caught.value.reason == "ARCHITECTURE_NOT_ALLOWED"
    with pytest.raises(errors.NotFound) as missing:
        client.submit(**sweep.arguments() | {"ingredients": [sweep.folder / "no.safetensors"]}, validate_only=True)
    assert missing.value.reason == "CHECKPOINT_NOT_FOUND" and "ingredient" in missing.value.metadata


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_has_a_class(code: grpc.StatusCode) -> None:
    status = status_pb2.Status(code=code.value[0], message="m")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="R", metadata={"k": "v"}))
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromTimedelta(datetime.timedelta(seconds=1.5))
    status.details.add().Pack(retry)
    status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    error: errors.StockpotError = errors.from_status(status)
    assert (error.code, error.reason, error.metadata, error.retry_after) == (code, "R", {"k": "v"}, 1.5)
    assert type(error) is not errors.StockpotError or code is grpc.StatusCode.UNKNOWN


def test_a_server_that_is_not_there() -> None:
    with stockpot.Client("127.0.0.1:1", timeout=5) as client:
        with pytest.raises(errors.Unavailable, match="cannot reach the server at 127.0.0.1:1"):
            client.capabilities()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"metric": "top2"}, "metric: expected one of TOP1"),
        ({"recipe": "gready"}, "recipe: expected one of greedy"),
        ({"recipe": {"greedy": {"nothing": 1}}}, "nothing"),
        ({"ingredients": ["no*such.safetensors"]}, "no file matches"),
        ({"output": 3}, "output: expected Output or a mapping"),
    ],
)
def test_a_builder_names_what_it_does_not_know(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=words):
        stockpot.job_spec(**arguments)


def test_a_builder_makes_paths_absolute(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ["b.pt", "a.pt", "[x].pt"]:
        (tmp_path / name).touch()
    made = stockpot.job_spec(
        architecture="hf://org/models/m.pt",
        base="base.pt",
        ingredients=["?.pt", "[x].pt", "https://h/m.pt", "adapter/"],
        held_out="images",
        shift_sets={"sketch": {"uri": "sketch", "limit": 3}},
        final_set="final.safetensors",
        image_transform={"preset": "CLIP"},
        metric="f1-macro",
        on_bad_ingredient="skip",
    )
    here = str(tmp_path)
    assert [each.uri for each in made.ingredients] == [
        *[f"{here}/a.pt", f"{here}/b.pt", f"{here}/[x].pt", "https://h/m.pt", f"{here}/adapter/"]
    ]
    assert made.model.architecture_uri == "hf://org/models/m.pt" and made.model.base_uri == f"{here}/base.pt"
    shift, final = made.evaluation.report_sets
    assert (shift.name, shift.uri, shift.limit, shift.role) == ("sketch", f"{here}/sketch", 3, 2)
    assert (final.name, final.role) == ("final", 3)
    assert made.evaluation.held_out.HasField("image_transform") and shift.HasField("image_transform")
    assert not final.HasField("image_transform")


def test_every_uri_of_a_spec_becomes_absolute(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def strings(message: Message, fill: bool) -> dict[str, str]:
        """The strings below a message by their path; `fill` gives each the text x, and each list one element."""
        found = {}
        for field in message.DESCRIPTOR.fields:
            if field.message_type is not None and not field.message_type.GetOptions().map_entry:
                below = getattr(message, field.name)
                if isinstance(below, Message):
                    below.SetInParent()
                elif fill:
                    below.add()
                for each in [below] if isinstance(below, Message) else below:
                    found |= {f"{field.name}.{path}": text for path, text in strings(each, fill).items()}
            elif field.type == field.TYPE_STRING and isinstance(getattr(message, field.name), str):
                if fill:
                    setattr(message, field.name, "x")
                found[field.name] = getattr(message, field.name)
        return found

    monkeypatch.chdir(tmp_path)
    filled = spec_pb2.JobSpec()
    paths = strings(filled, fill=True)
    made = strings(stockpot.job_spec(spec=filled), fill=False)
    places = {path for path in paths if "uri" in path.rpartition(".")[2]}
    assert {"batch_norm.data_set.uri", "evaluation.held_out.classifier.uri", "model.base_uri"} <= places
    assert made == {path: f"{tmp_path}/x" if path in places else "x" for path in paths}


def test_submit_takes_the_arguments_of_the_builder() -> None:
    explicit = {name for name in python_inspect.signature(stockpot.job_spec).parameters if name != "spec"}
    assert set(spec.JobArguments.__annotations__) == explicit
    assert get_type_hints(spec.JobArguments)
