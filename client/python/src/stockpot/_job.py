"""What the two kinds of Job have in common: the job as it was last heard of."""

from __future__ import annotations

import html
import pathlib
from collections.abc import Sequence

from ._download import download
from ._operation import Operation
from ._requests import get
from ._watch import Watch, has_ended
from .errors import FailedPrecondition, JobCancelled, JobEnded, JobFailed, StockpotError, from_status
from .report import Report
from .v1 import job_pb2

Files = Sequence[str] | None


class JobBase:
    """A job, as it was last heard of: calls and watches renew what the properties say. Not safe to share by threads."""

    def __init__(self, message: job_pb2.Job):
        self._message = message

    @property
    def message(self) -> job_pb2.Job:
        """All of it: stockpot.v1.Job."""
        return self._message

    @property
    def name(self) -> str:
        """jobs/{job}."""
        return self._message.name

    @property
    def state(self) -> str:
        """QUEUED, RUNNING, SUSPENDED, SUCCEEDED, FAILED or CANCELLED."""
        return job_pb2.Job.State.Name(self._message.state)

    @property
    def has_ended(self) -> bool:
        return has_ended(self._message)

    @property
    def progress(self) -> job_pb2.Progress:
        return self._message.progress

    @property
    def error(self) -> StockpotError | None:
        """Why a FAILED job failed."""
        failed = self._message.state == job_pb2.Job.FAILED
        return from_status(self._message.error, JobFailed) if failed else None

    @property
    def artifacts(self) -> list[job_pb2.ArtifactFile]:
        """The files that `download` brings."""
        return list(self._message.artifacts)

    @property
    def report(self) -> Report:
        """What was measured: whole once the job SUCCEEDED, else a part. Raises FailedPrecondition when nothing was."""
        if not self._message.HasField("report"):
            raise FailedPrecondition(f"{self.name} has no report: it is {self.state}")
        return Report(self._message.report, self._message)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.Job {self.name} {self.state}>"

    def _repr_html_(self) -> str:
        head = f"<p><b>{html.escape(self.name)}</b> {self.state}</p>"
        if self.error:
            head += f"<pre>{html.escape(str(self.error))}</pre>"
        return head + (self.report._repr_html_() if self._message.HasField("report") else "")

    # Operations, and what they leave here.

    def _keep(self, operation: Operation[job_pb2.Job]) -> Operation[None]:
        self._message = yield from operation

    def _known(self) -> int:
        """Nothing before this event is news."""
        return self._message.last_sequence

    def _watch(self, after_sequence: int, reconnect_timeout: float, timeout: float | None) -> Operation[None]:
        watching = Watch(self.name, after_sequence, reconnect_timeout, timeout, self._hear)
        yield from self._keep(watching.run())

    def _hear(self, event: job_pb2.JobEvent) -> None:
        self._message.last_sequence = max(self._message.last_sequence, event.sequence)
        if event.HasField("state_changed"):
            self._message.state = event.state_changed.state
        elif event.HasField("progress"):
            self._message.progress.CopyFrom(event.progress)

    def _download(self, folder: pathlib.Path, files: Files, reconnect_timeout: float) -> Operation[list[pathlib.Path]]:
        if not self.artifacts:
            yield from self._keep(get(self.name))
        return (yield from download(self._message, folder, files, reconnect_timeout))

    def _result(self) -> Report:
        if self._message.state == job_pb2.Job.SUCCEEDED:
            return self.report
        error: JobEnded
        if self._message.state == job_pb2.Job.CANCELLED:
            error = JobCancelled(f"{self.name} was cancelled")
        else:
            error = from_status(self._message.error, JobFailed)
            error.with_context(f"{self.name} failed")
        error.job = self
        raise error
