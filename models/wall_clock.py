"""Wall-clock times and the instants they are in a zone. Pure, but for the zone database of this machine.

A wall-clock time that does not exist (spring) moves forward by the gap, one that exists twice (autumn) is the first:
RFC 5545, section 3.3.5. Both are what `fold=0` means in PEP 495.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo


class ClockChange(StrEnum):
    """What a change of the clocks did to a wall-clock time."""

    MOVED_FORWARD = "moved_forward"  # it does not exist on that day, and is later by the gap
    FIRST_OF_TWO = "first_of_two"  # it exists twice on that day, and the first is meant


@cache
def _zone(name: str) -> ZoneInfo:
    """Return the zone of this name. All are kept: zoneinfo keeps eight, and a plan over all zones reads 600 files."""
    return ZoneInfo(name)


def in_zone(time: datetime, time_zone: str | None) -> datetime:
    """Return the instant, in UTC, of a time in a zone; a time that has an offset is an instant already.

    Raises OverflowError outside the years 1 to 9999.
    """
    if time.tzinfo is None:
        assert time_zone is not None, "checked by models.schedule"
        time = time.replace(tzinfo=_zone(time_zone), fold=0)
    return time.astimezone(UTC)


def clock_change(wall_clock: datetime, time_zone: str) -> ClockChange | None:
    """Return what a change of the clocks does to a wall-clock time in a zone."""
    there = _zone(time_zone)
    first, second = (wall_clock.replace(tzinfo=there, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return None
    exists = first.astimezone(UTC).astimezone(there).replace(tzinfo=None) == wall_clock
    return ClockChange.FIRST_OF_TWO if exists else ClockChange.MOVED_FORWARD


def day_after(wall_clock: datetime, time_zone: str, instant: datetime) -> datetime:
    """Return the same wall-clock time on the first day on which it has not passed at `instant`."""
    days = max(0, (instant.astimezone(_zone(time_zone)).replace(tzinfo=None) - wall_clock).days)
    while in_zone(later := wall_clock + timedelta(days=days), time_zone) < instant:
        days += 1
    return later
