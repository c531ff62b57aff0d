"""The plan of a send in sentences: how many, when, and what the clocks and the zones do to whom."""

from __future__ import annotations

from collections.abc import Iterator

from client.cli.schedule_words import PASSED, batches_in_words
from client.interface import SendPreview
from client.web.words import Clock, number
from models.plan import PlannedThrottle, SendPlan
from models.schedule import PassedZones, Schedule
from models.wall_clock import ClockChange

_ZONES_NAMED = 3
_NAMES_NAMED = 5


def plan_sentences(preview: SendPreview, clock: Clock) -> list[str]:
    """Return what a send would do, the most important first."""
    return list(_sentences(preview, clock))


def _sentences(preview: SendPreview, clock: Clock) -> Iterator[str]:
    plan, audience = preview.plan, preview.audience
    yield _when(preview.schedule, plan, clock)
    if plan.throttle is not None:
        yield from _throttled(preview.schedule, plan.throttle, clock)
    yield from _passed(plan)
    yield from _clock_changes(preview.schedule, plan)
    if plan.without_time_zone:
        go = _go(plan.without_time_zone)
        yield f"{contacts(plan.without_time_zone)} without a zone {go} by {plan.fallback_time_zone}."
    if plan.invalid_time_zone:
        names = _named([f"{name} {number(count)}" for name, count in plan.invalid_time_zones.items()], _NAMES_NAMED)
        yield (
            f"{contacts(plan.invalid_time_zone)} with a zone that does not exist ({names})"
            f" {_go(plan.invalid_time_zone)} by {plan.fallback_time_zone}."
        )
    if audience.suppressed:
        yield (
            f"{contacts(audience.suppressed)} of the audience {_are(audience.suppressed)} suppressed and"
            f" {_get(audience.suppressed)} nothing."
        )
    if audience.excluded:
        yield f"{contacts(audience.excluded)} {_are(audience.excluded)} kept out by exclusions."
    for name, lacking in audience.lacking.items():
        if lacking:
            lack = "lacks" if lacking == 1 else "lack"
            yield f"{contacts(lacking)} {lack} {name}, which the message names: it is empty there."


def _when(schedule: Schedule, plan: SendPlan, clock: Clock) -> str:
    if plan.first_due_at is None:
        return "Nobody would be mailed."
    if schedule.at is None:
        return f"{contacts(plan.contacts)}, from now on."
    first = clock.minute(plan.first_due_at)
    slots = sum(slot.passed is not PassedZones.SKIP for slot in plan.slots)
    mailed = contacts(plan.contacts - plan.skipped)
    last = max(slot.due_at for slot in plan.slots if slot.passed is not PassedZones.SKIP)
    if slots == 1:
        return f"{mailed}, at {first}."
    return f"{mailed} in {number(slots)} slots from {first} to {clock.minute(last)}."


def _throttled(schedule: Schedule, throttle: PlannedThrottle, clock: Clock) -> Iterator[str]:
    if throttle.last_opens_at is not None:
        how = batches_in_words(schedule) or ""
        batches = f"{number(throttle.batches)} {'batch' if throttle.batches == 1 else 'batches'}"
        yield f"{batches} ({how.split(' until ')[0]}), the last at {clock.minute(throttle.last_opens_at)}."
    if throttle.ends_at is not None:
        fate = (
            f"{contacts(throttle.expired)} {_get(throttle.expired)} nothing"
            if throttle.expired
            else "everybody has a turn before"
        )
        yield f"No batch opens from {clock.minute(throttle.ends_at)} on: {fate}."


def _passed(plan: SendPlan) -> Iterator[str]:
    passed: dict[PassedZones, int] = {}
    for slot in plan.slots:
        if slot.passed is not None:
            passed[slot.passed] = passed.get(slot.passed, 0) + slot.contacts
    for what, count in passed.items():
        yield f"The time has passed for {contacts(count)}: {PASSED[what]}."


def _clock_changes(schedule: Schedule, plan: SendPlan) -> Iterator[str]:
    zones: dict[ClockChange, list[str]] = {}
    for slot in plan.slots:
        for zone in slot.zones:
            if zone.clock_change is not None and slot.passed is not PassedZones.SKIP:
                zones.setdefault(zone.clock_change, []).append(zone.time_zone)
    time = f"{schedule.at:%H:%M}" if schedule.at else ""
    for change, names in zones.items():
        where = _named(names, _ZONES_NAMED)
        match change:
            case ClockChange.MOVED_FORWARD:
                yield f"In {where} the clocks go forward on that day: {time} does not exist, so it is later there."
            case ClockChange.FIRST_OF_TWO:
                yield f"In {where} the clocks go back on that day: {time} comes twice, and the first is meant."


def contacts(count: int) -> str:
    """Return a number of contacts in words."""
    return f"{number(count)} {'contact' if count == 1 else 'contacts'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _get(count: int) -> str:
    return "gets" if count == 1 else "get"


def _go(count: int) -> str:
    return "goes" if count == 1 else "go"


def _named(names: list[str], most: int) -> str:
    others = len(names) - most
    return ", ".join(names[:most]) + (f" and {number(others)} more" if others > 0 else "")
