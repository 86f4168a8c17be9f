"""What the tests of this folder share: where tools are, and a real server."""
import contextlib
import json
import os
import pathlib
import random
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ENVIRONMENT = pathlib.Path(os.environ["STOCKPOT_DEPLOY_CHECKS"])
PROGRAMS = pathlib.Path(os.environ["STOCKPOT_PROGRAMS"]).resolve()


def program(name):
    """A tool of the environment. Skips the test that asks when it is not there."""
    for folder in ("bin", "venv/bin"):
        path = ENVIRONMENT / folder / name
        if path.exists() and path.stat().st_size > 0:
            return str(path)
    raise unittest.SkipTest(f"there is no {name}: deploy/install-dependencies --deploy-checks makes it where Go is")


def run(words, **options):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300, **options)


def make_credentials(folder, *hosts):
    """What deploy/make-credentials makes, in a folder of its own below `folder`."""
    target = pathlib.Path(tempfile.mkdtemp(dir=folder), "credentials")
    done = run([DEPLOY / "make-credentials", target, *(hosts or ["localhost"])])
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return target


def make_client_certificate(folder, name):
    """PEM of a client's certificate, which signed itself, and of its key."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        certificate, key = pathlib.Path(place, "certificate"), pathlib.Path(place, "key")
        done = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate])
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return certificate.read_text(), key.read_text()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_healthy(port):
    """Whether grpc.health.v1 says SERVING to a plaintext caller, as kubelet is one."""
    done = subprocess.run(["curl", "-s", "--max-time", "10", "--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H",
                           "te: trailers", "--data-binary", "@-", f"http://127.0.0.1:{port}/grpc.health.v1.Health/Check"],
                          input=b"\0\0\0\0\0", capture_output=True, timeout=60)
    return done.stdout == b"\0\0\0\0\x02\x08\x01"


class Server:
    """A stockpotd with one worker on free ports."""

    def __init__(self, data_folder, readable, flags=()):
        self.scratch = tempfile.TemporaryDirectory()
        port_file = pathlib.Path(self.scratch.name, "port")
        self.log = pathlib.Path(self.scratch.name, "log")
        words = [PROGRAMS / "stockpotd", "--listen=127.0.0.1:0", f"--port_file={port_file}", "--metrics_listen=127.0.0.1:0",
             f"--data_folder={data_folder}", "--workers=1", "--device=cpu", f"--allowed_root={readable}",
             f"--allowed_architecture_prefix={readable}", *flags]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(words, stderr=log)
        deadline = time.monotonic() + 120
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(self.log.read_text())
            time.sleep(0.05)
        self.address = port_file.read_text().strip()
        self.metrics_port = self.log.read_text().split("metrics_port=")[1].split()[0].strip('"')

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        finally:
            self.process.kill()
            self.scratch.cleanup()

    def client(self, *words):
        return run([PROGRAMS / "stockpot", "--server", self.address, *words])

    def submit(self, sweep, *more):
        return self.client("submit", "--architecture", sweep / "architecture.pt", "--ingredients",
                           sweep / "checkpoints/*.safetensors", "--held-out", sweep / "held_out.safetensors", *more)

    def jobs(self):
        """name -> state."""
        listed = self.client("--json", "list")
        if listed.returncode != 0:
            raise AssertionError(listed.stderr)
        return {job["name"]: job["state"] for job in map(json.loads, listed.stdout.splitlines())}

    def scrape(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            return answer.read().decode()


@contextlib.contextmanager
def sweep():
    """A folder as deploy/quickstart trains it, of made-up scans, so that nothing is downloaded. $STOCKPOT_SWEEP: one that
    is there already."""
    if "STOCKPOT_SWEEP" in os.environ:
        yield pathlib.Path(os.environ["STOCKPOT_SWEEP"])
        return
    with tempfile.TemporaryDirectory() as folder:
        random.seed(1)
        digits = [[random.randint(0, 16) for _ in range(64)] for _ in range(10)]
        lines = [",".join(str(min(16, max(0, pixel + random.randint(-6, 6)))) for pixel in digits[row % 10]) +
                 f",{row % 10}\n" for row in range(1300)]
        pathlib.Path(folder, "digits.csv").write_text("".join(lines))
        made = run([PROGRAMS / "quickstart-sweep", f"{folder}/digits.csv", f"{folder}/sweep"])
        if made.returncode != 0:
            raise AssertionError(made.stderr)
        yield pathlib.Path(folder, "sweep")
