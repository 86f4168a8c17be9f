"""The real stockpotd and stockpot programs, as a user runs them."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Any

START_SECONDS = 60


class Refused(AssertionError):
    """A program of ours exited with an error, whose text this has."""


@dataclass(frozen=True)
class Job:
    """What a job that succeeded left: the `result` of its report, and the folder of its files."""

    result: dict[str, Any]
    folder: pathlib.Path

    def blend(self, kind: str) -> dict[str, Any]:
        """The entry of `blends` of this kind."""
        return next(blend for blend in self.result["blends"] if blend["kind"] == kind)

    def recipe(self, kind: str) -> dict[str, Any]:
        """The entry of `comparisons` that made the blend of this kind."""
        return next(recipe for recipe in self.result["comparisons"] if recipe["kind"] == kind)


class Service:
    """A stockpotd with two workers of one thread each, on a Unix socket in a folder of its own."""

    def __init__(self, programs: pathlib.Path):
        self._programs = programs
        self._folder = tempfile.TemporaryDirectory(prefix="stockpot_cross_checks_")
        self.folder = pathlib.Path(self._folder.name)
        self._jobs = 0
        ready = self.folder / "ready"
        self._log = open(self.folder / "log", "wb")
        self._server = subprocess.Popen(
            [
                programs / "stockpotd",
                f"--listen={self._address}",
                f"--port_file={ready}",
                "--metrics_listen=off",
                f"--data_folder={self.folder / 'data'}",
                f"--allowed_root={self.folder}",
                f"--allowed_architecture_prefix={self.folder}",
                "--workers=2",
                "--threads_per_worker=1",
            ],
            stderr=self._log,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"stockpotd does not start: {self._log_text()}")
            time.sleep(0.01)

    @property
    def _address(self) -> str:
        return f"unix:{self.folder / 'socket'}"

    def _log_text(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def run(self, spec: dict[str, Any]) -> Job:
        """Submits the job, follows it to its end and downloads its files."""
        self._jobs += 1
        folder = self.folder / f"job{self._jobs}"
        folder.mkdir()
        file = folder / "job.json"
        file.write_text(json.dumps(spec))
        job_id = f"job{self._jobs}"
        self._client("submit", "--file", file, "--job-id", job_id, "--out", folder / "files")
        job = json.loads(self._client("get", job_id))
        return Job(job["report"]["result"], folder / "files")

    def inspect(self, path: pathlib.Path, *flags: str) -> dict[str, Any]:
        """What InspectSource says of a checkpoint. Raises Refused."""
        return json.loads(self._client("inspect", "--as=checkpoint", *flags, path))["checkpoint"]

    def inspect_data_set(self, path: pathlib.Path, *flags: str) -> dict[str, Any]:
        """What InspectSource says of a data set. Raises Refused."""
        response = json.loads(self._client("inspect", "--as=data-set", *flags, path))
        return response.get("data_set") or response["dataSet"]

    def merge(self, path: pathlib.Path, *flags: str) -> pathlib.Path:
        """What `stockpot merge` makes of this one checkpoint. Raises Refused."""
        self._jobs += 1
        out = self.folder / f"merged{self._jobs}.safetensors"
        self._client("merge", "--quiet", "--out", out, *flags, path)
        return out

    def _client(self, *arguments) -> str:
        command = [self._programs / "stockpot", f"--server={self._address}", "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(f"stockpot {arguments[0]}: {done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait()
        self._log.close()
        self._folder.cleanup()
