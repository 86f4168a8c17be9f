"""A job file, as `stockpot submit --file` takes it: YAML or JSON, a JobSpec, or a Job when it has `spec`."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf import json_format

from .._paths import make_absolute
from .._yaml import parse_yaml
from ..errors import InvalidArgument
from ..v1 import job_pb2, spec_pb2

_MOST_BYTES = 16 << 20


def read_job_file(path: str | os.PathLike[str]) -> job_pb2.Job:
    """Relative paths are taken from its folder. Raises InvalidArgument."""
    file = pathlib.Path(path)
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InvalidArgument(f"{file}: a job file has at most {_MOST_BYTES >> 20} MiB")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file}: cannot be read: {error}") from error
    document = _parse(text, file)
    if not isinstance(document, dict):
        raise InvalidArgument(f"{file}: expected a mapping of fields; got {type(document).__name__}")
    job = job_pb2.Job()
    try:
        if "spec" in document:
            json_format.ParseDict(_without_outputs(document), job)
        else:
            json_format.ParseDict(document, job.spec)
    except json_format.ParseError as error:
        raise InvalidArgument(f"{file}: {error}") from error
    make_absolute(job.spec, file.absolute().parent)
    return job


def _parse(text: str, file: pathlib.Path) -> Any:
    if file.suffix == ".json":
        try:
            return json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InvalidArgument(f"{file}: is not JSON: {error}") from error
    return parse_yaml(text, file)


def _without_outputs(document: dict[str, Any]) -> dict[str, Any]:
    """What the server sets (name, state, report, …) is not ours to give."""
    behaviors = field_behavior_pb2.field_behavior
    given_by_server = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}
    outputs = {
        name
        for field in job_pb2.Job.DESCRIPTOR.fields
        if given_by_server & set(field.GetOptions().Extensions[behaviors])
        for name in (field.name, field.json_name)
    }
    return {name: value for name, value in document.items() if name not in outputs}


def data_sets_of(spec: spec_pb2.JobSpec) -> list[spec_pb2.DataSet]:
    """All that a job reads."""
    found = [spec.evaluation.held_out] if spec.evaluation.HasField("held_out") else []
    found += list(spec.evaluation.report_sets)
    return found + ([spec.batch_norm.data_set] if spec.HasField("batch_norm") else [])
