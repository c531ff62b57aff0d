"""Where a send stands, slot by slot and batch by batch, and what it has before it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from models.ledger import SlotLine
from models.message import Counts
from models.throttle import Forecast, Grid, ThrottleRule, forecast

#: Batches that are shown one by one: the last that were opened. A throttle may have thousands.
_BATCHES_SHOWN = 50
#: Lines that an operator sees in the Temporal UI: those around the present.
LINES_BEFORE, LINES_AFTER = 4, 8
#: The batch of recipients who are in none yet.
UNBATCHED = -1


class SlotProgress(BaseModel):
    """The recipients who are due at one instant."""

    model_config = ConfigDict(frozen=True)

    due_at: datetime
    label: str = Field(description="The time on the clocks of the largest zone, and how many zones more.")
    zones: list[str] = Field(description="The largest first.")
    counts: Counts


class BatchProgress(BaseModel):
    """The members of one throttle batch."""

    model_config = ConfigDict(frozen=True)

    turn: int
    turn_at: datetime
    opened_at: datetime
    size: int
    counts: Counts


class ThrottleProgress(BaseModel):
    """The throttle of a send that has begun."""

    model_config = ConfigDict(frozen=True)

    opened: int = Field(description="Batches opened until now.")
    batches: list[BatchProgress] = Field(description=f"The last {_BATCHES_SHOWN} of them.")
    waiting: int = Field(description="Recipients in no batch yet.")
    to_come: int = Field(description="Batches to come, if nobody interferes.")
    next_opens_at: datetime | None
    last_opens_at: datetime | None
    ends_at: datetime | None
    will_expire: int = Field(description="Recipients whose turn would come at or after `ends_at`.")


@dataclass(frozen=True, slots=True)
class SlotTable:
    """The kept counts of a message by slot and batch, with what is known about both."""

    counts: Mapping[tuple[datetime, int], Counts] = field(default_factory=dict)  # by (due at, batch)
    zones: Mapping[datetime, list[str]] = field(default_factory=dict)
    batches: tuple[tuple[int, datetime, int], ...] = ()  # turn, opened at, size; in order
    first_turn_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def latest_turn(self) -> int | None:
        return self.batches[-1][0] if self.batches else None

    def of_batch(self, turn: int) -> Counts:
        return _sum(counts for (_, batch), counts in self.counts.items() if batch == turn)

    def of_slot(self, due_at: datetime) -> Counts:
        return _sum(counts for (due, _), counts in self.counts.items() if due == due_at)

    def waiting(self) -> list[tuple[datetime, int]]:
        """Return (due at, recipients) of those in no batch yet."""
        found = ((due, c.pending) for (due, batch), c in self.counts.items() if batch == UNBATCHED and c.pending)
        return sorted(found)

    def due(self, *, as_of: datetime) -> int:
        """Return how many may be mailed now, or are being mailed; who waits for a throttle batch is not."""
        return sum(
            counts.claimed + (counts.pending if batch != UNBATCHED and due_at <= as_of else 0)
            for (due_at, batch), counts in self.counts.items()
        )

    def latest_begun(self, *, as_of: datetime) -> tuple[datetime | None, Counts]:
        """Return when the latest slot or throttle batch began, and its counts."""
        if self.batches:
            turn, opened_at, _ = self.batches[-1]
            return opened_at, self.of_batch(turn)
        begun = max((due_at for due_at, _ in self.counts if due_at <= as_of), default=None)
        return begun, Counts() if begun is None else self.of_slot(begun)


def slot_label(due_at: datetime, zones: list[str]) -> str:
    """Return what people call a slot: 09:00 Asia/Tokyo, and 2 more zones."""
    if not zones:
        return f"{due_at:%Y-%m-%d %H:%M %Z}"
    others = f" and {len(zones) - 1} more" if len(zones) > 1 else ""
    return f"{due_at.astimezone(ZoneInfo(zones[0])):%H:%M} {zones[0]}{others}"


def slots_of(table: SlotTable) -> list[SlotProgress]:
    """Return the slots of a send by contacts' zones, in order; none for a send at one instant."""
    if not table.zones:
        return []
    by_slot: defaultdict[datetime, list[Counts]] = defaultdict(list)
    for (due_at, _), counts in table.counts.items():
        by_slot[due_at].append(counts)
    return [
        SlotProgress(
            due_at=due_at,
            label=slot_label(due_at, table.zones.get(due_at, [])),
            zones=table.zones.get(due_at, []),
            counts=summed,
        )
        for due_at in sorted(by_slot)
        if (summed := _sum(by_slot[due_at])).total
    ]


def foretell(table: SlotTable, throttle: ThrottleRule, *, as_of: datetime) -> tuple[Grid, Forecast] | None:
    """Foretell the batches of a throttled send that has begun, were it free to send at `as_of`; None before that."""
    if table.first_turn_at is None:
        return None
    grid = throttle.grid(table.first_turn_at)
    turn = grid.next(as_of, after=table.latest_turn)
    return grid, forecast(table.waiting(), grid, throttle, turn=turn, opened=len(table.batches), ends_at=table.ends_at)


def throttle_progress(table: SlotTable, throttle: ThrottleRule, *, as_of: datetime) -> ThrottleProgress | None:
    """Return the throttle of a send that has begun, None of one that has not."""
    foretold = foretell(table, throttle, as_of=as_of)
    if foretold is None:
        return None
    grid, to_come = foretold
    members: defaultdict[int, list[Counts]] = defaultdict(list)
    for (_, batch), counts in table.counts.items():
        members[batch].append(counts)
    return ThrottleProgress(
        opened=len(table.batches),
        batches=[
            BatchProgress(turn=turn, turn_at=grid.at(turn), opened_at=opened_at, size=size, counts=_sum(members[turn]))
            for turn, opened_at, size in table.batches[-_BATCHES_SHOWN:]
        ],
        waiting=sum(number for _, number in table.waiting()),
        to_come=to_come.number,
        next_opens_at=grid.at(to_come.batches[0].turn) if to_come.batches else None,
        last_opens_at=None if to_come.last_turn is None else grid.at(to_come.last_turn),
        ends_at=table.ends_at,
        will_expire=to_come.expired,
    )


def turns_missed(table: SlotTable, throttle: ThrottleRule, *, as_of: datetime) -> int:
    """Return how many turns have come since the last batch while somebody waited for one: they are dropped."""
    if table.first_turn_at is None or not table.waiting():
        return 0
    grid = throttle.grid(table.first_turn_at)
    first = grid.next(table.waiting()[0][0], after=table.latest_turn)
    behind = grid.next(as_of)
    return max(0, (behind if table.ends_at is None else min(behind, grid.next(table.ends_at))) - first)


def last_begins_at(table: SlotTable, throttle: ThrottleRule | None, *, as_of: datetime) -> datetime | None:
    """Return when the last slot or batch to come begins; None when all of them have."""
    if throttle is not None:
        foretold = foretell(table, throttle, as_of=as_of)
        turn = foretold[1].last_turn if foretold else None
        return foretold[0].at(turn) if foretold and turn is not None else None
    return max((due for (due, _), counts in table.counts.items() if counts.pending and due > as_of), default=None)


def next_begins_at(table: SlotTable, throttle: ThrottleRule | None, *, as_of: datetime) -> datetime | None:
    """Return when the next slot or batch to come begins; None when all of them have."""
    if throttle is not None:
        foretold = foretell(table, throttle, as_of=as_of)
        return foretold[0].at(foretold[1].batches[0].turn) if foretold and foretold[1].batches else None
    return min((due for (due, _), counts in table.counts.items() if counts.pending and due > as_of), default=None)


def slot_lines(table: SlotTable, throttle: ThrottleRule | None, *, as_of: datetime) -> list[SlotLine]:
    """Return the slots, or with a throttle the batches, around the present; none of a plain send."""
    if throttle is not None and table.first_turn_at is not None:
        grid = throttle.grid(table.first_turn_at)
        found = [
            _line(f"batch of {grid.at(turn):%Y-%m-%d %H:%M:%S} UTC", grid.at(turn), table.of_batch(turn))
            for turn, _, _ in table.batches[-LINES_BEFORE:]
        ]
        waiting = sum(number for _, number in table.waiting())
        if waiting:
            found.append(SlotLine(label="in no batch yet", due_at=as_of, total=waiting, finished=0))
        return found
    instants = sorted(due_at for due_at in {due_at for due_at, _ in table.counts} if due_at in table.zones)
    come = sum(due_at <= as_of for due_at in instants)
    return [
        _line(slot_label(due_at, table.zones[due_at]), due_at, table.of_slot(due_at))
        for due_at in instants[max(0, come - LINES_BEFORE) : come + LINES_AFTER]
    ]


def _line(label: str, due_at: datetime, counts: Counts) -> SlotLine:
    return SlotLine(label=label, due_at=due_at, total=counts.total, finished=counts.total - counts.unfinished)


def _sum(counts: Iterable[Counts]) -> Counts:
    added: defaultdict[str, int] = defaultdict(int)
    for each in counts:
        for name, number in each:
            added[name] += number
    return Counts(**added)
