from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

import stockpot
from support import Server, Sweep


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def sweep(server: Server) -> Sweep:
    return Sweep(server.folder / "sweep")


@pytest.fixture
def client(server: Server) -> Iterator[stockpot.Client]:
    with stockpot.Client(server.address) as connected:
        yield connected


@pytest.fixture(scope="session")
def done(server: Server, sweep: Sweep) -> stockpot.Job:
    """A job that succeeded."""
    job = stockpot.Client(server.address).submit(
        **sweep.arguments(metric="top1", comparisons=["uniform"], report_every_ingredient=True, full_scores=True)
    )
    job.wait(120)
    assert job.state == "SUCCEEDED", job.error
    return job


@pytest.fixture
def folder(server: Server, request: pytest.FixtureRequest) -> pathlib.Path:
    """A folder of the test's own that the server may read."""
    path = server.folder / request.node.name.replace("[", "_").replace("]", "")
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the person who runs the tests has set is not theirs."""
    for name in ["SERVER", "CONTEXT", "CLIENT", "TOKEN", "TOKEN_FILE", "CA_FILE"]:
        monkeypatch.delenv(f"STOCKPOT_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
