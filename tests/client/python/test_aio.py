"""The client for asyncio has the same surface, and does the same."""

from __future__ import annotations

import asyncio
import inspect
import pathlib
from collections.abc import Coroutine
from typing import Any

import pytest

import stockpot
import stockpot.aio
from stockpot import errors
from support import Proxy, Server, Sweep


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


@pytest.mark.parametrize("name", ["Client", "Job"])
def test_same_surface(name: str) -> None:
    def surface(cls: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(cls, inspect.isfunction)
        return {name: list(inspect.signature(method).parameters) for name, method in methods if name[0] != "_"}

    assert surface(getattr(stockpot, name)) == surface(getattr(stockpot.aio, name))


def test_a_job_from_its_making_to_its_end(server: Server, sweep: Sweep, tmp_path: pathlib.Path) -> None:
    async def work() -> None:
        async with stockpot.aio.Client(server.address) as client:
            job = await client.submit(**sweep.arguments(), labels={"test": "aio"})
            sequences = [event.sequence async for event in job.watch() if event.sequence]
            assert sequences == list(range(1, job.message.last_sequence + 1))
            report = await job.result()
            assert report.chosen.kind == "greedy"
            assert {path.name for path in await job.download(tmp_path)} == {each.file for each in job.artifacts}
            assert [each.name async for each in client.jobs("labels.test=aio")] == [job.name]
            assert (await client.verify(job.name)).identical
            assert (await client.inspect(data_set=sweep.held_out)).example_count == 60
            assert (await client.capabilities()).server_version
            await job.delete()
            with pytest.raises(errors.NotFound):
                await client.job(job.name)

    run(work())


def test_connections_that_break_off(server: Server, done: stockpot.Job, tmp_path: pathlib.Path) -> None:
    expected = [event.sequence for event in done.watch() if event.sequence]

    async def work() -> None:
        proxy = Proxy(server.port, cut_after=1400)
        async with stockpot.aio.Client(proxy.address) as client:
            job = stockpot.aio.Job(done.message, client._driver)
            seen = []
            async for event in job.watch():
                seen += [event.sequence] if event.sequence else []
                proxy.cut_after = 1400 if len(seen) < len(expected) - 1 else None
            assert seen == expected and proxy.cuts > 0
        proxy.stop()

    run(work())


def test_many_at_once(server: Server, sweep: Sweep) -> None:
    async def work() -> None:
        async with stockpot.aio.Client(server.address) as client:
            jobs = await asyncio.gather(*[client.submit(**sweep.arguments()) for _ in range(5)])
            reports = await asyncio.gather(*[job.result() for job in jobs])
            assert len({report.result.SerializeToString(deterministic=True) for report in reports}) == 1

    run(work())


def test_a_watch_that_is_cancelled(server: Server, sweep: Sweep) -> None:
    async def work() -> None:
        async with stockpot.aio.Client(server.address) as client:
            job = await client.submit(**sweep.arguments("slow.pt", compute={"batch_size": 1, "measure_again": True}))
            waiting = asyncio.create_task(job.wait())
            await asyncio.sleep(0.2)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(errors.DeadlineExceeded):
                await job.wait(0.2)
            await job.cancel()
            with pytest.raises(stockpot.JobCancelled):
                await job.result()

    run(work())
