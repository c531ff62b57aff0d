"""Throttled sends: the fixed grid of turns, the size of a batch, and what batches are to come. Pure.

Turn k is `start + k × every`. A batch opens at the first turn still to come once the one before is finished and the
message may send; a turn that was missed is dropped, never made up for, so that there is no burst. A turn that is
looked at late is opened late, as long as the next has not come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

#: Later turns are told as the last before it: ten thousand recipients, one a year, end behind the calendar.
_LAST_TURN_BEFORE = datetime(9000, 1, 1, tzinfo=UTC)


class Grid(BaseModel):
    """The turns of a send."""

    model_config = ConfigDict(frozen=True)

    start: AwareDatetime
    every: timedelta

    def at(self, turn: int) -> datetime:
        """Return the instant of a turn; of one behind the year 9000 the last turn before it."""
        return self.start + min(turn, (_LAST_TURN_BEFORE - self.start) // self.every) * self.every

    def latest(self, moment: datetime) -> int:
        """Return the last turn that has come at `moment`; 0 before the start."""
        return max(0, (moment - self.start) // self.every)

    def next(self, moment: datetime, *, after: int | None = None) -> int:
        """Return the first turn at or behind `moment`, and behind the turn `after`."""
        to_come = max(0, -((self.start - moment) // self.every))
        return to_come if after is None else max(to_come, after + 1)


class ThrottleRule(BaseModel):
    """How a send is throttled. One of `batch_size` and `max_batches` is given."""

    model_config = ConfigDict(frozen=True)

    batch_size: int | None = Field(None, strict=True, description="Recipients of a batch.")
    max_batches: int | None = Field(
        None, strict=True, description="In how many batches: each takes what is left, over the batches that are left."
    )
    every: timedelta = Field(description="From turn to turn.")

    def grid(self, start: datetime) -> Grid:
        return Grid(start=start, every=self.every)


@dataclass(frozen=True, slots=True)
class Batches:
    """`number` batches of `size` recipients at turns in a row, the first of them `turn`."""

    turn: int
    number: int
    size: int

    @property
    def last_turn(self) -> int:
        return self.turn + self.number - 1

    @property
    def recipients(self) -> int:
        return self.number * self.size


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a throttled send has before it, if nobody interferes."""

    batches: tuple[Batches, ...]
    expired: int  # recipients whose turn would not come before the end date

    @property
    def number(self) -> int:
        return sum(batches.number for batches in self.batches)

    @property
    def last_turn(self) -> int | None:
        return self.batches[-1].last_turn if self.batches else None


def forecast(
    waiting: Iterable[tuple[datetime, int]],
    grid: Grid,
    rule: ThrottleRule,
    *,
    turn: int,
    opened: int,
    ends_at: datetime | None = None,
) -> Forecast:
    """Foretell the batches for `waiting`, pairs of (due at, recipients), from `turn` on.

    The work grows with the number of instants, and not with that of batches.
    """
    arrivals = sorted((max(turn, grid.next(due_at)), number) for due_at, number in waiting if number)
    total = sum(number for _, number in arrivals)
    if rule.batch_size is None:
        planned = _spread(total, rule.max_batches or 1, turn=max(turn, *(t for t, _ in arrivals), 0), opened=opened)
    else:
        planned = _in_batches_of(rule.batch_size, arrivals)
    if ends_at is not None:
        planned = _before(planned, grid.next(ends_at))
    return Forecast(tuple(planned), total - sum(batches.recipients for batches in planned))


def _spread(total: int, max_batches: int, *, turn: int, opened: int) -> list[Batches]:
    """As even as can be: with 10 in 4 batches 3, 3, 2, 2."""
    left = max(max_batches - opened, 1)
    size, larger = divmod(total, left)
    planned = []
    for number, batch_size in ((larger, size + 1), (left - larger, size)):
        if number and batch_size:
            planned.append(Batches(turn, number, batch_size))
            turn += number
    return planned


def _in_batches_of(size: int, arrivals: Sequence[tuple[int, int]]) -> list[Batches]:
    planned: list[Batches] = []
    turn = backlog = 0
    for index, (arrival, number) in enumerate(arrivals):
        turn = max(turn, arrival)
        backlog += number
        until = arrivals[index + 1][0] if index + 1 < len(arrivals) else None
        full = backlog // size if until is None else min(backlog // size, max(until - turn, 0))
        if full:
            planned.append(Batches(turn, full, size))
            turn, backlog = turn + full, backlog - full * size
        if 0 < backlog < size and (until is None or turn < until):
            planned.append(Batches(turn, 1, backlog))
            turn, backlog = turn + 1, 0
    return planned


def _before(planned: Sequence[Batches], turn: int) -> list[Batches]:
    """Return what opens before `turn`."""
    return [
        Batches(batches.turn, min(batches.number, turn - batches.turn), batches.size)
        for batches in planned
        if batches.turn < turn
    ]
