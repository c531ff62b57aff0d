"""A next hop that holds no conversation: since when, why, and how long to wait before it is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta


class MissingServer:
    """What is known of it. Nothing while there is one: `since` and `reply` are None."""

    def __init__(self, first_wait: timedelta, longest_wait: timedelta, *, since: datetime | None = None) -> None:
        """`since`: it has been away since then, as an earlier run knew."""
        self._first_wait, self._longest_wait = first_wait, longest_wait
        self._wait = first_wait
        self.since = since
        self.reply: str | None = None

    def missed(self, reply: str, *, now: datetime) -> datetime:
        """Take note that a lane met none, and why; return since when there has been none."""
        self.reply = reply
        self.since = self.since or now
        return self.since

    def found(self) -> None:
        """Forget all about it."""
        self._wait = self._first_wait
        self.since = self.reply = None

    def next_wait(self) -> timedelta:
        """Return how long to wait before the next try: twice as long each time."""
        wait = self._wait
        self._wait = min(wait * 2, self._longest_wait)
        return wait
