"""How much memory, how many descriptors and threads the server and its workers have, and whether that grows."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Sample:
    """Of one process, or the sum of several."""

    memory_mib: float  # resident
    descriptors: int
    threads: int


def sample(pids: list[int]) -> Sample:
    """A process that has just ended counts nothing."""
    memory, descriptors, threads = 0.0, 0, 0
    for pid in pids:
        process = pathlib.Path(f"/proc/{pid}")
        try:
            fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
            memory += int(fields.get("VmRSS", "0 kB").split()[0]) * 1024 / MIB
            threads += int(fields["Threads"])
            descriptors += len(list((process / "fd").iterdir()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Sample(memory, descriptors, threads)


def children(pid: int) -> list[int]:
    found = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for path in found for child in path.read_text().split())


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How much more the last quarter's median may be than the second one's."""

    share: float
    amount: float

    def most(self, before: float) -> float:
        return before * (1 + self.share) + self.amount


# Calls come and go at random, so that medians differ by a few descriptors and threads; and a heap has holes.
TOLERANCES = {"memory_mib": Tolerance(0.05, 4), "descriptors": Tolerance(0.1, 8), "threads": Tolerance(0.1, 4)}


def quarters(samples: list[Sample], field: str) -> list[float]:
    """The median of each quarter of the time."""
    size = len(samples) // 4
    return [statistics.median(getattr(each, field) for each in samples[i * size : (i + 1) * size]) for i in range(4)]


def growth(samples: list[Sample]) -> list[str]:
    """What has grown by more than its tolerance from the second quarter to the last; nothing: all is flat."""
    found = []
    for field, tolerance in TOLERANCES.items():
        _, second, _, last = quarters(samples, field)
        if last > tolerance.most(second):
            found.append(f"{field}: {second:.1f} in the second quarter, {last:.1f} in the last, at most {tolerance.most(second):.1f}")
    return found
