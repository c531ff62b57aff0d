"""The form that says when a message is sent, and the schedule that it makes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TypeVar

from client.web.forms import Form
from models.contact import check_time_zone, shown
from models.durations import parse_duration
from models.errors import InvalidInput, check_all
from models.retry import RetryRule
from models.schedule import CONTACT, PassedZones, Schedule, Throttle, parse_time
from models.wall_clock import in_zone

#: What problems can be named at.
FIELDS = (
    "when",
    "at",
    "time_zone",
    "fallback_time_zone",
    "passed_zones",
    "throttle",
    "batch_size",
    "max_batches",
    "every",
    "ends_at",
    "ends_at_zone",
    "emails_per_second",
    "tries",
    "first_wait",
    "longest_wait",
    "max_age",
)
_LONGEST_NUMBER = 18  # characters; Python reads any number of digits, and takes its time

T = TypeVar("T")


class When(StrEnum):
    """The three ways to say when."""

    NOW = "now"
    ZONE = "zone"  # at a time in one zone
    CONTACTS = "contacts"  # at that time in each contact's own


class Batches(StrEnum):
    """Whether it is sent in batches, and what is said of them."""

    NONE = "none"
    SIZE = "size"
    NUMBER = "number"


def empty_form(time_zone: str, *, seen: datetime) -> Form:
    """Return the form as it is first shown; `time_zone` is that of the settings, `seen` when the draft was changed."""
    retry = RetryRule()
    return Form(
        {
            "when": [When.NOW],
            "time_zone": [time_zone],
            "fallback_time_zone": [time_zone],
            "passed_zones": [PassedZones.SEND],
            "batches": [Batches.NONE],
            "every": ["15m"],
            "tries": [str(retry.tries)],
            "first_wait": ["1m"],
            "longest_wait": ["1h"],
            "max_age": ["1d"],
            "seen": [seen.isoformat()],
        }
    )


def schedule_in(form: Form) -> Schedule:
    """Return what a form says. Raises one InvalidInput for every field that cannot be read.

    Whether it fits together, and the clocks, is for the use case to say.
    """
    when, batches = form["when"] or When.NOW, form["batches"] or Batches.NONE
    read = _Reading()
    at, time_zone = None, None
    if when != When.NOW:
        at = read("at", lambda: _at(form["at"]))
    if when == When.ZONE and (at is None or at.tzinfo is None):
        time_zone = read("time_zone", lambda: _zone(form["time_zone"]))
    elif when == When.CONTACTS:
        time_zone = CONTACT
    elif when not in tuple(When):
        read("when", lambda: _unknown(form["when"]))
    by_contact = when == When.CONTACTS
    throttle = _throttle(form, batches, read)
    passed = read("passed_zones", lambda: _passed(form["passed_zones"])) if by_contact else None
    fallback = (
        read("fallback_time_zone", lambda: _zone(form["fallback_time_zone"], needed=False)) if by_contact else None
    )
    rate = read("emails_per_second", lambda: _number(form["emails_per_second"], float))
    retry = {
        "tries": read("tries", lambda: _number(form["tries"], int)),
        "first_wait": read("first_wait", lambda: _length(form["first_wait"])),
        "longest_wait": read("longest_wait", lambda: _length(form["longest_wait"])),
        "max_age": read("max_age", lambda: _length(form["max_age"])),
    }
    read.finish()
    return Schedule(
        at=at,
        time_zone=time_zone,
        fallback_time_zone=fallback if by_contact else None,
        passed_zones=passed or PassedZones.SEND,
        throttle=throttle,
        emails_per_second=rate,
        retry=RetryRule.model_validate({name: value for name, value in retry.items() if value is not None}),
    )


def _throttle(form: Form, batches: str, read: _Reading) -> Throttle | None:
    if batches == Batches.NONE:
        return None
    size = number = None
    if batches == Batches.SIZE:
        size = read("batch_size", lambda: _needed(_number(form["batch_size"], int), "how many recipients a batch has"))
    elif batches == Batches.NUMBER:
        number = read("max_batches", lambda: _needed(_number(form["max_batches"], int), "in how many batches"))
    else:
        read("throttle", lambda: _unknown(batches))
    every = read("every", lambda: _needed(_length(form["every"]), "how long it is from batch to batch, such as 15m"))
    ends_at = _end(form, read)
    if read.failed:
        return None
    return Throttle(batch_size=size, max_batches=number, every=every or timedelta(0), ends_at=ends_at)


class _Reading:
    """Reads field after field, and keeps what is wrong with each for the end."""

    def __init__(self) -> None:
        self.failed: list[InvalidInput] = []

    def __call__(self, field: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except InvalidInput as error:
            self.failed.append(InvalidInput(error.message, field=field, code=error.code))
            return None

    def finish(self) -> None:
        """Raise what is wrong, if anything is."""
        check_all(*(partial(_fail, error) for error in self.failed))


def _fail(error: InvalidInput) -> None:
    raise error


def _at(text: str) -> datetime:
    if not text.strip():
        raise InvalidInput("Say on which day and at what time.")
    return parse_time(text, field="at")


def _end(form: Form, read: _Reading) -> datetime | None:
    """Return the end date: with a zone beside it an instant, without one in that of the send."""
    if not form["ends_at"].strip():
        return None
    time = read("ends_at", lambda: parse_time(form["ends_at"], field="ends_at"))
    zone = read("ends_at_zone", lambda: _zone(form["ends_at_zone"], needed=False))
    return in_zone(time, zone) if time is not None and zone is not None else time


def _zone(text: str, *, needed: bool = True) -> str | None:
    if not text.strip():
        if needed:
            raise InvalidInput("Say in which time zone, such as Europe/Oslo.")
        return None
    return check_time_zone(text)


def _passed(text: str) -> PassedZones:
    try:
        return PassedZones(text or PassedZones.SEND)
    except ValueError:
        return _unknown(text)


def _length(text: str) -> timedelta | None:
    if not text.strip():
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidInput(f"{shown(text)} is no length of time; write 30s, 15m, 12h, 1d or PT15M.") from error


def _number(text: str, kind: Callable[[str], T]) -> T | None:
    written = text.strip()
    if not written:
        return None
    try:
        if len(written) > _LONGEST_NUMBER or "_" in written:
            raise ValueError
        return kind(written)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise InvalidInput(f"{shown(text)} is not {what} that can be taken.") from None


def _needed(value: T | None, what: str) -> T:
    if value is None:
        raise InvalidInput(f"Say {what}.")
    return value


def _unknown(text: str) -> PassedZones:
    raise InvalidInput(f"{shown(text)} is none of the choices.")
