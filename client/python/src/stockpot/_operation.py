"""Operations: what a client does, written once for threads and for asyncio.

An operation is a generator. It yields effects, such as a call, and is sent their results, or has their errors thrown in;
a driver (client.py, aio.py) carries them out. What it hands to its user it yields as Emit. It holds no connection and no
thread, so a test can drive it by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from .v1 import job_pb2, soup_service_pb2 as service

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
T = TypeVar("T")


@dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """An rpc of stockpot.v1.SoupService."""

    name: str
    request: type[Request]
    response: type[Response]

    @property
    def path(self) -> str:
        return f"/stockpot.v1.SoupService/{self.name}"


CREATE_JOB = Method("CreateJob", service.CreateJobRequest, job_pb2.Job)
GET_JOB = Method("GetJob", service.GetJobRequest, job_pb2.Job)
LIST_JOBS = Method("ListJobs", service.ListJobsRequest, service.ListJobsResponse)
CANCEL_JOB = Method("CancelJob", service.CancelJobRequest, job_pb2.Job)
DELETE_JOB = Method("DeleteJob", service.DeleteJobRequest, Empty)
RETRY_JOB = Method("RetryJob", service.RetryJobRequest, job_pb2.Job)
WATCH_JOB = Method("WatchJob", service.WatchJobRequest, job_pb2.JobEvent)
DOWNLOAD_ARTIFACT = Method("DownloadArtifact", service.DownloadArtifactRequest, service.ArtifactChunk)
INSPECT_SOURCE = Method("InspectSource", service.InspectSourceRequest, service.InspectSourceResponse)
VERIFY_SOUP = Method("VerifySoup", service.VerifySoupRequest, service.VerifySoupResponse)
GET_CAPABILITIES = Method("GetCapabilities", service.GetCapabilitiesRequest, service.Capabilities)


@dataclass(frozen=True)
class Call:
    """A unary call; its result is the response. Errors: StockpotError."""

    method: Method[Any, Any]
    request: Message
    timeout: float | None  # seconds; None: the client's


@dataclass(frozen=True)
class Open:
    """Begins a stream, after the operation's earlier one was cancelled. It ends after `timeout` seconds."""

    method: Method[Any, Any]
    request: Message
    timeout: float | None  # None: never


@dataclass(frozen=True)
class Read:
    """The stream's next message; None at its end. Errors: StockpotError."""


@dataclass(frozen=True)
class Sleep:
    seconds: float


@dataclass(frozen=True)
class Blocking:
    """Work on files, whose result is the function's."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Emit:
    """Something for the operation's user."""

    value: Any


Effect = Call | Open | Read | Sleep | Blocking | Emit
Operation = Generator[Effect, Any, T]


def call(method: Method[Request, Response], request: Request, timeout: float | None = None) -> Operation[Response]:
    response: Response = yield Call(method, request, timeout)
    return response


def blocking(function: Callable[[], T]) -> Operation[T]:
    result: T = yield Blocking(function)
    return result
