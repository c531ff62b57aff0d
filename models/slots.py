"""Slots: the instants at which recipients become due, one for all or one for each instant of the contacts' zones. Pure.

The plan is worked out once, when a message is adopted, and stored: whoever joins later needs no zone arithmetic, and
the workflow never reads the zone database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property

from pydantic import AwareDatetime, BaseModel, ConfigDict

from models.contact import time_zones
from models.errors import InvalidInput
from models.schedule import PAST_TOLERANCE, PassedZones, Schedule, end_of, in_the_past
from models.wall_clock import day_after, in_zone


class Slot(BaseModel):
    """The zones in which the wall-clock time is at one instant."""

    model_config = ConfigDict(frozen=True)

    due_at: AwareDatetime
    zones: tuple[str, ...]
    skipped: bool = False  # it had passed when the send was accepted, and such zones are skipped


class Plan(BaseModel):
    """A schedule worked out. Without slots everybody is due at `first_due_at`."""

    model_config = ConfigDict(frozen=True)

    first_due_at: AwareDatetime  # of everybody, or of the earliest zone that is not skipped
    slots: tuple[Slot, ...] = ()  # in the order of their instants
    fallback_time_zone: str | None = None  # of contacts without a valid zone; one of the slots'

    def slot_of(self, time_zone: str | None) -> Slot | None:
        """Return the slot of a contact's zone, of the fallback zone for none or an invalid one; None without slots."""
        return self._by_zone.get(time_zone or "") or self._by_zone.get(self.fallback_time_zone or "")

    @cached_property
    def _by_zone(self) -> dict[str, Slot]:
        return {zone: slot for slot in self.slots for zone in slot.zones}

    def first_due_of(self, zones: Iterable[str | None]) -> datetime | None:
        """Return when the first of contacts in these zones (None: in none) is due; None if nobody ever is."""
        if not self.slots:
            return self.first_due_at
        slots = [slot for zone in zones if (slot := self.slot_of(zone)) and not slot.skipped]
        return min((slot.due_at for slot in slots), default=None)

    def next_instant(self, moment: datetime) -> datetime | None:
        """Return the first instant behind `moment` at which a zone becomes due."""
        return min((slot.due_at for slot in self.slots if slot.due_at > moment and not slot.skipped), default=None)


def make_plan(schedule: Schedule, *, accepted_at: datetime) -> Plan:
    """Work out a checked schedule that was accepted at `accepted_at`.

    A zone has passed if its instant is before that; it is due at once, on a later day, or skipped.
    """
    if schedule.at is None:
        return Plan(first_due_at=accepted_at)
    if not schedule.is_by_contact_zone:
        return Plan(first_due_at=in_zone(schedule.at, schedule.time_zone))
    zones: defaultdict[tuple[datetime, bool], list[str]] = defaultdict(list)
    for zone in sorted(time_zones()):
        zones[_due_at(schedule.at, zone, schedule.passed_zones, accepted_at)].append(zone)
    slots = tuple(Slot(due_at=at, zones=tuple(names), skipped=skip) for (at, skip), names in sorted(zones.items()))
    return Plan(
        first_due_at=next((slot.due_at for slot in slots if not slot.skipped), accepted_at),
        slots=slots,
        fallback_time_zone=schedule.fallback_time_zone or "UTC",
    )


def check_plan(schedule: Schedule, plan: Plan, zones: Mapping[str | None, int], *, accepted_at: datetime) -> None:
    """Refuse a plan that comes to nothing for the audience's `zones` (with how many contacts of each).

    Raises InvalidInput: `at_in_past` when the time has passed for all of them, or an end before the first of them.
    """
    zones = zones or {None: 0}
    if plan.slots and schedule.at is not None and schedule.passed_zones is not PassedZones.NEXT_DAY:
        latest = max(in_zone(schedule.at, zone_meant(plan, zone)) for zone in zones)
        tolerance = PAST_TOLERANCE if schedule.passed_zones is PassedZones.SEND else timedelta(0)
        if latest < accepted_at - tolerance:
            raise in_the_past(schedule.at, " in every time zone of the audience")
    ends_at = end_of(schedule)
    first = max(accepted_at, plan.first_due_of(zones) or plan.first_due_at)
    if ends_at is not None and ends_at <= first:
        raise InvalidInput(
            f"ends_at ({ends_at:%Y-%m-%d %H:%M} UTC) is not after the start ({first:%Y-%m-%d %H:%M} UTC): no batch"
            " would ever open.",
            field="throttle.ends_at",
        )


def zone_meant(plan: Plan, time_zone: str | None) -> str:
    """Return the zone that counts for a contact: its own if it is valid, else the fallback."""
    return time_zone if time_zone in time_zones() else plan.fallback_time_zone or "UTC"


def _due_at(at: datetime, zone: str, passed_zones: PassedZones, accepted_at: datetime) -> tuple[datetime, bool]:
    """Return when a zone is due, and whether it is skipped."""
    instant = in_zone(at, zone)
    if instant >= accepted_at:
        return instant, False
    match passed_zones:
        case PassedZones.SEND:
            return accepted_at, False
        case PassedZones.NEXT_DAY:
            return in_zone(day_after(at, zone, accepted_at), zone), False
        case PassedZones.SKIP:
            return instant, True
