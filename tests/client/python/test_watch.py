"""Every event once and in order, whatever happens to the connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import stockpot
from stockpot import errors
from stockpot._operation import Call, Emit, Open, Read, Sleep
from stockpot._watch import Watch
from stockpot.v1 import job_pb2
from support import Proxy, Server, Sweep


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    running = Proxy(server.port)
    yield running
    running.stop()


def sequences(events: list[job_pb2.JobEvent]) -> list[int]:
    return [event.sequence for event in events if event.sequence]


def test_of_an_ended_job_comes_all_and_then_nothing(done: stockpot.Job) -> None:
    events = list(done.watch())
    last = done.message.last_sequence
    assert sequences(events) == list(range(1, last + 1))
    assert sequences(list(done.watch(3))) == list(range(4, last + 1))
    assert list(done.watch(last)) == []
    with pytest.raises(errors.OutOfRange) as caught:
        list(done.watch(last + 1))
    assert caught.value.reason == "SEQUENCE_OUT_OF_RANGE"


def test_connections_that_break_off_lose_and_repeat_nothing(server: Server, done: stockpot.Job, proxy: Proxy) -> None:
    expected = [event.SerializeToString(deterministic=True) for event in done.watch()]
    for cut_after in [900, 1400, 2000]:
        proxy.cut_after = cut_after
        with stockpot.Client(proxy.address) as client:
            job = stockpot.Job(done.message, client._driver)
            seen = []
            for event in job.watch():
                seen.append(event.SerializeToString(deterministic=True))
                if len(seen) == len(expected) - 1:
                    proxy.cut_after = None
            assert seen == expected
    assert proxy.cuts >= 3


def test_a_running_job_watched_through_cuts(server: Server, sweep: Sweep, proxy: Proxy) -> None:
    with stockpot.Client(proxy.address) as client:
        job = client.submit(**sweep.arguments("slow.pt", compute={"batch_size": 4, "measure_again": True}))
        stop = threading.Event()

        def disturb() -> None:
            while not stop.wait(0.1):
                proxy.cut()

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            events = list(job.watch())
        finally:
            stop.set()
            thread.join()
        assert job.state == "SUCCEEDED"
        assert sequences(events) == list(range(1, job.message.last_sequence + 1))
        assert proxy.cuts >= 1  # however quick the machine is
        assert events[-1].state_changed.state == job_pb2.Job.SUCCEEDED


def test_an_outage_has_an_end(server: Server, done: stockpot.Job) -> None:
    gone = Proxy(server.port)
    with stockpot.Client(gone.address, reconnect_timeout=1.0, timeout=5) as client:
        job = client.job(done.name)
        gone.stop()
        with pytest.raises(errors.Unavailable, match=f"cannot reach the server at {gone.address}"):
            list(job.watch())


def test_who_stops_listening_ends_the_stream(client: stockpot.Client, sweep: Sweep) -> None:
    job = client.submit(**sweep.arguments("slow.pt", compute={"batch_size": 1, "measure_again": True}))
    for event in job.watch():
        if event.sequence == 2:
            break
    assert next(event.sequence for event in job.watch(2) if event.sequence) == 3
    job.cancel()


def drive(watch: Watch, answers: Callable[[Any], Any]) -> tuple[list[job_pb2.JobEvent], Any]:
    """The operation carried out by `answers`: an effect's result, or an error to throw."""
    operation = watch.run()
    events = []
    answer: Any = None
    while True:
        try:
            effect = operation.throw(answer) if isinstance(answer, Exception) else operation.send(answer)
        except StopIteration as end:
            return events, end.value
        answer = None
        if isinstance(effect, Emit):
            events.append(effect.value)
        else:
            answer = answers(effect)


def event(sequence: int, **what: Any) -> job_pb2.JobEvent:
    return job_pb2.JobEvent(sequence=sequence, **(what or {"soup_written": {}}))


PROGRESS = event(0, progress={"tasks_done": 1})


@pytest.mark.parametrize(
    "bad, words",
    [
        ([event(1), event(3)], "event 3 after event 1"),
        ([event(1), event(1)], "event 1 after event 1"),
        ([event(1), event(0, bookmark={"sequence": 2})], "sent event 2; the last that came is 1"),
    ],
)
def test_a_server_that_breaks_its_promises_is_not_believed(bad: list[job_pb2.JobEvent], words: str) -> None:
    stream = iter(bad)
    with pytest.raises(errors.DataLoss, match=words):
        drive(Watch("jobs/x", 0, 300), lambda effect: next(stream, None) if isinstance(effect, Read) else None)


def test_goes_on_after_the_last_event_that_came() -> None:
    streams = [
        [event(1), PROGRESS, event(2), event(0, bookmark={"sequence": 2}), errors.Unavailable("lost")],
        [errors.Unavailable("stopping", retry_after=7.0)],
        [PROGRESS, event(3), None],
    ]
    asked, slept = [], []

    def answers(effect: Any) -> Any:
        match effect:
            case Open(request=request):
                asked.append(request.after_sequence)
            case Read():
                return streams[0].pop(0) if len(streams[0]) > 1 else streams.pop(0)[0]
            case Sleep(seconds=seconds):
                slept.append(seconds)
            case Call():
                return job_pb2.Job(state=job_pb2.Job.SUCCEEDED, last_sequence=3)
        return None

    events, job = drive(Watch("jobs/x", 0, 300), answers)
    assert [each.sequence for each in events] == [1, 0, 2, 0, 3]
    assert asked == [0, 2, 2] and job.state == job_pb2.Job.SUCCEEDED
    assert 0.1 <= slept[0] <= 0.25 and slept[1] == 7.0  # as the server says, where that is longer
