"""WatchJob across lost connections: every event once and in order, whatever happens to the connection."""

from __future__ import annotations

import time
from collections.abc import Callable

from ._operation import GET_JOB, WATCH_JOB, Emit, Open, Operation, Read, call
from ._reconnection import Reconnection
from .errors import DataLoss, DeadlineExceeded, OutOfRange, StockpotError, Unavailable
from .v1 import job_pb2, soup_service_pb2 as service

# A stream is renewed after this long, so that a connection that died without a word is noticed.
_STREAM_SECONDS = 300.0
_ENDED = (job_pb2.Job.SUCCEEDED, job_pb2.Job.FAILED, job_pb2.Job.CANCELLED)


def has_ended(job: job_pb2.Job) -> bool:
    return job.state in _ENDED


class Watch:
    """Emits the job's events after `after_sequence` as they happen, and returns the ended job.

    Raises OutOfRange when there is no such sequence, DeadlineExceeded after `timeout` seconds, what the server says.
    """

    def __init__(
        self,
        name: str,
        after_sequence: int,
        reconnect_timeout: float,
        timeout: float | None = None,
        hear: Callable[[job_pb2.JobEvent], None] = lambda event: None,  # each event, before it is emitted
    ):
        self._hear = hear
        self._name = name
        self._last = after_sequence
        self._reconnection = Reconnection(reconnect_timeout)
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def run(self) -> Operation[job_pb2.Job]:
        while True:
            seconds, renews = self._stream_seconds()
            began = time.monotonic()
            failure: StockpotError | None = None
            try:
                yield from self._read_stream(seconds)
            except DeadlineExceeded as error:
                if time.monotonic() - began < seconds:
                    failure = Unavailable(error.message)  # the deadline of some proxy: not ours
                elif renews:
                    continue
                else:
                    raise DeadlineExceeded(f"{self._name} has not ended in time") from error
            except StockpotError as error:
                failure = error
            # OUT_OF_RANGE: nothing comes after the last sequence of an ended job.
            if failure is None or isinstance(failure, OutOfRange):
                try:
                    job = yield from call(GET_JOB, service.GetJobRequest(name=self._name))
                    if has_ended(job) and self._last == job.last_sequence:
                        return job
                    failure = failure or Unavailable("the server ended the stream")
                except Unavailable as error:
                    failure = error
            yield from self._reconnection.wait_or_raise(failure)

    def _stream_seconds(self) -> tuple[float, bool]:
        """How long the next stream may live, and whether another follows it."""
        if self._deadline is None:
            return _STREAM_SECONDS, True
        left = max(0.0, self._deadline - time.monotonic())
        return min(_STREAM_SECONDS, left), left > _STREAM_SECONDS

    def _read_stream(self, seconds: float) -> Operation[None]:
        yield Open(WATCH_JOB, service.WatchJobRequest(name=self._name, after_sequence=self._last), seconds)
        while True:
            event: job_pb2.JobEvent | None = yield Read()
            if event is None:
                return
            self._reconnection.succeeded()
            if self._accept(event):
                self._hear(event)
                yield Emit(event)

    def _accept(self, event: job_pb2.JobEvent) -> bool:
        """Whether the event is for the user: bookmarks are not."""
        if event.sequence != 0:
            if event.sequence != self._last + 1:
                raise DataLoss(f"the server sent event {event.sequence} after event {self._last}")
            self._last = event.sequence
        if event.WhichOneof("event") != "bookmark":
            return True
        if event.bookmark.sequence > self._last:
            raise DataLoss(
                f"the server says it sent event {event.bookmark.sequence}; the last that came is {self._last}"
            )
        return False
