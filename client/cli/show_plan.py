"""How the plan of a send looks on a terminal: who is due when, what the clocks do, and the batches of a throttle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from client.cli.output import one_line
from client.cli.receipts import moment
from client.cli.schedule_words import PASSED, in_words, wall_clock
from client.cli.show import add_row, audience_report, short, table
from client.interface import SendPreview
from models.plan import PlannedSlot, PlannedThrottle, PlannedZone, SendPlan
from models.schedule import PassedZones, Schedule
from models.wall_clock import ClockChange, clock_change, in_zone

#: The zones, the invalid names and the batches that are named; behind them stands how many more there are.
_ZONES_NAMED = 3
_MANY_SLOTS = 10  # with more than so many, one zone of each is named
_NAMES_NAMED = 5
_BATCHES_LISTED = 6


def plan_report(preview: SendPreview) -> Iterator[RenderableType]:
    """Return what a send would do: sentences, and a table of the slots and of the batches where there are any."""
    schedule, plan = preview.schedule, preview.plan
    yield f"It would be sent {in_words(schedule)}."
    by_zone = [slot for slot in plan.slots if slot.zones]
    if by_zone:
        yield _slots_table(by_zone)
    yield from _clock_notes(schedule, by_zone)
    yield from _zone_notes(plan)
    if plan.throttle is not None:
        yield from _throttle_report(plan.throttle)
    elif plan.first_due_at is not None and plan.last_due_at != plan.first_due_at:
        yield f"The first slot begins at {moment(plan.first_due_at)}, the last at {moment(plan.last_due_at)}."
    if plan.first_due_at is None:
        yield "Nobody would be mailed."
    yield from audience_report(preview.audience)
    yield "Nothing was stored."


def _slots_table(slots: Sequence[PlannedSlot]) -> Table:
    columns = ("on their clocks", "your time", "contacts")
    rows = table(*columns, "time zones", numbers=("contacts",), whole=columns)
    for slot in slots:
        skipped = slot.passed is PassedZones.SKIP
        yours = "–" if skipped else short(slot.due_at)
        zones = _zones_of(slot, 1 if len(slots) > _MANY_SLOTS else _ZONES_NAMED)
        rows.add_row(_on_their_clocks(slot), yours, f"{slot.contacts:,}", Text(zones))
    return rows


def _on_their_clocks(slot: PlannedSlot) -> str:
    match slot.passed:
        case PassedZones.SKIP:
            return "skipped"
        case PassedZones.SEND:
            return "at once"
        case _:
            return wall_clock(slot.zones[0].local_time)


def _zones_of(slot: PlannedSlot, most: int) -> str:
    named = [f"{zone.time_zone} {zone.contacts:,}" for zone in slot.zones[:most]]
    others = slot.zones[most:]
    if others:
        named.append(f"{len(others):,} more {sum(zone.contacts for zone in others):,}")
    return ", ".join(named)


def _clock_notes(schedule: Schedule, slots: Sequence[PlannedSlot]) -> Iterator[str]:
    """Say what a change of the clocks does to the time, once for all zones that it happens to alike."""
    zones: dict[str, list[str]] = {}
    for zone in _planned_zones(schedule, slots):
        if zone.clock_change is not None and schedule.at is not None:
            note = _clock_note(zone.clock_change, f"{schedule.at:%H:%M}", zone.local_time)
            zones.setdefault(note, []).append(zone.time_zone)
    for note, names in zones.items():
        yield f"In {_named(names, _ZONES_NAMED)} {note}"


def _planned_zones(schedule: Schedule, slots: Sequence[PlannedSlot]) -> Iterator[PlannedZone]:
    """Yield the zones in which somebody is due at the wall-clock time, or the one zone of the schedule."""
    if schedule.is_by_contact_zone:
        yield from (zone for slot in slots if slot.passed is not PassedZones.SKIP for zone in slot.zones)
    elif schedule.at is not None and schedule.at.tzinfo is None and schedule.time_zone is not None:
        name = schedule.time_zone
        local = in_zone(schedule.at, name).astimezone(ZoneInfo(name))
        yield PlannedZone(time_zone=name, contacts=0, local_time=local, clock_change=clock_change(schedule.at, name))


def _clock_note(change: ClockChange, time: str, local_time: datetime) -> str:
    day = f"{local_time:%Y-%m-%d}"
    match change:
        case ClockChange.MOVED_FORWARD:
            return f"the clocks go forward on {day}: {time} does not exist there, so it is {local_time:%H:%M}."
        case ClockChange.FIRST_OF_TWO:
            return f"the clocks go back on {day}: {time} comes twice there, and the first is meant."


def _zone_notes(plan: SendPlan) -> Iterator[str]:
    passed: dict[PassedZones, int] = {}
    for slot in plan.slots:
        if slot.passed is not None:
            passed[slot.passed] = passed.get(slot.passed, 0) + slot.contacts
    for what, contacts in passed.items():
        yield f"The time has passed for {contacts:,} contacts: {PASSED[what]}."
    if plan.without_time_zone:
        yield f"{plan.without_time_zone:,} contacts have no time zone: {plan.fallback_time_zone} counts for them."
    if plan.invalid_time_zone:
        names = _counted(plan.invalid_time_zones)
        yield (
            f"{plan.invalid_time_zone:,} contacts have a time zone that does not exist ({names}):"
            f" {plan.fallback_time_zone} counts for them."
        )


def _counted(numbers: Mapping[str, int]) -> str:
    return _named([f"{one_line(name)} {number:,}" for name, number in numbers.items()], _NAMES_NAMED)


def _named(names: Sequence[str], most: int) -> str:
    shown, others = list(names[:most]), len(names) - most
    return ", ".join(shown) + (f" and {others:,} more" if others > 0 else "")


def _throttle_report(throttle: PlannedThrottle) -> Iterator[RenderableType]:
    if throttle.listed:
        yield _batches_table(throttle)
        first, last = throttle.listed[0].opens_at, throttle.last_opens_at
        yield f"Batches: {throttle.batches:,}, the first at {moment(first)}, the last at {moment(last)}."
    if throttle.ends_at is not None:
        fate = f"{throttle.expired:,} contacts would get nothing" if throttle.expired else "everybody has a turn before"
        yield f"No batch opens from {moment(throttle.ends_at)} on: {fate}."


def _batches_table(throttle: PlannedThrottle) -> Table:
    columns = ("batch", "your time", "contacts")
    rows = table(*columns, numbers=("batch", "contacts"), whole=columns)
    for number, batch in enumerate(throttle.listed[:_BATCHES_LISTED], 1):
        add_row(rows, f"{number:,}", short(batch.opens_at), f"{batch.size:,}")
    if throttle.batches > _BATCHES_LISTED:
        add_row(rows, "…", f"and {throttle.batches - _BATCHES_LISTED:,} more", "")
    return rows
