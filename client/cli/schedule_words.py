"""A schedule in words. Instants are local and say their offset; wall-clock times stand as they were given."""

from __future__ import annotations

from datetime import datetime, timedelta

from client.cli.receipts import moment
from models.schedule import PassedZones, Schedule, end_of
from models.wall_clock import in_zone

#: What becomes of zones in which the time has passed.
PASSED: dict[PassedZones, str] = {
    PassedZones.SEND: "sent at once",
    PassedZones.NEXT_DAY: "sent at that time on the next day",
    PassedZones.SKIP: "not sent",
}


def in_words(schedule: Schedule, *, first_at: datetime | None = None) -> str:
    """Return when a checked schedule sends, as it follows "is sent": now, or at a time; and in what batches.

    `first_at` is the first of several instants, where it is known.
    """
    first = f"the first at {moment(first_at)}" if schedule.is_by_contact_zone and first_at else None
    return ", ".join(part for part in (start_in_words(schedule), first, batches_in_words(schedule)) if part)


def start_in_words(schedule: Schedule) -> str:
    """Return when a checked schedule begins; by contacts' zones, the time that it is there."""
    if schedule.at is None:
        return "now"
    if schedule.is_by_contact_zone:
        return f"at {wall_clock(schedule.at)} in each contact's own time zone"
    if schedule.at.tzinfo is None:
        instant = in_zone(schedule.at, schedule.time_zone)
        return f"at {wall_clock(schedule.at)} in {schedule.time_zone} ({moment(instant)})"
    return f"at {moment(schedule.at)}"


def batches_in_words(schedule: Schedule) -> str | None:
    """Return the throttle of a checked schedule: in batches of 5,000 every 15 min until …; None without one."""
    throttle = schedule.throttle
    if throttle is None:
        return None
    every, ends_at = interval(throttle.every), end_of(schedule)
    if throttle.max_batches is not None:
        words = f"in at most {throttle.max_batches:,} batches, one every {every},"
    else:
        words = f"in batches of {throttle.batch_size:,} every {every}"
    return words.rstrip(",") if ends_at is None else f"{words} until {moment(ends_at)}"


def zones_in_words(schedule: Schedule) -> str | None:
    """Return what holds for contacts without a zone and for zones that have passed; None without contacts' zones."""
    if not schedule.is_by_contact_zone:
        return None
    return (
        f"{schedule.fallback_time_zone or 'UTC'} for contacts without a valid time zone; where the time has passed:"
        f" {PASSED[schedule.passed_zones]}"
    )


def wall_clock(time: datetime) -> str:
    """Return the date and time that a clock shows, wherever it hangs."""
    return f"{time:%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def interval(time: timedelta) -> str:
    """Return a length of time exactly, in the units that it has: 15 min, 1 h 30 min, 2 d, 1.5 s."""
    minutes, seconds = divmod(time, timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds.total_seconds(), "s"))
    return " ".join(f"{number:g} {unit}" for number, unit in parts if number)
