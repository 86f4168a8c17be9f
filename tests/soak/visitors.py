"""What random clients do to a server. Each function is one visit: it says how the visit went, in a word or two, and raises
what a server must never answer."""

from __future__ import annotations

import dataclasses
import pathlib
import random
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable

import grpc
import stockpot
from stockpot import errors
from stockpot._operation import DOWNLOAD_ARTIFACT, Open
from stockpot.v1 import soup_service_pb2 as service
from support import MODELS, Sweep

WAIT_SECONDS = 240


@dataclasses.dataclass
class World:
    programs: pathlib.Path
    address: str
    port: int
    metrics_port: str
    ca: pathlib.Path
    tokens: dict[str, str]  # by client; "everybody" is a viewer of all jobs
    sweep: Sweep
    large: pathlib.Path  # a checkpoint of wide.pt, 32 MiB
    broken: pathlib.Path  # no checkpoint

    def client(self, name: str) -> stockpot.Client:
        return stockpot.Client(self.address, token=self.tokens[name], ca_file=self.ca, reconnect_timeout=30)

    def submitter(self, chance: random.Random) -> stockpot.Client:
        return self.client(chance.choice(["a", "b", "c"]))


def valid_job(world: World, chance: random.Random) -> str:
    """Submits, watches to the end, takes the soup."""
    ingredients = chance.sample(world.sweep.ingredients, chance.randint(1, len(world.sweep.ingredients)))
    arguments = world.sweep.arguments(
        recipe=chance.choice(["greedy", "uniform", "best-single", "learned"]),
        compute={"measure_again": chance.random() < 0.7, "batch_size": chance.choice([8, 16, 32])},
        labels={"soak": "valid"},
    )
    with world.submitter(chance) as client, tempfile.TemporaryDirectory() as folder:
        job = client.submit(**{**arguments, "ingredients": ingredients})
        job.wait(WAIT_SECONDS)
        if job.state != "SUCCEEDED":
            raise AssertionError(f"{job.name} is {job.state}: {job.error}")
        job.download(folder)
        return "succeeded"


def failing_job(world: World, chance: random.Random) -> str:
    """Accepted, but its model throws, or a checkpoint is none."""
    arguments = world.sweep.arguments(chance.choice(["throws.pt", "linear.pt"]), compute={"measure_again": True})
    arguments["ingredients"] = [world.sweep.ingredients[0], world.broken]
    with world.submitter(chance) as client:
        job = client.submit(**arguments)
        job.wait(WAIT_SECONDS)
        if job.state != "FAILED":
            raise AssertionError(f"{job.name} is {job.state}")
        return "failed as it should"


def refused_job(world: World, chance: random.Random) -> str:
    wrong = chance.choice(
        [
            {"ingredients": ["/etc/passwd"]},
            {"ingredients": [world.sweep.folder / "there_is_none.safetensors"]},
            {"architecture": world.sweep.ingredients[0]},
            {"recipe": {"learned": {"epochs": -1}}},
            {"metric": "beauty"},
            {"ingredients": []},
            {"labels": {"A" * chance.randint(100, 5000): "x"}},
        ]
    )
    with world.submitter(chance) as client:
        try:
            job = client.submit(**{**world.sweep.arguments(), **wrong})
        except (errors.InvalidArgument, errors.NotFound, errors.PermissionDenied, errors.FailedPrecondition) as error:
            return type(error).__name__
        job.wait(WAIT_SECONDS)  # what only a worker sees
        if job.state != "FAILED":
            raise AssertionError(f"{wrong}: {job.name} is {job.state}")
        return "failed as it should"


def meddler(world: World, chance: random.Random) -> str:
    """Cancels, retries, repeats a request, deletes: a job of its own, which takes a while."""
    with world.submitter(chance) as client:
        arguments = world.sweep.arguments("slow.pt", compute={"batch_size": 1, "measure_again": True})
        request_id = str(uuid.uuid4())
        job = client.submit(request_id=request_id, priority=chance.randint(-5, 5), **arguments)
        if client.submit(request_id=request_id, priority=job.message.priority, **arguments).name != job.name:
            raise AssertionError("the same request made another job")
        time.sleep(chance.random())
        try:
            job.cancel()
            if chance.random() < 0.5:
                job.retry()
                job.cancel()
            job.wait(WAIT_SECONDS)
            job.delete()
        except errors.FailedPrecondition:
            return "was too late"  # it had ended
        return "cancelled and deleted"


def watcher(world: World, chance: random.Random) -> str:
    """Any job, from any event on, for a while or to its end."""
    with world.client("everybody") as client:
        jobs = list(client.jobs(limit=50))
        if not jobs:
            return "no job"
        job, patience = chance.choice(jobs), chance.choice([1, 5, 1000])
        last = 0
        try:
            for event in job.watch(chance.choice([0, 1, 3])):
                if event.sequence and event.sequence <= last:
                    raise AssertionError(f"{job.name}: event {event.sequence} after {last}")
                last, patience = max(last, event.sequence), patience - 1
                if patience == 0:
                    return "left"
        except errors.OutOfRange:
            return "before it happened"
        except (errors.NotFound, errors.PermissionDenied):
            return "job was deleted"
        return "to the end"


def vanishes(world: World, chance: random.Random) -> str:
    """A real client process, killed while it submits, watches or downloads."""
    words = [world.programs / "stockpot", "--server", world.address, "--ca-file", world.ca]
    words += ["submit", "--architecture", MODELS / "slow.pt", "--batch-size", "1", "--measure-again", "--watch"]
    words += ["--held-out", world.sweep.held_out, "--ingredients", *world.sweep.ingredients]
    variables = {"STOCKPOT_TOKEN": world.tokens[chance.choice(["a", "b", "c"])]}
    with tempfile.TemporaryDirectory() as folder:
        words += ["--out", folder]
        process = subprocess.Popen(words, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _, said = process.communicate(timeout=chance.uniform(0.02, 2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return "killed"
    if process.returncode not in (0, 2):  # 2: too many calls
        raise AssertionError(f"the client ended with {process.returncode}: {said}")
    return f"was quicker, with {process.returncode}"


def stops_reading(world: World, chance: random.Random) -> str:
    """Of 32 MiB it takes some, stands still, and lets go of the stream or of the whole connection."""
    arguments = world.sweep.arguments("wide.pt", ingredients=[world.large], recipe="best-single")
    with world.submitter(chance) as client:
        job = client.submit(**arguments)
        job.wait(WAIT_SECONDS)
        job.refresh()
        if job.state != "SUCCEEDED":
            raise AssertionError(f"{job.name} is {job.state}: {job.error}")
        request = service.DownloadArtifactRequest(name=job.name, file="soup.safetensors")
        stream = client._driver._begin(client._driver.channel, Open(DOWNLOAD_ARTIFACT, request, timeout=None))
        for _ in range(chance.randint(1, 5)):
            next(stream)
        time.sleep(chance.uniform(0, 2))
        if chance.random() < 0.5:
            stream.cancel()
    return "stopped"


def stranger(world: World, chance: random.Random) -> str:
    """A wrong token, none, another client's job."""
    kind = chance.choice(["wrong", "none", "other", "viewer"])
    token = {"wrong": uuid.uuid4().hex, "none": None, "other": world.tokens["nobody"], "viewer": world.tokens["everybody"]}[kind]
    with stockpot.Client(world.address, token=token, ca_file=world.ca) as client:
        try:
            if kind == "viewer":
                client.submit(**world.sweep.arguments())
            elif kind == "other":
                client.job("jobs/of-somebody-else")
            else:
                client.capabilities()
        except (errors.Unauthenticated, errors.PermissionDenied) as error:
            return type(error).__name__
    raise AssertionError(f"{kind} was let in")


def inventor(world: World, chance: random.Random) -> str:
    """Calls methods that there are not, by names of its own."""
    with stockpot.Client(world.address, ca_file=world.ca) as client:
        for path in ["", "/", "x", *(f"/{uuid.uuid4().hex}/{uuid.uuid4().hex}" for _ in range(chance.randint(1, 50)))]:
            try:
                client._driver.channel.unary_unary(path)(b"", timeout=30)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                    raise
            else:
                raise AssertionError(f"there is a method {path}")
    return "refused"


def noise(world: World, chance: random.Random) -> str:
    """No client at all: nothing, rubbish, half a handshake, TLS without HTTP/2."""
    kind = chance.choice(["silent", "rubbish", "half", "tls"])
    with socket.create_connection(("127.0.0.1", world.port), timeout=10) as connection:
        if kind == "rubbish":
            connection.sendall(chance.randbytes(chance.randint(1, 20000)))
        elif kind == "half":
            connection.sendall(bytes.fromhex("16030100c8010000c40303") + chance.randbytes(20))
        elif kind == "tls":
            context = ssl.create_default_context(cafile=world.ca)
            context.set_alpn_protocols(["h2"])
            with context.wrap_socket(connection, server_hostname="localhost") as secured:
                secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(chance.randint(1, 5000)))
                time.sleep(chance.uniform(0, 0.5))
                return kind
        time.sleep(chance.uniform(0, 1))
    return kind


def looks_around(world: World, chance: random.Random) -> str:
    with world.submitter(chance) as client:
        client.capabilities()
        list(client.jobs("state=SUCCEEDED", limit=chance.choice([1, 20, 200])))
        try:
            source = chance.choice([world.sweep.ingredients[0], world.broken, world.sweep.folder / "none"])
            client.inspect(checkpoint=source)
        except (errors.InvalidArgument, errors.NotFound, errors.FailedPrecondition):
            return "nothing to see"
    urllib.request.urlopen(f"http://127.0.0.1:{world.metrics_port}/metrics", timeout=30).read()
    return "looked"


VISITS: list[tuple[Callable[[World, random.Random], str], int]] = [
    (valid_job, 25),
    (failing_job, 5),
    (refused_job, 15),
    (meddler, 10),
    (watcher, 20),
    (vanishes, 10),
    (stops_reading, 3),
    (stranger, 15),
    (inventor, 5),
    (noise, 15),
    (looks_around, 10),
]
