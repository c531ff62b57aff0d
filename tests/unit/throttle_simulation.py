"""The throttle played turn by turn, as slowly and plainly as its rule is said: what forecasts are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta


def simulate(
    waiting: Iterable[tuple[datetime, int]],
    *,
    start: datetime,
    every: timedelta,
    batch_size: int | None = None,
    max_batches: int | None = None,
    turn: int = 0,
    opened: int = 0,
    ends_at: datetime | None = None,
) -> tuple[list[tuple[int, int]], int]:
    """Return (turn, size) of every batch from `turn` on, and how many recipients were left at `ends_at`.

    At each turn: of those who are due and in no batch, the first as many as a batch takes.
    """
    unbatched = sorted(due_at for due_at, number in waiting for _ in range(number))
    batches = []
    while unbatched:
        turn_at = start
        for _ in range(turn):
            turn_at += every
        if ends_at is not None and not turn_at < ends_at:
            break
        due = [due_at for due_at in unbatched if due_at <= turn_at]
        size = len(due[:batch_size]) if batch_size else _even_share(len(due), (max_batches or 0) - opened)
        if size:
            batches.append((turn, size))
            unbatched = unbatched[size:]
            opened += 1
        turn += 1
    return batches, len(unbatched)


def _even_share(recipients: int, batches_left: int) -> int:
    """Return the smallest size with which the batches that are left, or one more, take everybody."""
    return next(size for size in range(recipients + 1) if size * max(batches_left, 1) >= recipients)
