"""The client for threads: a call returns when it is done. stockpot.aio has the same for asyncio."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from . import _requests as requests
from ._driver import ClientBase, DriverBase, cancel
from ._job import Files, JobBase
from ._operation import Blocking, Call, Emit, Open, Operation, Read, Sleep
from ._pictures import Pictures
from ._settings import Settings
from .errors import StockpotError
from .report import Report
from .spec import DataSet, Json, Path
from .v1 import job_pb2, soup_service_pb2 as service, spec_pb2

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .spec import JobArguments

T = TypeVar("T")


class Client(ClientBase):
    __doc__ = f"{ClientBase.__doc__}\n    Thread-safe; the jobs that it gives are not.\n    "

    def _connect(self, settings: Settings) -> None:
        self._driver = Driver(settings)

    def submit(
        self,
        spec: spec_pb2.JobSpec | Json | None = None,
        *,
        request_id: str | None = None,
        job_id: str = "",
        display_name: str = "",
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
        validate_only: bool = False,
        **arguments: Unpack[JobArguments],
    ) -> Job:
        """Creates a job of `spec`, of the arguments of stockpot.job_spec, or both.

        The same request_id (default: a random UUID) makes no second job however often it is sent. With validate_only
        nothing is created, and the job returned has no name.
        """
        operation = requests.create(
            spec,
            request_id=request_id,
            job_id=job_id,
            display_name=display_name,
            labels=labels,
            priority=priority,
            validate_only=validate_only,
            builder=arguments,
        )
        return Job(self._driver.run(operation), self._driver)

    def job(self, name: str) -> Job:
        """The job jobs/x, by that name or by x. Raises NotFound."""
        return Job(self._driver.run(requests.get(name)), self._driver)

    def jobs(self, filter: str = "", *, order_by: str = "", limit: int | None = None) -> Iterator[Job]:
        """Jobs without their reports, newest first: `state=RUNNING AND labels.sweep=lr`. Asks page by page."""
        for message in self._driver.iterate(requests.list_jobs(filter, order_by, limit)):
            yield Job(message, self._driver)

    def inspect(
        self,
        *,
        checkpoint: Path | None = None,
        architecture: Path | None = None,
        data_set: DataSet | None = None,
        base: Path | None = None,
        state_dict_key: str = "",
        tensor_renames: Mapping[str, str] | Sequence[spec_pb2.TensorRename] | None = None,
    ) -> requests.Description:
        """What one of the three holds, as the server reads it. The last three arguments are for a checkpoint."""
        operation = requests.inspect(checkpoint, architecture, data_set, base, state_dict_key, tensor_renames)
        return self._driver.run(operation)

    def pictures(self, data_set: DataSet, count: int = 25) -> Pictures:
        """The first examples as the model would see them, at most 64: a grid at the end of a notebook's cell."""
        return self._driver.run(requests.pictures(data_set, count))

    def verify(self, soup: Path) -> service.VerifySoupResponse:
        """Has a soup made again, of a job's name or a manifest.json, and compares it bit for bit."""
        return self._driver.run(requests.verify(soup))

    def capabilities(self) -> service.Capabilities:
        return self._driver.run(requests.capabilities())

    def close(self) -> None:
        self._driver.channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Job(JobBase):
    def __init__(self, message: job_pb2.Job, driver: Driver):
        super().__init__(message)
        self._driver = driver

    def watch(self, after_sequence: int = 0, timeout: float | None = None) -> Iterator[job_pb2.JobEvent]:
        """Every event after a sequence, then new ones until the job ends.

        Each comes once and in order, over lost connections too. Progress comes between, with sequence 0. Raises
        Unavailable after an outage of `reconnect_timeout`, DeadlineExceeded after `timeout` seconds, OutOfRange for a
        sequence that there is not.
        """
        yield from self._driver.iterate(self._watch(after_sequence, self._driver.reconnect_timeout, timeout))

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> Job:
        """Returns when the job has ended, however; with progress it is shown, by rich. Raises DeadlineExceeded."""
        operation = self._watch(0 if progress else self._known(), self._driver.reconnect_timeout, timeout)
        if progress:
            from .notebook import ProgressView

            with ProgressView(self.name) as view:
                self._driver.run(operation, view.show)
        else:
            self._driver.run(operation)
        return self

    def result(self, timeout: float | None = None, *, progress: bool = False) -> Report:
        """Waits, and gives the report of a job that SUCCEEDED. Raises JobFailed, JobCancelled, DeadlineExceeded."""
        return self.wait(timeout, progress=progress)._result()

    def download(self, folder: Path, files: Files = None) -> list[pathlib.Path]:
        """Brings the job's files, or those named, verified. Goes on where it stopped; what is there is not read again."""
        return self._driver.run(self._download(pathlib.Path(folder), files, self._driver.reconnect_timeout))

    def refresh(self) -> Job:
        self._driver.run(self._keep(requests.get(self.name)))
        return self

    def cancel(self) -> Job:
        self._driver.run(self._keep(requests.cancel(self.name)))
        return self

    def retry(self) -> Job:
        """Queues a FAILED or CANCELLED job again; what was measured is not measured again."""
        self._driver.run(self._keep(requests.retry(self.name)))
        return self

    def delete(self) -> None:
        """Removes an ended job and its files from the server."""
        self._driver.run(requests.delete(self.name))


class Driver(DriverBase):
    """Carries operations out on the thread that asks. Thread-safe."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.channel: Any = self._channel_of(grpc)

    def run(self, operation: Operation[T], emit: Callable[[Any], None] = lambda value: None) -> T:
        """The operation's result; what it emits goes to `emit`."""
        steps = self.iterate(operation)
        while True:
            try:
                value = next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            emit(value)

    def iterate(self, operation: Operation[T]) -> Generator[Any, None, T]:
        """What the operation emits; returns its result."""
        stream: Any = None
        result: Any = None
        error: Exception | None = None
        try:
            while True:
                try:
                    effect = operation.throw(error) if error else operation.send(result)
                except StopIteration as end:
                    value: T = end.value
                    return value
                result = error = None
                try:
                    match effect:
                        case Emit(value=emitted):
                            yield emitted
                        case Read():
                            result = next(stream, None)
                        case Open():
                            cancel(stream)
                            stream = self._begin(self.channel, effect)
                        case Call():
                            result = self._begin(self.channel, effect)
                        case Sleep():
                            time.sleep(effect.seconds)
                        case Blocking():
                            result = effect.function()
                except grpc.RpcError as failure:
                    error = self._error(failure)
                except (StockpotError, OSError, ValueError) as failure:
                    error = failure
        finally:
            cancel(stream)
            operation.close()
