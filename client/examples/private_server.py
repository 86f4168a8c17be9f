"""A stockpotd of its own for an example, started on a free port and stopped at the end."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator

import stockpot

_START_SECONDS = 60


@contextlib.contextmanager
def private_server(programs: pathlib.Path, folder: pathlib.Path) -> Iterator[stockpot.Client]:
    """A client of a server that may read below `folder`, architectures too, and keeps its data there."""
    port = folder / "server" / "port"
    port.parent.mkdir(parents=True, exist_ok=True)
    port.unlink(missing_ok=True)
    words = [programs / "stockpotd", "--listen=127.0.0.1:0", f"--port_file={port}", "--metrics_listen=off"]
    words += [f"--data_folder={port.parent / 'data'}", f"--allowed_root={folder}"]
    words += [f"--allowed_architecture_prefix={folder}"]
    with (port.parent / "log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in words], stderr=log, env={**os.environ})
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not port.exists() or not port.read_text().strip():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"stockpotd does not start: see {port.parent / 'log'}")
            time.sleep(0.02)
        with stockpot.Client(port.read_text().strip()) as client:
            yield client
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
