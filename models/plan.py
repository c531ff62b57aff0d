"""The plan as people read it before a send: who is due when, and what the clocks and the zones did to whom. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from models.contact import time_zones
from models.schedule import PassedZones, Schedule, end_of
from models.slots import Plan, Slot, zone_meant
from models.throttle import Forecast, Grid, forecast
from models.wall_clock import ClockChange, clock_change, in_zone

#: Batches that are listed one by one; behind them only how many more there are.
_LISTED = 50


class PlannedZone(BaseModel):
    """One zone of a slot."""

    model_config = ConfigDict(frozen=True)

    time_zone: str
    contacts: int
    local_time: datetime = Field(description="The instant on the zone's clocks, with its offset.")
    clock_change: ClockChange | None = Field(
        None, description="What a change of the clocks did to the wall-clock time on that day."
    )


class PlannedSlot(BaseModel):
    """Contacts who become due at one instant."""

    model_config = ConfigDict(frozen=True)

    due_at: datetime
    contacts: int
    zones: list[PlannedZone] = Field(default_factory=list, description="The largest first; none: one instant for all.")
    passed: PassedZones | None = Field(None, description="The time had passed in some of its zones, and this is done.")


class PlannedBatch(BaseModel):
    """One throttle batch."""

    model_config = ConfigDict(frozen=True)

    turn: int
    opens_at: datetime
    size: int


class PlannedThrottle(BaseModel):
    """What the throttle makes of the slots."""

    model_config = ConfigDict(frozen=True)

    batches: int
    listed: list[PlannedBatch] = Field(description=f"The first {_LISTED}.")
    last_opens_at: datetime | None
    ends_at: datetime | None
    expired: int = Field(description="Contacts whose turn would come at or after `ends_at`: they get nothing.")


class SendPlan(BaseModel):
    """What a send would do if it were accepted now. Suppressed contacts are not in it."""

    model_config = ConfigDict(frozen=True)

    accepted_at: datetime
    contacts: int
    slots: list[PlannedSlot] = Field(description="In the order of their instants; those that are skipped last.")
    throttle: PlannedThrottle | None
    fallback_time_zone: str | None = Field(description="What counts for contacts without a valid zone.")
    without_time_zone: int = Field(description="Contacts without a zone.")
    invalid_time_zone: int = Field(description="Contacts whose zone is no IANA name.")
    invalid_time_zones: dict[str, int] = Field(description="These names, the commonest first.")
    skipped: int = Field(description="Contacts of zones that have passed and are skipped.")
    first_due_at: datetime | None = Field(description="When the first contact is due; null: nobody is.")
    last_due_at: datetime | None = Field(description="When the last slot, or with a throttle the last batch, begins.")


def describe_plan(
    schedule: Schedule, plan: Plan, zones: Mapping[str | None, int], *, accepted_at: datetime
) -> SendPlan:
    """Put into numbers what `plan` does to an audience of `zones` (how many contacts of each, as they are stored)."""
    by_zone = bool(plan.slots)
    known = time_zones()
    invalid = {zone: number for zone, number in zones.items() if zone and zone not in known} if by_zone else {}
    slots = _slots_by_zone(schedule, plan, zones, accepted_at) if by_zone else _one_slot(plan, sum(zones.values()))
    waiting = [slot for slot in slots if slot.passed is not PassedZones.SKIP]
    throttle = _throttle(schedule, waiting)
    last = max((slot.due_at for slot in waiting), default=None)
    return SendPlan(
        accepted_at=accepted_at,
        contacts=sum(zones.values()),
        slots=slots,
        throttle=throttle,
        fallback_time_zone=plan.fallback_time_zone,
        without_time_zone=sum(number for zone, number in zones.items() if not zone) if by_zone else 0,
        invalid_time_zone=sum(invalid.values()),
        invalid_time_zones=dict(sorted(invalid.items(), key=lambda pair: (-pair[1], pair[0]))[:_LISTED]),
        skipped=sum(slot.contacts for slot in slots if slot.passed is PassedZones.SKIP),
        first_due_at=min((slot.due_at for slot in waiting), default=None),
        last_due_at=throttle.last_opens_at if throttle else last,
    )


def foretell(schedule: Schedule, waiting: list[tuple[datetime, int]]) -> tuple[Grid, Forecast] | None:
    """Foretell the batches of a send that has not begun; None without a throttle or anybody waiting."""
    if schedule.throttle is None or not waiting:
        return None
    throttle = schedule.throttle
    grid = throttle.grid(min(due_at for due_at, _ in waiting))
    return grid, forecast(waiting, grid, throttle, turn=0, opened=0, ends_at=end_of(schedule))


def _one_slot(plan: Plan, contacts: int) -> list[PlannedSlot]:
    return [PlannedSlot(due_at=plan.first_due_at, contacts=contacts)] if contacts else []


def _slots_by_zone(
    schedule: Schedule, plan: Plan, zones: Mapping[str | None, int], accepted_at: datetime
) -> list[PlannedSlot]:
    contacts: dict[Slot, dict[str, int]] = {}
    for zone, number in zones.items():
        meant = zone_meant(plan, zone)
        slot = plan.slot_of(zone)
        assert slot is not None, "there are slots"
        in_slot = contacts.setdefault(slot, {})
        in_slot[meant] = in_slot.get(meant, 0) + number
    slots = [_slot(schedule, slot, numbers, accepted_at) for slot, numbers in contacts.items()]
    return sorted(slots, key=lambda slot: (slot.passed is PassedZones.SKIP, slot.due_at))


def _slot(schedule: Schedule, slot: Slot, numbers: Mapping[str, int], accepted_at: datetime) -> PlannedSlot:
    assert schedule.at is not None, "checked"
    wall_clock = schedule.at
    planned = [
        PlannedZone(
            time_zone=zone,
            contacts=number,
            local_time=slot.due_at.astimezone(ZoneInfo(zone)),
            clock_change=_clock_change(wall_clock, zone, slot.due_at),
        )
        for zone, number in sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    passed = any(in_zone(wall_clock, zone) < accepted_at for zone in numbers)
    return PlannedSlot(
        due_at=slot.due_at,
        contacts=sum(numbers.values()),
        zones=planned,
        passed=schedule.passed_zones if passed else None,
    )


def _clock_change(wall_clock: datetime, zone: str, due_at: datetime) -> ClockChange | None:
    """Return what a change of the clocks does on the day on which a zone is due; none to one that is due at once."""
    local_day = due_at.astimezone(ZoneInfo(zone)).date()
    for day in (local_day - timedelta(days=1), local_day):  # a gap before midnight moves a time into the next day
        on_the_day = datetime.combine(day, wall_clock.time())
        if in_zone(on_the_day, zone) == due_at:
            return clock_change(on_the_day, zone)
    return None


def _throttle(schedule: Schedule, slots: list[PlannedSlot]) -> PlannedThrottle | None:
    if schedule.throttle is None:
        return None
    foretold = foretell(schedule, [(slot.due_at, slot.contacts) for slot in slots])
    if foretold is None:
        return PlannedThrottle(batches=0, listed=[], last_opens_at=None, ends_at=end_of(schedule), expired=0)
    grid, batches = foretold
    return PlannedThrottle(
        batches=batches.number,
        listed=list_batches(grid, batches, most=_LISTED),
        last_opens_at=None if batches.last_turn is None else grid.at(batches.last_turn),
        ends_at=end_of(schedule),
        expired=batches.expired,
    )


def list_batches(grid: Grid, foretold: Forecast, *, most: int) -> list[PlannedBatch]:
    """Return the first batches of a forecast, one by one."""
    listed: list[PlannedBatch] = []
    for batches in foretold.batches:
        for turn in range(batches.turn, min(batches.last_turn + 1, batches.turn + most - len(listed))):
            listed.append(PlannedBatch(turn=turn, opens_at=grid.at(turn), size=batches.size))
    return listed
