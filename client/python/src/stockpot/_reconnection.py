"""When to try again after a lost connection: exponential backoff with jitter, and an end to it."""

from __future__ import annotations

import random
import time

from ._operation import Operation, Sleep
from .errors import StockpotError, Unavailable

_FIRST_DELAY = 0.25
_LONGEST_DELAY = 15.0


class Reconnection:
    """Gives up when an outage lasts longer than `timeout` seconds. Confined to its operation."""

    def __init__(self, timeout: float):
        self._timeout = timeout
        self._attempts = 0  # of this outage
        self._began = 0.0

    def succeeded(self) -> None:
        """Something arrived: the next failure is a new outage."""
        self._attempts = 0

    def wait_or_raise(self, failure: StockpotError) -> Operation[None]:
        """Waits before the next attempt. Raises `failure` when it does not pass by itself or the outage lasts too long."""
        if not isinstance(failure, Unavailable) and failure.reason != "TOO_MANY_CALLS":
            raise failure
        now = time.monotonic()
        if self._attempts == 0:
            self._began = now
        left = self._timeout - (now - self._began)
        if left <= 0:
            raise failure
        longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(self._attempts, 10))
        self._attempts += 1
        delay = longest * random.uniform(0.5, 1.0)
        yield Sleep(min(max(delay, failure.retry_after or 0.0), left))
