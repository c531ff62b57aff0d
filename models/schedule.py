"""When a message is to be sent: now, at an instant, at a wall-clock time; all at once, or throttled. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from models.contact import check_time_zone, shown
from models.durations import Interval
from models.errors import InvalidInput, check_all
from models.retry import RetryRule
from models.throttle import ThrottleRule
from models.wall_clock import in_zone

#: The `time_zone` of a send at the same wall-clock time in each contact's own zone.
CONTACT = "contact"
#: An `at` older than this is taken for a mistake rather than for slow typing.
PAST_TOLERANCE = timedelta(seconds=60)
#: An `at` farther ahead is taken for a mistake too: 2206 for 2026. Timers of some centuries do not exist either.
FARTHEST = timedelta(days=3653)
#: Far enough from the ends of the calendar to be moved by days and zones.
YEARS = range(1900, 9000)
SHORTEST_INTERVAL = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(days=366)
#: Of `batch_size` and `max_batches`: what a 32-bit integer of the database holds, rounded.
MOST = 2_000_000_000
#: Of `emails_per_second`: one in a quarter of an hour, and more than any next hop takes.
SLOWEST, FASTEST = 0.001, 1_000_000.0
MOST_TRIES = 1_000
_LONGEST_TEXT = 40  # characters; fromisoformat takes any number of digits for a fraction of a second


def parse_time(text: str, *, field: str = "at") -> datetime:
    """Read a date and time as people type them at a shell: ISO 8601; a space may stand for the T.

    With an offset or `Z` it is an instant (aware), without one a wall-clock time (naive). Raises InvalidInput.
    """
    written = text.strip()
    try:
        # A date alone would be its midnight, which nobody means.
        time = datetime.fromisoformat(written if ":" in written and len(written) <= _LONGEST_TEXT else "")
    except ValueError:
        raise InvalidInput(
            f"{field}: {shown(text)} cannot be read; write it as 2026-12-01T09:00+01:00, or as 2026-12-01T09:00"
            " together with a time zone.",
            field=field,
        ) from None
    offset = time.utcoffset()
    if time.year not in YEARS:
        raise InvalidInput(f"{field}: {shown(text)} is out of range; is the year right?", field=field)
    if offset is not None and offset % timedelta(minutes=1):  # RFC 3339 has none, and JSON would lose them
        raise InvalidInput(f"{field}: {shown(text)} has an offset with seconds; no time zone has.", field=field)
    return time


def _time(value: object) -> object:
    """Read JSON's text; a number would pass for seconds since 1970 otherwise."""
    if isinstance(value, datetime) and value.year in YEARS:
        return value
    try:
        return parse_time(value if isinstance(value, str) else "")
    except InvalidInput:
        raise ValueError("write it as 2026-12-01T09:00:00+01:00, or without the offset as wall-clock time") from None


Time = Annotated[datetime, BeforeValidator(_time)]


class PassedZones(StrEnum):
    """What becomes of the zones in which the wall-clock time has passed when the send is accepted."""

    SEND = "send"  # at once
    NEXT_DAY = "next_day"  # at the same wall-clock time, on the first day on which it has not passed
    SKIP = "skip"  # not at all: expired, for the reason zone_passed


class Throttle(ThrottleRule):
    """Not all at once: a batch at every turn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Interval = Field(description="From turn to turn, as PT15M or 15m.")
    ends_at: Time | None = Field(
        None, description="No batch opens from here on. With an offset, or wall-clock in the one `time_zone`."
    )


class Schedule(BaseModel):
    """What `send` was given. Without `at` the message is sent now."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    at: Time | None = Field(
        None, description="With an offset: an instant. Without: wall-clock time in `time_zone`. null: now."
    )
    time_zone: str | None = Field(None, description="`contact`: each contact's own; or one IANA name for all.")
    fallback_time_zone: str | None = Field(None, description="For contacts without a valid zone of their own.")
    passed_zones: PassedZones = PassedZones.SEND
    throttle: Throttle | None = None
    emails_per_second: float | None = Field(
        None, strict=True, description="Rate limit: no more than this over any minute."
    )
    retry: RetryRule = Field(RetryRule(), description="Of recipients who are refused for now.")

    @property
    def is_by_contact_zone(self) -> bool:
        return self.time_zone == CONTACT


def check_schedule(schedule: Schedule, *, now: datetime) -> None:
    """Refuse a schedule that contradicts itself, is over (code `at_in_past`), or is more than ten years away.

    What depends on the zones of the audience is `models.slots.check_plan`. Raises InvalidInput with one sentence.
    """
    throttle, by_contact_zone = schedule.throttle, schedule.is_by_contact_zone
    check_all(
        lambda: _check_zones(schedule),
        lambda: _check_throttle(throttle, by_contact_zone=by_contact_zone) if throttle is not None else None,
        lambda: _check_rate(schedule.emails_per_second),
        lambda: _check_retry(schedule.retry),
    )
    if (ends_at := end_of(schedule)) is not None:
        _check_farthest(ends_at, "ends_at", now)
    if schedule.at is None:
        return
    at = in_zone(schedule.at, "UTC" if by_contact_zone else schedule.time_zone)
    next_day = by_contact_zone and schedule.passed_zones is PassedZones.NEXT_DAY
    # Over by years is over in every zone; what is nearer depends on the zones of the audience.
    if at < now - (FARTHEST if by_contact_zone else PAST_TOLERANCE) and not next_day:
        raise in_the_past(schedule.at)
    _check_farthest(at, "at", now)


def in_the_past(at: datetime, where: str = "") -> InvalidInput:
    """Return the error for an `at` that is over."""
    offset = f" {at:%Z}" if at.tzinfo else ""
    return InvalidInput(
        f'at is in the past ({at:%Y-%m-%d %H:%M}{offset}{where}); leave out "at" to send now.',
        field="at",
        code="at_in_past",
    )


def end_of(schedule: Schedule) -> datetime | None:
    """Return the instant from which on no batch opens, None if there is none. Raises InvalidInput."""
    ends_at = schedule.throttle.ends_at if schedule.throttle else None
    return _end(ends_at, schedule, "throttle.ends_at") if ends_at is not None else None


def check_new_end(ends_at: datetime, schedule: Schedule | None, *, now: datetime) -> datetime:
    """Return the instant of a new end date for a send that is under way. Raises InvalidInput."""
    if schedule is None or schedule.throttle is None:
        raise InvalidInput("The message is not throttled, so it has no end date to move.", field="ends_at")
    instant = _end(ends_at, schedule, "ends_at")
    if instant <= now:
        raise InvalidInput(
            f"ends_at is in the past ({instant:%Y-%m-%d %H:%M} UTC); give a time to come, or resume without it.",
            field="ends_at",
        )
    _check_farthest(instant, "ends_at", now)
    return instant


def _check_zones(schedule: Schedule) -> None:
    at, zone = schedule.at, schedule.time_zone
    for field in ("time_zone", "fallback_time_zone"):
        name = getattr(schedule, field)
        if name is not None and not (field == "time_zone" and name == CONTACT):
            _check_zone(name, field)
    if at is not None and at.tzinfo is not None and zone is not None:
        raise InvalidInput(
            "at has an offset, so it is one instant for everybody: leave out either the offset or time_zone.",
            field="time_zone",
        )
    if at is not None and at.tzinfo is None and zone is None:
        written = at.isoformat(timespec="minutes")
        raise InvalidInput(
            f"at: {written} has no offset; add one, as in {written}+01:00, or say in which time_zone"
            " (contact: in each contact's own).",
            field="at",
        )
    if at is None and schedule.is_by_contact_zone:
        raise InvalidInput(
            "time_zone contact needs a wall-clock time to be sent at: give at, as 2026-12-01T09:00.", field="at"
        )
    ends_at = schedule.throttle.ends_at if schedule.throttle else None
    if at is None and zone is not None and (ends_at is None or ends_at.tzinfo is not None):
        raise InvalidInput(
            "time_zone is for a wall-clock time, and none is given: add at, or leave out time_zone to send now.",
            field="time_zone",
        )


def _check_zone(name: str, field: str) -> None:
    try:
        check_time_zone(name)
    except InvalidInput as error:
        raise InvalidInput(f"{field}: {error.message}", field=field) from None


def _check_throttle(throttle: Throttle, *, by_contact_zone: bool) -> None:
    if throttle.batch_size is not None and throttle.max_batches is not None:
        raise InvalidInput(
            "batch_size and max_batches exclude each other: give the size, or the number.", field="throttle"
        )
    if throttle.batch_size is None and throttle.max_batches is None:
        raise InvalidInput("A throttle needs a batch_size, or else max_batches.", field="throttle.batch_size")
    for field in ("batch_size", "max_batches"):
        number = getattr(throttle, field)
        if number is not None and not 1 <= number <= MOST:
            raise InvalidInput(f"{field} must be from 1 to {MOST:,}, not {number:,}.", field=f"throttle.{field}")
    if throttle.max_batches is not None and by_contact_zone:
        raise InvalidInput(
            "max_batches does not go with time_zone contact, where not everybody is due at the first turn:"
            " give a batch_size.",
            field="throttle.max_batches",
        )
    if not SHORTEST_INTERVAL <= throttle.every <= LONGEST_INTERVAL:
        raise InvalidInput(
            f"every must be from a second to {LONGEST_INTERVAL.days} days, not {throttle.every}.",
            field="throttle.every",
        )


def _check_rate(emails_per_second: float | None) -> None:
    if emails_per_second is not None and not SLOWEST <= emails_per_second <= FASTEST:
        raise InvalidInput(
            f"emails_per_second must be from {SLOWEST} to {FASTEST:,.0f}, not {emails_per_second:g}.",
            field="emails_per_second",
        )


def _check_retry(retry: RetryRule) -> None:
    if not 1 <= retry.tries <= MOST_TRIES:
        raise InvalidInput(f"tries must be from 1 to {MOST_TRIES:,}, not {retry.tries:,}.", field="retry.tries")
    for name in ("first_wait", "longest_wait", "max_age"):
        wait = getattr(retry, name)
        if not SHORTEST_INTERVAL <= wait <= LONGEST_INTERVAL:
            raise InvalidInput(
                f"{name} must be from a second to {LONGEST_INTERVAL.days} days, not {wait}.", field=f"retry.{name}"
            )
    if retry.first_wait > retry.longest_wait:
        raise InvalidInput(
            f"first_wait ({retry.first_wait}) is longer than longest_wait ({retry.longest_wait}).",
            field="retry.first_wait",
        )


def _end(ends_at: datetime, schedule: Schedule, field: str) -> datetime:
    if ends_at.tzinfo is None and (schedule.time_zone is None or schedule.is_by_contact_zone):
        raise InvalidInput(
            f"ends_at: {ends_at.isoformat(timespec='minutes')} has no offset, and no single time_zone says where it"
            f" is; write it as {ends_at.isoformat(timespec='minutes')}+01:00.",
            field=field,
        )
    return in_zone(ends_at, schedule.time_zone)


def _check_farthest(instant: datetime, field: str, now: datetime) -> None:
    if not now - FARTHEST <= instant <= now + FARTHEST:
        raise InvalidInput(
            f"{field} is more than ten years away ({instant:%Y-%m-%d %H:%M} UTC); is the year right?", field=field
        )
