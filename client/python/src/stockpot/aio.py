"""The client for asyncio: the surface of stockpot.Client, awaited.

async with stockpot.aio.Client() as client:
    job = await client.submit(architecture="model.pt", ingredients=["sweep/*.safetensors"], held_out="held_out")
    async for event in job.watch():
        print(event)
    report = await job.result()
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc.aio

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
    __doc__ = f"{ClientBase.__doc__}\n    Confined to the event loop of its first call.\n    "

    def _connect(self, settings: Settings) -> None:
        self._driver = Driver(settings)

    async def submit(
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
        return Job(await self._driver.run(operation), self._driver)

    async def job(self, name: str) -> Job:
        return Job(await self._driver.run(requests.get(name)), self._driver)

    async def jobs(self, filter: str = "", *, order_by: str = "", limit: int | None = None) -> AsyncIterator[Job]:
        async for message in self._driver.iterate(requests.list_jobs(filter, order_by, limit)):
            yield Job(message, self._driver)

    async def inspect(
        self,
        *,
        checkpoint: Path | None = None,
        architecture: Path | None = None,
        data_set: DataSet | None = None,
        base: Path | None = None,
        state_dict_key: str = "",
        tensor_renames: Mapping[str, str] | Sequence[spec_pb2.TensorRename] | None = None,
    ) -> requests.Description:
        operation = requests.inspect(checkpoint, architecture, data_set, base, state_dict_key, tensor_renames)
        return await self._driver.run(operation)

    async def pictures(self, data_set: DataSet, count: int = 25) -> Pictures:
        return await self._driver.run(requests.pictures(data_set, count))

    async def verify(self, soup: Path) -> service.VerifySoupResponse:
        return await self._driver.run(requests.verify(soup))

    async def capabilities(self) -> service.Capabilities:
        return await self._driver.run(requests.capabilities())

    async def close(self) -> None:
        await self._driver.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


class Job(JobBase):
    """As stockpot.Job."""

    def __init__(self, message: job_pb2.Job, driver: Driver):
        super().__init__(message)
        self._driver = driver

    async def watch(self, after_sequence: int = 0, timeout: float | None = None) -> AsyncIterator[job_pb2.JobEvent]:
        async for event in self._driver.iterate(self._watch(after_sequence, self._driver.reconnect_timeout, timeout)):
            yield event

    async def wait(self, timeout: float | None = None, *, progress: bool = False) -> Job:
        operation = self._watch(0 if progress else self._known(), self._driver.reconnect_timeout, timeout)
        if progress:
            from .notebook import ProgressView

            with ProgressView(self.name) as view:
                await self._driver.run(operation, view.show)
        else:
            await self._driver.run(operation)
        return self

    async def result(self, timeout: float | None = None, *, progress: bool = False) -> Report:
        return (await self.wait(timeout, progress=progress))._result()

    async def download(self, folder: Path, files: Files = None) -> list[pathlib.Path]:
        return await self._driver.run(self._download(pathlib.Path(folder), files, self._driver.reconnect_timeout))

    async def refresh(self) -> Job:
        await self._driver.run(self._keep(requests.get(self.name)))
        return self

    async def cancel(self) -> Job:
        await self._driver.run(self._keep(requests.cancel(self.name)))
        return self

    async def retry(self) -> Job:
        await self._driver.run(self._keep(requests.retry(self.name)))
        return self

    async def delete(self) -> None:
        await self._driver.run(requests.delete(self.name))


class _Done:
    """The operation's result, after all that it emitted: an asynchronous generator returns nothing."""

    def __init__(self, result: Any):
        self.result = result


class Driver(DriverBase):
    """Carries operations out on the event loop; work on files in threads. Confined to the loop."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self._channel: Any = None

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def run(self, operation: Operation[T], emit: Callable[[Any], None] = lambda value: None) -> T:
        async for value in self._steps(operation):
            if isinstance(value, _Done):
                result: T = value.result
                return result
            emit(value)
        raise AssertionError("an operation ends with its result")

    async def iterate(self, operation: Operation[Any]) -> AsyncGenerator[Any, None]:
        async for value in self._steps(operation):
            if not isinstance(value, _Done):
                yield value

    async def _steps(self, operation: Operation[Any]) -> AsyncGenerator[Any, None]:
        stream: Any = None
        result: Any = None
        error: Exception | None = None
        try:
            while True:
                try:
                    effect = operation.throw(error) if error else operation.send(result)
                except StopIteration as end:
                    yield _Done(end.value)
                    return
                result = error = None
                try:
                    match effect:
                        case Emit(value=emitted):
                            yield emitted
                        case Read():
                            message = await stream.read()
                            result = None if message is grpc.aio.EOF else message
                        case Open():
                            cancel(stream)
                            stream = self._begin(self._open_channel(), effect)
                        case Call():
                            result = await self._begin(self._open_channel(), effect)
                        case Sleep():
                            await asyncio.sleep(effect.seconds)
                        case Blocking():
                            result = await asyncio.to_thread(effect.function)
                except grpc.aio.AioRpcError as failure:
                    error = self._error(failure)
                except (StockpotError, OSError, ValueError) as failure:
                    error = failure
        finally:
            cancel(stream)
            operation.close()

    def _open_channel(self) -> Any:
        """Here, and not at construction: gRPC ties a channel to the event loop that it is made in."""
        if self._channel is None:
            self._channel = self._channel_of(grpc.aio)
        return self._channel
