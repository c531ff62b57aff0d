"""Where a send stands and what it has before it, in the shapes of the doors."""

from __future__ import annotations

from datetime import datetime, timedelta

from client.interface import Progress, ResumePreview, SlotAtOnce
from models.ledger import ResumeOutcome
from models.message import Counts, Message, MessageStatus
from models.progress import (
    SlotTable,
    last_begins_at,
    next_begins_at,
    slots_of,
    throttle_progress,
    turns_missed,
)
from storage.ledger import Going
from storage.messages import MessageTimes


def describe_progress(
    message: Message, times: MessageTimes, table: SlotTable, going: Going | None, *, now: datetime
) -> Progress:
    """Put together what `progress` and `watch` show; `now` is the clock of schedules."""
    throttle = message.schedule.throttle if message.schedule else None
    sending = message.status is MessageStatus.SENDING
    due = table.due(as_of=now)
    rate = _rate(message.counts, table, going, now=now) if sending and due else None
    begins_at = next_begins_at(table, throttle, as_of=now) if sending else message.next_slot_at
    return Progress(
        id=message.id,
        status=message.status,
        counts=message.counts,
        pending_command=message.pending_command,
        in_flight=message.in_flight,
        rate_per_second=rate,
        eta=_eta(due, rate, last_begins_at(table, throttle, as_of=now), now) if sending else None,
        began_at=times.began_at,
        finished_at=times.finished_at,
        next_slot_at=begins_at,
        slots=slots_of(table),
        throttle=throttle_progress(table, throttle, as_of=now) if throttle else None,
    )


def describe_resume(message: Message, changes: ResumeOutcome, table: SlotTable, *, now: datetime) -> ResumePreview:
    """Say what a resume at `now` does, given what it did to the recipients in a transaction that was rolled back."""
    throttle = message.schedule.throttle if message.schedule else None
    to_come = throttle_progress(table, throttle, as_of=now) if throttle else None
    unsent = sum(counts.pending + counts.deferred for counts in table.counts.values())
    return ResumePreview(
        to_send=unsent - (to_come.will_expire if to_come else 0),
        joiners=changes.joiners,
        leavers=changes.leavers,
        suppressed=changes.suppressed,
        returning=changes.returning,
        moved=changes.moved,
        at_once=table.due(as_of=now),
        slots_at_once=[
            SlotAtOnce(due_at=slot.due_at, label=slot.label, recipients=slot.counts.pending)
            for slot in slots_of(table)
            if slot.due_at <= now and slot.counts.pending
        ],
        batch_rest=table.of_batch(table.latest_turn).pending if throttle and table.latest_turn is not None else 0,
        turns_missed=turns_missed(table, throttle, as_of=now) if throttle else 0,
        next_begins_at=next_begins_at(table, throttle, as_of=now),
        batches_to_come=to_come.to_come if to_come else 0,
        ends_at=table.ends_at,
        expired=changes.expired,
        will_expire=to_come.will_expire if to_come else 0,
        finishes_at=last_begins_at(table, throttle, as_of=now),
    )


def _rate(counts: Counts, table: SlotTable, going: Going | None, *, now: datetime) -> float | None:
    """Return emails a second since the slot or batch began that goes now, or since the send went on in its midst."""
    if going is None:
        return None
    begun_at, in_it = table.latest_begun(as_of=now)
    if begun_at is not None and begun_at > going.since:
        left, seconds = in_it.sent + in_it.bounced, (now - begun_at).total_seconds()
    else:
        left, seconds = counts.sent + counts.bounced - going.left_before, (going.now - going.since).total_seconds()
    return left / max(seconds, 0.1) if left > 0 else None


def _eta(due: int, rate: float | None, last_begins: datetime | None, now: datetime) -> datetime | None:
    """Return when the last email leaves: of what is due at this rate, and not before the last slot or batch begins."""
    at_this_rate = now + timedelta(seconds=due / rate) if rate and due else None
    return max((moment for moment in (at_this_rate, last_begins) if moment is not None), default=None)
