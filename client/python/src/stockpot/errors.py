"""What can go wrong: one hierarchy, made from the status and the details that the server sends.

Every error has the gRPC code, and where the server gave them: a reason of proto/stockpot/v1/soup_service.proto's list,
metadata, the fields at fault and how long to wait before another try. Catch StockpotError for all, a class for a code, or
look at `reason`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True)
class FieldViolation:
    """A field that is at fault: its path in the request, such as `spec.ingredients[2].uri`, and why."""

    field: str
    description: str


class StockpotError(Exception):
    """The base of all errors of this package."""

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[FieldViolation] = (),
        retry_after: float | None = None,
    ):
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after  # seconds; None: the server did not say that trying again helps
        super().__init__(message)

    def __str__(self) -> str:
        lines = [f"{self.message} [{self.reason}]" if self.reason else self.message]
        lines += [f"  {violation.field}: {violation.description}" for violation in self.violations]
        return "\n".join(lines)

    def with_context(self, context: str) -> StockpotError:
        """The same error with `context: ` before its message, unless it is there."""
        if not self.message.startswith(context):
            self.message = f"{context}: {self.message}"
        return self


class InvalidArgument(StockpotError, ValueError):
    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(StockpotError, LookupError):
    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(StockpotError):
    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(StockpotError):
    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(StockpotError):
    code = grpc.StatusCode.UNAUTHENTICATED


class FailedPrecondition(StockpotError):
    code = grpc.StatusCode.FAILED_PRECONDITION


class OutOfRange(StockpotError):
    code = grpc.StatusCode.OUT_OF_RANGE


class ResourceExhausted(StockpotError):
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unimplemented(StockpotError):
    code = grpc.StatusCode.UNIMPLEMENTED


class Unavailable(StockpotError):
    """The server cannot be reached, or the connection was lost for longer than `reconnect_timeout`."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(StockpotError, TimeoutError):
    code = grpc.StatusCode.DEADLINE_EXCEEDED


class DataLoss(StockpotError):
    code = grpc.StatusCode.DATA_LOSS


class Aborted(StockpotError):
    code = grpc.StatusCode.ABORTED


class Cancelled(StockpotError):
    """A call was cancelled. A job that was: JobCancelled."""

    code = grpc.StatusCode.CANCELLED


class Internal(StockpotError):
    code = grpc.StatusCode.INTERNAL


class JobEnded(StockpotError):
    """`result()` of a job that ended without one. What was measured is in `job.report`."""

    job: Any  # stockpot.Job, or stockpot.aio.Job


class JobFailed(JobEnded):
    """The job FAILED; code, reason and the rest are its error's."""


class JobCancelled(JobEnded):
    """The job was CANCELLED."""

    code = grpc.StatusCode.CANCELLED


_BY_CODE: dict[grpc.StatusCode, type[StockpotError]] = {
    cls.code: cls
    for cls in [
        *[InvalidArgument, NotFound, AlreadyExists, PermissionDenied, Unauthenticated, FailedPrecondition, OutOfRange],
        *[ResourceExhausted, Unimplemented, Unavailable, DeadlineExceeded, DataLoss, Aborted, Cancelled, Internal],
    ]
}
_BY_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
E = TypeVar("E", bound=StockpotError)
_DETAILS = "grpc-status-details-bin"


class RpcFailure(Protocol):
    """What grpc and grpc.aio raise have in common."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Any: ...


def from_rpc(error: object) -> StockpotError:
    """The error of a call, of a grpc.RpcError or grpc.aio.AioRpcError."""
    failure = cast(RpcFailure, error)
    status = status_pb2.Status()
    for key, value in failure.trailing_metadata() or ():
        if key == _DETAILS:
            try:
                status.ParseFromString(value)
            except DecodeError:  # not ours to trust: code and message are the call's
                status.Clear()
    status.code = failure.code().value[0]
    status.message = failure.details() or failure.code().name
    return from_status(status)


def from_status(status: status_pb2.Status, cls: type[E] | None = None) -> E:
    """The error of a google.rpc.Status, as a `cls` or by its code."""
    code = _BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    error = cast(E, (cls or _BY_CODE.get(code, StockpotError))(status.message))
    error.code = code
    for detail in status.details:
        info, request, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        try:
            if detail.Unpack(info):
                error.reason, error.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(request):
                error.violations += tuple(FieldViolation(v.field, v.description) for v in request.field_violations)
            elif detail.Unpack(retry):
                error.retry_after = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        except DecodeError:
            continue
    return error
