"""What a resume would do, in sentences for whoever decides about it. What is zero is not said."""

from __future__ import annotations

from collections.abc import Iterator

from client.cli.receipts import moment
from client.interface import ResumePreview

#: Slots that are named; behind them stands how many more there are.
_SLOTS_NAMED = 5


def resume_report(would: ResumePreview) -> list[str]:
    """Return what a resume would do, a sentence a line: who goes when, who comes and goes, what the end date does."""
    return [
        f"A resume would mail {would.to_send:,}.",
        *_at_once(would),
        *_to_come(would),
        *_changes(would),
        *_end_date(would),
    ]


def _at_once(would: ResumePreview) -> Iterator[str]:
    named = [f"{slot.label}: {slot.recipients:,}" for slot in would.slots_at_once[:_SLOTS_NAMED]]
    others = would.slots_at_once[_SLOTS_NAMED:]
    if others:
        named.append(f"{len(others):,} more slots: {sum(slot.recipients for slot in others):,}")
    passed = f"whose time has passed ({'; '.join(named)})" if named else ""
    if not _is_throttled(would):
        if would.at_once:
            yield f"At once: {would.at_once:,}" + (f", {passed}." if passed else ".")
        return
    if would.batch_rest:
        yield f"At once: {would.batch_rest:,}, the rest of the interrupted batch."
    if passed:
        yield f"Batch by batch: those {passed}."
    if would.turns_missed:
        yield f"Turns missed in the pause: {would.turns_missed:,}; they are dropped, and nothing is made up for."


def _to_come(would: ResumePreview) -> Iterator[str]:
    if would.next_begins_at is None:
        return
    next_at = f"at {moment(would.next_begins_at)}"
    if would.batches_to_come:
        sentence = f"Batches to come: {would.batches_to_come:,}, the next {next_at}"
    else:
        sentence = f"The next slot begins {next_at}"
    has_more = would.finishes_at is not None and would.finishes_at > would.next_begins_at
    yield sentence + (f", the last at {moment(would.finishes_at)}." if has_more else ".")


def _changes(would: ResumePreview) -> Iterator[str]:
    added = {"joined the audience": would.joiners, "are allowed again": would.returning}
    lost = {"left the audience": would.leavers, "are suppressed": would.suppressed}
    for label, changes in (("Also mailed", added), ("Not mailed", lost)):
        if said := [f"{number:,} {what}" for what, number in changes.items() if number]:
            yield f"{label}: {', '.join(said)}."
    if would.moved:
        yield f"Due at another time: {would.moved:,}, whose time zone was changed."


def _end_date(would: ResumePreview) -> Iterator[str]:
    if would.ends_at is None:
        return
    ends_at = moment(would.ends_at)
    if would.expired:
        yield f"The end date, {ends_at}, has passed: {would.expired:,} would expire now, and get nothing."
    elif would.will_expire:
        yield f"No batch opens from {ends_at} on: {would.will_expire:,} will expire then, and get nothing."
    elif would.batches_to_come:
        yield f"No batch opens from {ends_at} on: everybody has a turn before."


def _is_throttled(would: ResumePreview) -> bool:
    return bool(would.batch_rest or would.batches_to_come or would.turns_missed or would.ends_at)
