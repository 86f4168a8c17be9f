"""The real server on a free port, tiny sweeps of real files, and a proxy that cuts connections."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import threading
import time
from typing import Any

import numpy as np
from safetensors.numpy import save_file

MODELS = pathlib.Path(__file__).parents[2] / "support" / "models"
START_SECONDS = 60


def programs() -> pathlib.Path:
    return pathlib.Path(os.environ["STOCKPOT_PROGRAMS"])


class Server:
    """A stockpotd with two workers of one thread each; it may read below `folder` and the tests' models."""

    def __init__(self, folder: pathlib.Path, *flags: str):
        self.folder = folder
        ready = folder / "port"
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    programs() / "stockpotd",
                    "--listen=127.0.0.1:0",
                    f"--port_file={ready}",
                    "--metrics_listen=off",
                    f"--data_folder={folder / 'data'}",
                    f"--allowed_root={folder}",
                    f"--allowed_architecture_prefix={MODELS}",
                    f"--allowed_architecture_prefix={folder}",
                    "--workers=2",
                    "--threads_per_worker=1",
                    *flags,
                ],
                stderr=log,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            )
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists() or not ready.read_text().strip():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"stockpotd does not start: {self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.01)
        self.address = ready.read_text().strip()
        self.port = int(self.address.rpartition(":")[2])

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:  # a task runs on
            self._process.kill()
            self._process.wait()


def make_certificate(folder: pathlib.Path, name: str) -> tuple[pathlib.Path, pathlib.Path]:
    """A certificate that signed itself, of 127.0.0.1 and of the client `name`; and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=IP:127.0.0.1,DNS:{name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


class Sweep:
    """Fine-tunes of tests/support/models/linear.pt (x [N, 4] to 3 logits), made from noise, and data for them."""

    def __init__(self, folder: pathlib.Path, count: int = 4, examples: int = 60):
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(7)
        truth = random.normal(size=(3, 4))
        self.folder = folder
        self.ingredients = []
        for i in range(count):
            noise = truth + random.normal(size=truth.shape) * (0.4 + 0.4 * i)
            path = folder / f"model_{i}.safetensors"
            save_file({"weight": noise.astype(np.float32), "bias": np.zeros(3, np.float32)}, path)
            self.ingredients.append(path)
        self.held_out = self._examples(random, truth, examples, "held_out")
        self.test = self._examples(random, truth, examples, "test")

    def _examples(self, random: Any, truth: Any, count: int, name: str) -> pathlib.Path:
        x = random.normal(size=(count, 4)).astype(np.float32)
        labels = (x @ truth.T + random.normal(size=(count, 3))).argmax(1)
        path = self.folder / f"{name}.safetensors"
        save_file({"x": x, "labels": labels.astype(np.int64)}, path)
        return path

    def arguments(self, architecture: str = "linear.pt", **more: Any) -> dict[str, Any]:
        """Of submit."""
        return {
            "architecture": MODELS / architecture,
            "ingredients": self.ingredients,
            "held_out": self.held_out,
            "report_sets": {"test": self.test},
            **more,
        }


class Proxy:
    """A TCP proxy before a server. `cut_after` bytes for the client each connection breaks off; None: never."""

    def __init__(self, port: int, cut_after: int | None = None):
        self.cut_after = cut_after
        self.connections = 0
        self.cuts = 0
        self._port = port
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            client.close()
            return
        self._sockets |= {client, server}
        threading.Thread(target=self._copy, args=(client, server, None), daemon=True).start()
        self._copy(server, client, self.cut_after)

    def _copy(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        try:
            while data := source.recv(16384):
                if left is not None and len(data) > left:
                    self.cuts += 1
                    break
                target.sendall(data)
                left = None if left is None else left - len(data)
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def cut(self) -> None:
        """Breaks off all connections that there are."""
        for each in list(self._sockets):
            try:
                each.shutdown(socket.SHUT_RDWR)
                self.cuts += 1
            except OSError:
                pass
        self._sockets.clear()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.cut()
