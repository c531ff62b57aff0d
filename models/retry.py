"""When a deferred recipient is tried again."""

from __future__ import annotations

from datetime import timedelta

#: Refused for now this often, a recipient has failed.
MOST_TRIES = 8
_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=1)


def wait_before_next_try(tries: int) -> timedelta | None:
    """Return how long to wait after try number `tries` (from 1): from a minute, doubling to an hour; None: give up."""
    if tries >= MOST_TRIES:
        return None
    return min(_FIRST_WAIT * (1 << (tries - 1)), _LONGEST_WAIT)
