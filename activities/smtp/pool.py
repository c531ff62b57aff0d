"""The lines that are open, those that nobody uses now, and who waits for one.

The number of lines is limited: by what we were told, and by what the server lets us have. When it refuses one while
others work, their number is the limit for now, and the emails wait for one of those.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import Any

from activities.smtp.lines import Line

#: A line idle for longer is not used again: firewalls forget it without telling either side.
_LONGEST_IDLE = timedelta(seconds=30)
#: How long to wait before trying one line more than the server wanted to have.
_GROW_EVERY = timedelta(minutes=1)

#: Emails in one turn: handed over one after the other they cost half of what each alone does.
_LONGEST_TURN = 8
#: How many emails of others go over a line before whoever comes last has a turn, unless more wait than that.
_LONGEST_QUEUE = 64


class Pool:
    """Hands out places. A place comes with a line, or without one: then whoever has it may open one."""

    def __init__(self, most: int) -> None:
        """`most`: places that can be taken at once."""
        self._most = most
        self._allowed = most  # places, for now
        self._grow_at = 0.0  # the event loop's clock, seconds
        self._server_is_limit = False
        self._taken = 0
        self._open: set[Line] = set()  # taken or idle
        self._idle: list[Line] = []  # used last, taken first: the rest may age and be closed by the server
        #: While somebody waits, all allowed places are taken.
        self._waiting: deque[asyncio.Future[Line | None]] = deque()

    async def take(self, queue: set[asyncio.Future[Any]] | None = None) -> Line | None:
        """Take a place; it comes with a line if one is idle. Waits its turn while all are taken.

        What is waited for stands in `queue` meanwhile: canceled there, this raises CancelledError.
        """
        self._grow()
        if self._taken < self._allowed:
            self._taken += 1
            return self._take_idle()
        waiter: asyncio.Future[Line | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if queue is not None:
            queue.add(waiter)
            waiter.add_done_callback(queue.discard)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.free(waiter.result())
            raise

    def free(self, line: Line | None) -> None:
        """Give a place back, with its line if that is to be used again."""
        self._grow()
        if line is not None or self._taken <= self._allowed:
            while self._waiting:
                waiter = self._waiting.popleft()
                if not waiter.done():
                    waiter.set_result(line or self._take_idle())
                    return
        self._taken -= 1
        if line is not None:
            line.idle_since = asyncio.get_running_loop().time()
            self._idle.append(line)

    def opened(self, line: Line) -> None:
        """Count a line that whoever has a place opened for it."""
        self._open.add(line)
        self._allow(max(self._allowed, self.working) if self._server_is_limit else self._most)

    def closed(self, line: Line) -> None:
        """Count a line no more, as it is closed, or about to be."""
        self._open.discard(line)

    def refused(self, *, too_many: bool, retry_at: float) -> bool:
        """Take in that a line could not be opened; return whether others work, and one of them is to be waited for.

        `too_many`: the server has as many as it wants. `retry_at`: when else to try again (the event loop's clock).
        """
        working = self.working
        if working:
            self._allowed = working
            self._server_is_limit = too_many
            self._grow_at = _now() + _GROW_EVERY.total_seconds() if too_many else retry_at
        return working > 0

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a place."""
        return any(not waiter.done() for waiter in self._waiting)

    @property
    def turn(self) -> int:
        """How many emails whoever has a place now should hand over before others have their turn."""
        waiting = max(len(self._waiting), 1)
        return max(1, min(_LONGEST_TURN, _LONGEST_QUEUE * self._allowed // waiting))

    @property
    def working(self) -> int:
        """How many lines can be used, as far as known."""
        return sum(line.is_open for line in self._open)

    def empty(self) -> list[Line]:
        """Take all idle lines out, and return them."""
        idle, self._idle = self._idle, []
        self._open.difference_update(idle)
        return idle

    def _take_idle(self) -> Line | None:
        youngest = _now() - _LONGEST_IDLE.total_seconds()
        while self._idle:
            line = self._idle.pop()
            if line.is_open and line.idle_since >= youngest:
                return line
            self.closed(line)
            line.abort()
        return None

    def _grow(self) -> None:
        if self._allowed < self._most and _now() >= self._grow_at:
            self._grow_at = _now() + _GROW_EVERY.total_seconds()
            self._allow(self._allowed + 1)

    def _allow(self, places: int) -> None:
        self._allowed = places
        while self._waiting and self._taken < self._allowed:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._taken += 1
                waiter.set_result(self._take_idle())


def _now() -> float:
    return asyncio.get_running_loop().time()
