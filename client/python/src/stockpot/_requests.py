"""The operations behind the methods of clients and jobs, the same for both kinds of client."""

from __future__ import annotations

import os
import pathlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from . import _operation as rpc
from ._operation import Emit, Operation, call
from ._paths import absolute
from ._pictures import Pictures
from .errors import InvalidArgument
from .spec import DataSet, Json, Path, data_set, job_spec
from .v1 import job_pb2, soup_service_pb2 as service, spec_pb2

# The server's workers answer after the tasks that run; a large soup takes minutes itself.
_INSPECT_SECONDS = 600.0
_VERIFY_SECONDS = 3600.0
_PAGE = 1000

Description = service.CheckpointDescription | service.ArchitectureDescription | service.DataSetDescription


def job_name(name: str) -> str:
    """jobs/x of x or jobs/x. Raises InvalidArgument."""
    if not re.fullmatch(r"(jobs/)?[a-z0-9-]{1,63}", name):
        raise InvalidArgument(f"expected a job, jobs/x or x; got {name!r}")
    return name if name.startswith("jobs/") else f"jobs/{name}"


def create(
    spec: spec_pb2.JobSpec | Json | None,
    *,
    request_id: str | None,
    job_id: str,
    display_name: str,
    labels: Mapping[str, str] | None,
    priority: int,
    validate_only: bool,
    builder: Mapping[str, Any],
) -> Operation[job_pb2.Job]:
    request = service.CreateJobRequest(
        job=job_pb2.Job(
            spec=job_spec(spec, **builder), display_name=display_name, labels=dict(labels or {}), priority=priority
        ),
        job_id=job_id.removeprefix("jobs/"),
        # Sending the same request again makes no second job.
        request_id=request_id or str(uuid.uuid4()),
        validate_only=validate_only,
    )
    return call(rpc.CREATE_JOB, request)


def get(name: str) -> Operation[job_pb2.Job]:
    return call(rpc.GET_JOB, service.GetJobRequest(name=job_name(name)))


def cancel(name: str) -> Operation[job_pb2.Job]:
    return call(rpc.CANCEL_JOB, service.CancelJobRequest(name=name))


def retry(name: str) -> Operation[job_pb2.Job]:
    return call(rpc.RETRY_JOB, service.RetryJobRequest(name=name))


def delete(name: str) -> Operation[None]:
    yield from call(rpc.DELETE_JOB, service.DeleteJobRequest(name=name))


def list_jobs(filter: str, order_by: str, limit: int | None) -> Operation[None]:
    """Emits jobs, page after page, no more than `limit`."""
    request = service.ListJobsRequest(filter=filter, order_by=order_by)
    left = limit
    while left is None or left > 0:
        request.page_size = _PAGE if left is None else min(left, _PAGE)
        page = yield from call(rpc.LIST_JOBS, request)
        for job in page.jobs:
            yield Emit(job)
        left = None if left is None else left - len(page.jobs)
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def inspect(
    checkpoint: Path | None,
    architecture: Path | None,
    data: DataSet | None,
    base: Path | None,
    state_dict_key: str,
    tensor_renames: Mapping[str, str] | Sequence[spec_pb2.TensorRename] | None,
) -> Operation[Description]:
    if sum(source is not None for source in (checkpoint, architecture, data)) != 1:
        raise InvalidArgument("inspect: give one of checkpoint, architecture and data_set")
    request = service.InspectSourceRequest(state_dict_key=state_dict_key)
    if checkpoint is not None:
        request.checkpoint_uri = absolute(checkpoint)
        request.base_uri = absolute(base or "")
    elif architecture is not None:
        request.architecture_uri = absolute(architecture)
    elif data is not None:
        request.data_set.CopyFrom(data_set(data))
    renames = tensor_renames or ()
    if isinstance(renames, Mapping):
        renames = [spec_pb2.TensorRename(pattern=old, replacement=new) for old, new in renames.items()]
    request.tensor_renames.extend(renames)
    response = yield from call(rpc.INSPECT_SOURCE, request, _INSPECT_SECONDS)
    description: Description = getattr(response, response.WhichOneof("result") or "checkpoint")
    return description


def pictures(data: DataSet, count: int) -> Operation[Pictures]:
    request = service.InspectSourceRequest(data_set=data_set(data), picture_count=count)
    response = yield from call(rpc.INSPECT_SOURCE, request, _INSPECT_SECONDS)
    return Pictures.of(response.data_set)


def verify(soup: Path) -> Operation[service.VerifySoupResponse]:
    text = os.fspath(soup)
    request = service.VerifySoupRequest()
    if text.endswith(".json"):  # no job has a dot in its name
        request.manifest = yield from rpc.blocking(lambda: pathlib.Path(text).read_text(encoding="utf-8"))
    else:
        request.name = job_name(text)
    return (yield from call(rpc.VERIFY_SOUP, request, _VERIFY_SECONDS))


def capabilities() -> Operation[service.Capabilities]:
    return call(rpc.GET_CAPABILITIES, service.GetCapabilitiesRequest())
