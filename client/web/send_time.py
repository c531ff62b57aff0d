"""The Send Time of a message, and the details behind it: who, when, why, how many had left, and what is next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from client.cli.receipts import span
from client.cli.schedule_words import batches_in_words
from client.interface import Progress
from client.web.words import STATUS_ICONS, Clock, capitalized
from models.commands import Receipt, Verb
from models.message import Counts, Message, MessageStatus
from storage.overview import Outline

#: The statuses beside whose time their icon stands.
_WITH_ICON = (MessageStatus.PAUSED, MessageStatus.CANCELED)
_STOPS: dict[Verb, str] = {Verb.PAUSE: "Paused", Verb.CANCEL: "Canceled", Verb.RESUME: "Resumed"}


@dataclass(frozen=True)
class SendTime:
    """What stands in the column, and the lines that are shown when one points at it."""

    text: str
    icon: str | None
    details: tuple[tuple[str, str], ...]


def send_time(message: Message, outline: Outline, progress: Progress | None, clock: Clock) -> SendTime:
    """Put together the cell; `progress` is that of a send that is under way."""
    return SendTime(
        _text(message, outline, clock),
        STATUS_ICONS[message.status] if message.status in _WITH_ICON else None,
        tuple(_details(message, outline, progress, clock)),
    )


def _text(message: Message, outline: Outline, clock: Clock) -> str:
    schedule = message.schedule
    if schedule is None:
        return "–"
    if schedule.at is not None and schedule.is_by_contact_zone:
        return f"{clock.day(schedule.at)}, {schedule.at:%H:%M}, contacts’ time"
    if message.status is MessageStatus.SCHEDULED:
        return clock.minute(message.next_slot_at)
    if outline.began_at is None and schedule.at is not None:  # canceled before: when it was to go
        on_the_wall = schedule.at.tzinfo is None
        return f"{clock.on_the_wall(schedule.at)}, {schedule.time_zone}" if on_the_wall else clock.minute(schedule.at)
    return clock.minute(outline.began_at or outline.accepted_at)


def _details(message: Message, outline: Outline, progress: Progress | None, clock: Clock) -> Iterator[tuple[str, str]]:
    if message.status is MessageStatus.DRAFT:
        return
    stop = outline.last if outline.last is not None and outline.last.command in _STOPS else None
    if stop is not None:
        yield from _of_command(stop, clock)
    yield "Sent by", outline.sent_by or "–"
    if message.schedule is not None:
        yield "Send time", _schedule(message, clock)
        if batches := batches_in_words(message.schedule):
            yield "Throttle", batches
    if outline.began_at is not None:
        yield "Began", clock.second(outline.began_at)
    if outline.finished_at is not None and message.status is MessageStatus.SENT:
        took = f", after {span(outline.finished_at - outline.began_at)}" if outline.began_at else ""
        yield "Finished", clock.second(outline.finished_at) + took
    yield from _next(message, progress, clock)


def _of_command(receipt: Receipt, clock: Clock) -> Iterator[tuple[str, str]]:
    by = f"{clock.second(receipt.effective_at)}, by {receipt.actor}" if receipt.effective_at else f"by {receipt.actor}"
    yield _STOPS[receipt.command], by
    if receipt.reason:
        yield "Reason", receipt.reason
    elif receipt.explanation:
        yield "Reason", receipt.explanation
    if receipt.counts is not None:
        counts = Counts(**receipt.counts)
        in_doubt = f", {counts.in_doubt:,} in doubt" if counts.in_doubt else ""
        yield "Had left", f"{counts.sent:,} of {counts.total:,}{in_doubt}"


def _schedule(message: Message, clock: Clock) -> str:
    schedule = message.schedule
    assert schedule is not None, "checked"
    if schedule.at is None:
        return "at once"
    if schedule.is_by_contact_zone:
        return f"{clock.on_the_wall(schedule.at)} in each contact’s own time zone"
    if schedule.at.tzinfo is None:
        return f"{clock.on_the_wall(schedule.at)} in {schedule.time_zone}"
    return clock.second(schedule.at)


def _next(message: Message, progress: Progress | None, clock: Clock) -> Iterator[tuple[str, str]]:
    if message.pending_command:
        flying = f", {message.in_flight:,} in flight" if message.in_flight else ""
        yield "Asked for", f"{capitalized(message.pending_command)}, not confirmed yet{flying}"
    if message.held:
        yield "Next", "when the hold is released"
        return
    at = progress.next_slot_at if progress is not None else message.next_slot_at
    if message.status is MessageStatus.PAUSED:
        yield "Next", "nothing, until somebody resumes it"
    elif progress is not None and progress.throttle is not None and at is not None:
        yield "Next", f"batch {progress.throttle.opened + 1:,} at {clock.second(at)}"
    elif at is not None:
        yield "Next", _slot_at(at, progress, clock)
    if progress is not None and progress.eta is not None:
        yield "Last email", f"about {clock.second(progress.eta)}"


def _slot_at(at: datetime, progress: Progress | None, clock: Clock) -> str:
    slot = next((slot for slot in progress.slots if slot.due_at == at), None) if progress else None
    return f"{slot.label}, at {clock.second(at)}" if slot else f"at {clock.second(at)}"
