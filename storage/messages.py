"""Messages: what is written, read and scheduled. What moves while sending is in `storage.sending`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from models.audience import Audience
from models.commands import Command, ReceiptOutcome
from models.contact import id_shown, is_storable
from models.errors import ExclusionNotFinal, NotFound
from models.message import Counts, Message, MessageContent, MessageStatus, workflow_id
from models.schedule import Schedule, end_of
from storage import commands, unheard
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("messages")
#: No vowels, so that ids never read as words; 12 of 28 letters and digits are 57 bits.
_ID_ALPHABET = "23456789bcdfghjkmnpqrstvwxyz"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = re.compile("([a-z0-9]{1,40})-([0-9a-f]{1,14})")  # an id, and microseconds up to the year 4253


@dataclass(frozen=True, slots=True)
class MessageTimes:
    """The instants of a message, None until they are."""

    accepted_at: datetime | None
    began_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of messages ended: what orders them, of its last one."""

    created_at: datetime
    id: str

    @classmethod
    def of(cls, message: Message) -> Place:
        return cls(message.created_at, message.id)

    @classmethod
    def read(cls, text: str) -> Place | None:
        """Return the place that `str` wrote; None if this is none."""
        found = _PLACE.fullmatch(text)
        return cls(_EPOCH + timedelta(microseconds=int(found[2], 16)), found[1]) if found else None

    def __str__(self) -> str:
        return f"{self.id}-{(self.created_at - _EPOCH) // timedelta(microseconds=1):x}"


def new_id() -> str:
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))


async def insert(connection: Connection | Pool, content: MessageContent, *, copied_from: str | None = None) -> str:
    """Store a draft and return its id."""
    message_id = new_id()
    await _sql.insert(connection, id=message_id, copied_from=copied_from, **_columns(content))
    return message_id


async def replace_content(
    connection: Connection | Pool, message_id: str, content: MessageContent, *, seen: datetime | None = None
) -> bool:
    """Store new content if the message is a draft; return whether it was one.

    With `seen` only if it was changed last at that instant: of two who saw the same version one is told False.
    """
    return await _sql.replace_content(connection, id=message_id, seen=seen, **_columns(content)) is not None


async def delete(connection: Connection | Pool, message_id: str) -> bool:
    """Delete a draft; return whether it was one."""
    return await _sql.delete(connection, id=message_id) is not None


async def lock(connection: Connection, message_id: str) -> None:
    """Keep everybody else from changing the message until the end of the transaction."""
    if is_storable(message_id):
        await _sql.lock(connection, id=message_id)


async def get(connection: Connection | Pool, message_id: str) -> Message:
    """Return a message as every door shows it. Raises NotFound."""
    row = await _sql.get(connection, id=message_id) if is_storable(message_id) else None
    if row is None:
        raise NotFound(f"There is no message {id_shown(message_id)}.", id=message_id)
    message = _message(row)
    return message.model_copy(update={"receipt": await commands.latest_receipt(connection, message_id)})


async def times(connection: Connection | Pool, message_id: str) -> MessageTimes:
    """Return when the message was accepted, begun and finished."""
    row = await _sql.times(connection, id=message_id)
    return MessageTimes(row["accepted_at"], row["began_at"], row["finished_at"])


async def page(
    connection: Connection | Pool,
    *,
    statuses: Sequence[MessageStatus],
    limit: int,
    after: Place | None,
    search: str = "",
    containing: str = "",
) -> list[Message]:
    """Return messages, newest first, without bodies and receipts. A message at `after` need not be there any more.

    `search` is part of the name or subject, in any case; `containing` of the subject or a body, as written.
    """
    rows = _sql.page(
        connection,
        statuses=[s.value for s in statuses] or None,
        search=search or None,
        containing=containing or None,
        after_at=after.created_at if after else None,
        after_id=after.id if after else None,
        most=limit,
    )
    return [_message(row) async for row in rows]


async def containing(connection: Connection | Pool, needle: str, statuses: Sequence[MessageStatus]) -> list[str]:
    """Return the ids of messages in one of `statuses` whose body or subject contains `needle`, oldest first."""
    rows = _sql.containing(connection, needle=needle, statuses=[s.value for s in statuses])
    return [row["id"] async for row in rows]


async def schedule(
    connection: Connection,
    message_id: str,
    schedule: Schedule,
    *,
    seen: datetime | None = None,
    accepted_at: datetime,
    next_slot_at: datetime | None,
    ends_at: datetime | None,
) -> int | None:
    """Move a draft to scheduled; return its new generation, None if it is no draft.

    With `seen` only if it was changed last at that instant, as in `replace_content`.
    Nothing that was asked of an earlier scheduling holds for this one.
    """
    generation: int | None = await _sql.schedule(
        connection,
        id=message_id,
        schedule=schedule.model_dump(mode="json"),
        seen=seen,
        accepted_at=accepted_at,
        next_slot_at=next_slot_at,
        ends_at=ends_at,
    )
    if generation is not None:
        await unheard.answer_all(connection, message_id, MessageStatus.DRAFT)
    return generation


async def unschedule(connection: Connection, message_id: str, generation: int) -> datetime | None:
    """Make a scheduled message of this generation a draft again, and note that its workflow is to be terminated.

    Returns the instant; None when it was not scheduled (any more): the send has begun.
    """
    row = await _sql.unschedule(connection, id=message_id, generation=generation)
    return row["updated_at"] if row else None


async def back_to_draft(connection: Connection, message_id: str, generation: int, command: Command) -> bool:
    """Unschedule, with the receipt, in the caller's own transaction; return whether the message was scheduled.

    Whatever else was asked of this scheduling, and not obeyed, is answered too.
    """
    unscheduled_at = await unschedule(connection, message_id, generation)
    if unscheduled_at is not None:
        await unheard.answer_all(connection, message_id, MessageStatus.DRAFT)
        await commands.record(
            connection,
            message_id,
            generation,
            command,
            ReceiptOutcome.DONE,
            before=MessageStatus.SCHEDULED,
            after=MessageStatus.DRAFT,
            effective_at=unscheduled_at,
        )
    return unscheduled_at is not None


async def forget_terminate(connection: Connection | Pool, message_id: str, generation: int) -> None:
    """Clear the note of `unschedule` once the workflow is known to be gone."""
    await _sql.forget_terminate(connection, id=message_id, generation=generation)


async def require_excluded_over(connection: Connection | Pool, audience: Audience) -> None:
    """Raise ExclusionNotFinal while a message whose recipients are excluded could still mail the same people."""
    unfinished = await _sql.unfinished_exclusion(connection, ids=list(audience.exclude_recipients_of))
    if unfinished is not None:
        raise ExclusionNotFinal(
            f"The audience excludes the recipients of {unfinished['name']} ({unfinished['id']}), which is"
            f" {unfinished['status']} and could still mail them; cancel it first, or wait until it is sent.",
            excluded=unfinished["id"],
            status=unfinished["status"],
        )


async def lock_with_excluded(connection: Connection, message_id: str, audience: Audience) -> None:
    """Keep a message and those that it excludes as they are until the end of the transaction.

    Whether an excluded one is over is to be looked at after that: an in-doubt resend reopens it under the same lock,
    and looks for messages that exclude it.
    """
    await _sql.lock_each(connection, ids=[message_id, *audience.exclude_recipients_of])


async def place_of(connection: Connection | Pool, message_id: str) -> Place | None:
    """Return the place of a message; None if there is no such message."""
    row = await _sql.place_of(connection, id=message_id) if is_storable(message_id) else None
    return None if row is None else Place(row["created_at"], row["id"])


async def missing(connection: Connection | Pool, message_ids: Sequence[str]) -> list[str]:
    """Return which of these ids are no messages."""
    unheard_of = [message_id for message_id in message_ids if not is_storable(message_id)]
    if unheard_of:
        return unheard_of
    return [row["wanted"] async for row in _sql.missing(connection, ids=list(message_ids))]


def _columns(content: MessageContent) -> dict[str, Any]:
    columns = {name: getattr(content, name) for name in MessageContent.model_fields}
    columns["audience"] = content.audience.model_dump(mode="json")
    return columns


def _message(row: Mapping[str, Any]) -> Message:
    status = MessageStatus(row["status"])
    counts = Counts(**row["counts"])
    return Message(
        **{name: row[name] for name in MessageContent.model_fields if name != "audience"},
        audience=Audience.model_validate(row["audience"]),
        id=row["id"],
        status=status,
        schedule=_schedule(row) if status != MessageStatus.DRAFT else None,
        generation=row["generation"],
        workflow_id=workflow_id(row["id"], row["generation"]) if status != MessageStatus.DRAFT else None,
        counts=counts,
        pending_command=row["unanswered"] if status.has_workflow else None,
        in_flight=counts.claimed,
        held=row["hold"] and status in (MessageStatus.SCHEDULED, MessageStatus.SENDING),
        next_slot_at=row["next_slot_at"] if status == MessageStatus.SCHEDULED else None,
        copied_from=row["copied_from"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _schedule(row: Mapping[str, Any]) -> Schedule | None:
    """Return what send was given, with the end date that holds now: a resume may have moved it."""
    if row["schedule"] is None:
        return None
    schedule = Schedule.model_validate(row["schedule"])
    if schedule.throttle is None or row["ends_at"] == end_of(schedule):
        return schedule
    throttle = schedule.throttle.model_copy(update={"ends_at": row["ends_at"]})
    return schedule.model_copy(update={"throttle": throttle})
