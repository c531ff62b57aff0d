"""The slots of a send as a picture: where on the axis of time each stands, how large it is, and how far it has come.

Places are percent of the width, so that the picture fits any screen and its words stay readable.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from client.interface import Progress
from client.web.words import Clock
from models.message import Counts, Message, MessageStatus
from models.plan import SendPlan
from models.progress import slot_label
from models.schedule import PassedZones, Schedule
from models.throttle import ThrottleRule

#: From the first zone of the world to come to a wall-clock time to the last.
ZONES_SPAN = timedelta(hours=26)
#: Batches to come and missed turns that are drawn; behind them only how many more there are.
MOST_DRAWN = 60
_HEIGHT, _SMALLEST = 100.0, 6.0  # of a bar, in percent
_SECONDS, _MINUTES = (1, 2, 5, 10, 15, 30), (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
_DAYS = (1, 2, 7, 30, 90, 365, 3650)
_STEPS = (
    *(timedelta(seconds=number) for number in _SECONDS),
    *(timedelta(minutes=number) for number in _MINUTES),
    *(timedelta(days=number) for number in _DAYS),
)
_MOST_TICKS = 7


class Look(StrEnum):
    """How far a slot or batch has come; the style sheet has a look for each."""

    PAST = "past"
    RUNNING = "running"
    STOPPED = "stopped"
    TO_COME = "to-come"
    MISSED = "missed"


LOOK_WORDS: dict[Look, str] = {
    Look.PAST: "past",
    Look.RUNNING: "running",
    Look.STOPPED: "stopped in its midst",
    Look.TO_COME: "to come",
    Look.MISSED: "missed",
}


@dataclass(frozen=True)
class Bar:
    """One slot or batch."""

    at: datetime
    label: str
    look: Look
    size: int
    finished: int
    left: float = 0.0  # percent, of its middle
    height: float = 0.0  # percent
    done: float = 0.0  # percent of its height that is finished


@dataclass(frozen=True)
class Tick:
    """A mark on the axis."""

    left: float
    text: str


@dataclass(frozen=True)
class Timeline:
    """The whole picture, and in words what it shows."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    now: float | None  # percent
    width: float  # percent, of a bar
    more: int  # batches to come that are not drawn
    summary: str
    in_batches: bool
    counted_at: datetime | None = None  # of a plan: nobody is a recipient yet, and people come and go until then

    @property
    def looks(self) -> list[tuple[Look, str]]:
        """The looks that occur, for the legend."""
        return [(look, LOOK_WORDS[look]) for look in Look if any(bar.look is look for bar in self.bars)]


def timeline(message: Message, progress: Progress, clock: Clock, *, now: datetime) -> Timeline | None:
    """Return the picture of a send by zones or batches; None where everybody is due at one instant."""
    rule = message.schedule.throttle if message.schedule else None
    more = 0
    if progress.throttle is not None and rule is not None:
        bars = sorted(_batches(progress, rule, now), key=lambda bar: bar.at)
        more = max(0, progress.throttle.to_come - MOST_DRAWN)
        span = rule.every
    else:
        bars = [_slot(slot.label, slot.due_at, slot.counts, progress.status, now) for slot in progress.slots]
        span = ZONES_SPAN
    return _placed(bars, span, more, clock, now, in_batches=progress.throttle is not None) if bars else None


def planned(plan: SendPlan, schedule: Schedule, clock: Clock, *, now: datetime) -> Timeline | None:
    """Return the same picture of a send that has not begun: all is to come, to whoever is in the audience `now`."""
    more = 0
    if plan.throttle is not None and schedule.throttle is not None:
        bars = [
            Bar(batch.opens_at, f"batch {place:,}", Look.TO_COME, batch.size, 0)
            for place, batch in enumerate(plan.throttle.listed, 1)
        ]
        more, span = plan.throttle.batches - len(bars), schedule.throttle.every
    else:
        bars = sorted(_planned_slots(plan), key=lambda bar: bar.at)
        span = ZONES_SPAN
    if not bars:
        return None
    return replace(_placed(bars, span, more, clock, now, in_batches=plan.throttle is not None), counted_at=now)


def _planned_slots(plan: SendPlan) -> Iterator[Bar]:
    for slot in plan.slots:
        if slot.zones:
            label = slot_label(slot.due_at, [zone.time_zone for zone in slot.zones])
            look = Look.MISSED if slot.passed is PassedZones.SKIP else Look.TO_COME
            yield Bar(slot.due_at, label, look, slot.contacts, 0)


def _slot(label: str, at: datetime, counts: Counts, status: MessageStatus, now: datetime) -> Bar:
    return Bar(at, label, _look(at, counts, status, now), counts.total, counts.total - counts.unfinished)


def _look(at: datetime, counts: Counts, status: MessageStatus, now: datetime) -> Look:
    if counts.total and counts.expired + counts.canceled == counts.total:
        return Look.MISSED
    if not counts.unfinished:
        return Look.PAST
    if at > now:
        return Look.TO_COME
    return Look.RUNNING if status is MessageStatus.SENDING else Look.STOPPED


def _batches(progress: Progress, rule: ThrottleRule, now: datetime) -> Iterator[Bar]:
    throttle = progress.throttle
    assert throttle is not None, "checked"
    first = throttle.opened - len(throttle.batches) + 1
    for place, batch in enumerate(throttle.batches, first):
        counts = batch.counts if batch.counts.total else Counts(total=batch.size)
        yield _slot(f"batch {place:,}", batch.turn_at, counts, progress.status, now)
    yield from _missed(progress, rule, now)
    if throttle.next_opens_at is not None and not progress.status.is_final:
        size = rule.batch_size or -(-throttle.waiting // max(throttle.to_come, 1))
        for turn in range(min(throttle.to_come, MOST_DRAWN)):
            left = max(0, throttle.waiting - throttle.will_expire - turn * size)
            at = throttle.next_opens_at + turn * rule.every
            yield Bar(at, f"batch {throttle.opened + turn + 1:,}", Look.TO_COME, min(size, left) or size, 0)


def _missed(progress: Progress, rule: ThrottleRule, now: datetime) -> Iterator[Bar]:
    """Turns on the grid at which no batch opened, though somebody waited for one."""
    throttle = progress.throttle
    assert throttle is not None, "checked"
    opened = [batch.turn for batch in throttle.batches]
    between = [turn for turn in range(opened[0], opened[-1]) if turn not in set(opened)] if opened else []
    if opened and throttle.waiting and progress.status is MessageStatus.PAUSED:
        grid_start = throttle.batches[0].turn_at - opened[0] * rule.every
        between += range(opened[-1] + 1, opened[-1] + 1 + max(0, (now - grid_start) // rule.every - opened[-1]))
    for turn in between[-MOST_DRAWN:]:
        at = throttle.batches[0].turn_at + (turn - opened[0]) * rule.every
        yield Bar(at, "turn", Look.MISSED, 0, 0)


def _placed(bars: list[Bar], least: timedelta, more: int, clock: Clock, now: datetime, *, in_batches: bool) -> Timeline:
    first, last = bars[0].at, bars[-1].at
    span = max(last - first, least)
    begin, whole = first - (span - (last - first)) / 2 - span * 0.05, span * 1.1
    largest = max((bar.size for bar in bars), default=1) or 1

    def place(at: datetime) -> float:
        return round((at - begin) / whole * 100, 2)

    placed = tuple(
        Bar(
            bar.at,
            bar.label,
            bar.look,
            bar.size,
            bar.finished,
            place(bar.at),
            round(max(_SMALLEST, bar.size / largest * _HEIGHT), 1),
            round(bar.finished / bar.size * 100, 1) if bar.size else 0.0,
        )
        for bar in bars
    )
    is_shown = begin <= now <= begin + whole
    return Timeline(
        bars=placed,
        ticks=tuple(Tick(place(at), text) for at, text in _ticks(begin, whole, clock)),
        now=place(now) if is_shown else None,
        width=_width(placed),
        more=more,
        summary=_summary(placed),
        in_batches=in_batches,
    )


def _width(bars: tuple[Bar, ...]) -> float:
    """Return the width at which neighbours do not cover each other, as far as they can still be seen then."""
    gaps = [after.left - before.left for before, after in itertools.pairwise(bars)]
    return round(min(2.4, max(0.6, min(gaps, default=2.4) * 0.8)), 2)


def _ticks(begin: datetime, whole: timedelta, clock: Clock) -> Iterator[tuple[datetime, str]]:
    """Yield round times of the clock, a few of them."""
    step = next((step for step in _STEPS if whole / step <= _MOST_TICKS), _STEPS[-1])
    local = clock.local(begin)
    at = local.replace(hour=0, minute=0, second=0, microsecond=0)
    at += max(0, (local - at) // step) * step
    for _ in range(_MOST_TICKS + 2):
        if begin + whole * 0.03 < at < begin + whole * 0.97:
            yield at, _on_the_axis(at, step)
        at += step


def _on_the_axis(at: datetime, step: timedelta) -> str:
    if step >= timedelta(days=1) or not (at.hour or at.minute or at.second):
        return f"{at.day} {at:%b}"
    return f"{at:%H:%M:%S}" if step < timedelta(minutes=1) else f"{at:%H:%M}"


def _summary(bars: tuple[Bar, ...]) -> str:
    numbers = [(look, sum(bar.look is look for bar in bars)) for look in Look]
    return f"{len(bars)} in all: " + ", ".join(f"{number} {LOOK_WORDS[look]}" for look, number in numbers if number)
