"""Random clients at a real server over TLS, for minutes, while its memory, descriptors and threads are looked at.

Flat: of stockpotd and of its workers together, the median of the last quarter of the time is not more than that of the second
one beyond processes.TOLERANCES; and once all clients have gone, stockpotd has no more descriptors than before they came, but for
IDLE_MORE, and no more threads than in the second quarter (gRPC keeps those that it once made). Jobs that ended are deleted
after RETAINED, so that the store does not grow. Prints its seed, the figures and what clients saw; the exit code is 1 where
something was not flat or a client saw what it must not.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import pathlib
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import processes
import visitors
from safetensors.numpy import save_file
from stockpot import errors
from support import Server, Sweep, programs

ROOT = pathlib.Path(__file__).parents[2]
CLIENTS = 8
SAMPLE_SECONDS = 1.0
RETAINED = "30s"
CALLS_PER_SECOND = 20
IDLE_SECONDS = 60  # within which all that clients left behind is gone
IDLE_MORE = 2


def make_access(folder: pathlib.Path) -> tuple[pathlib.Path, dict[str, str]]:
    """Credentials as deploy/make-credentials makes them, and tokens of more clients."""
    made = folder / "credentials"
    subprocess.run([ROOT / "deploy/make-credentials", made, "localhost"], check=True)
    tokens = {name: secrets.token_hex(16) for name in ["a", "b", "c", "nobody", "everybody"]}
    with (made / "server/access").open("a") as file:
        for name, token in tokens.items():
            client, role = ("*", "viewer") if name == "everybody" else (name, "submitter")
            print(client, role, f"sha256:{hashlib.sha256(token.encode()).hexdigest()}", file=file)
    return made, tokens


def make_world(folder: pathlib.Path) -> tuple[Server, visitors.World]:
    credentials, tokens = make_access(folder)
    server = Server(
        folder,
        f"--tls_certificate_file={credentials}/server/server.pem",
        f"--tls_key_file={credentials}/server/server.key",
        f"--access_file={credentials}/server/access",
        "--metrics_listen=127.0.0.1:0",
        f"--retain_jobs_for={RETAINED}",
        "--retention_check_every=1s",
        f"--max_calls_per_second_of_client={CALLS_PER_SECOND}",
    )
    random_numbers = np.random.default_rng(1)
    large, broken = folder / "large.safetensors", folder / "broken.safetensors"
    shapes = {"first": (2048, 4), "middle": (2048, 4096), "last": (3, 4096)}
    save_file({name: random_numbers.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}, large)
    broken.write_bytes(b"\x10\0\0\0\0\0\0\0{not json at all")
    metrics_port = (folder / "log").read_text().split("metrics_port=")[1].split()[0].strip('"')
    return server, visitors.World(
        programs=programs(),
        address=server.address,
        port=server.port,
        metrics_port=metrics_port,
        ca=credentials / "client/ca.pem",
        tokens=tokens,
        sweep=Sweep(folder / "sweep", count=5),
        large=large,
        broken=broken,
    )


class Crowd:
    """Clients that visit one after the other until they are stopped, each on a thread and by a seed of its own."""

    def __init__(self, world: visitors.World, seed: int):
        self.seen: collections.Counter[tuple[str, str]] = collections.Counter()
        self.wrong: list[str] = []
        self._world = world
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(random.Random(seed * 1000 + i),)) for i in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, chance: random.Random) -> None:
        visits, weights = zip(*visitors.VISITS)
        while not self._stopped.is_set():
            visit = chance.choices(visits, weights)[0]
            try:
                went = visit(self._world, chance)
            except errors.ResourceExhausted:
                went = "too many calls"
                self._stopped.wait(1)
            except Exception as error:  # whatever it is, it is told at the end
                went = "WRONG"
                self.wrong.append(f"{visit.__name__}: {type(error).__name__}: {error}")
            self.seen[visit.__name__, went] += 1


def soak(server: Server, world: visitors.World, seed: int, minutes: float, samples_file: pathlib.Path | None) -> dict[str, object]:
    pid = server._process.pid
    time.sleep(2)  # workers have connected
    idle = processes.sample([pid])
    of_server, of_workers = [], []
    crowd = Crowd(world, seed)
    try:
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end and server._process.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            of_server.append(processes.sample([pid]))
            of_workers.append(processes.sample(processes.children(pid)))
    finally:
        crowd.stop()
    if server._process.poll() is not None:
        raise SystemExit(f"soak: stockpotd ended:\n{(server.folder / 'log').read_text()[-4000:]}")
    if samples_file is not None:
        rows = [(*vars(one).values(), *vars(other).values()) for one, other in zip(of_server, of_workers)]
        samples_file.write_text("".join("\t".join(f"{value:g}" for value in row) + "\n" for row in rows))
    most_threads = processes.quarters(of_server, "threads")[1]
    deadline = time.monotonic() + IDLE_SECONDS
    while True:
        after = processes.sample([pid])
        is_idle = after.descriptors <= idle.descriptors + IDLE_MORE and after.threads <= most_threads
        if is_idle or time.monotonic() > deadline:
            break
        time.sleep(1)
    problems = [f"stockpotd's {each}" for each in processes.growth(of_server)]
    problems += [f"the workers' {each}" for each in processes.growth(of_workers)]
    if not is_idle:
        problems.append(f"without clients it had {idle} before and has {after} after them")
    fields = processes.TOLERANCES
    return {
        "seed": seed,
        "minutes": minutes,
        "visits": sum(crowd.seen.values()),
        "seen": {visit: {went: count for (name, went), count in sorted(crowd.seen.items()) if name == visit} for visit, _ in sorted(crowd.seen)},
        "medians of quarters": {
            name: {field: [round(value, 1) for value in processes.quarters(samples, field)] for field in fields}
            for name, samples in [("stockpotd", of_server), ("workers", of_workers)]
        },
        "without clients": {"before": vars(idle), "after": vars(after)},
        "problems": problems + [f"a client saw {each}" for each in crowd.wrong],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--samples", type=pathlib.Path, help="write every sample there: server's and workers' MiB, descriptors, threads")
    options = parser.parse_args()
    print(f"soak: seed {options.seed}, {options.minutes:g} minutes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        server, world = make_world(pathlib.Path(folder))
        try:
            figures = soak(server, world, options.seed, options.minutes, options.samples)
        finally:
            server.stop()
    for name, figure in figures.items():
        print(f"{name}: {json.dumps(figure)}")
    sys.exit(1 if figures["problems"] else 0)


if __name__ == "__main__":
    main()
