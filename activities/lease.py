"""A lane's own view of how long its claim holds.

The database's view is `lease_until`, by its clock, set when the claim was made. The lane counts from before it asked,
by a clock that also counts while the machine sleeps, so the lane always thinks its lease ends earlier than the
database does. In its last fifteenth it starts nothing more and aborts what runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta


def _boot_clock() -> Callable[[], float]:
    """A monotonic clock that does not stop while the machine is suspended, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        identifier = time.CLOCK_BOOTTIME
        return lambda: time.clock_gettime(identifier)
    return time.monotonic


lease_clock = _boot_clock()


class Lease:
    """How long what was claimed under one token is ours. Times are seconds of `lease_clock`."""

    def __init__(self, length: timedelta, *, clock: Callable[[], float] = lease_clock) -> None:
        """Begin a lease of `length` now: make it before asking for the claim."""
        self._seconds = length.total_seconds()
        self._clock = clock
        self._until = clock() + self._seconds
        self._lost = False

    @property
    def renew_every_seconds(self) -> float:
        return self._seconds / 3

    def usable_seconds(self) -> float:
        """How long conversations may still run: up to the lease's last fifteenth; 0 when that is over."""
        if self._lost:
            return 0.0
        return max(0.0, self._until - self._seconds / 15 - self._clock())

    def is_usable(self) -> bool:
        return self.usable_seconds() > 0.0

    def renewed(self, *, asked_at: float) -> None:
        """The database lengthened the lease in answer to a request made at `asked_at` (of `lease_clock`)."""
        self._until = max(self._until, asked_at + self._seconds)

    def lose(self) -> None:
        """The database no longer knows the claim."""
        self._lost = True
