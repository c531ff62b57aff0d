"""Commands and receipts: what was asked, and the one answer each got. Both tables are append-only.

An id alone says nothing: whoever asks chose it, and may give it to several messages, or to two verbs. So a command is
looked up by its message, its verb and the id that it was given, whatever it is recorded under (`recorded_id` in SQL).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from models.commands import Command, HistoryEntry, Receipt, ReceiptOutcome, Verb
from models.message import MessageStatus
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("commands")


async def ask(
    connection: Connection | Pool,
    message_id: str,
    generation: int,
    command: Command,
    details: Mapping[str, Any] | None = None,
) -> bool:
    """Record a command as asked; return whether it has been answered.

    Asking the same verb of the same message again with the same id changes nothing. An id that is another command's
    is not lost for this one: it is recorded under one of its own, which the history shows.
    """
    return bool(
        await _sql.ask(
            connection,
            **given(message_id, command),
            generation=generation,
            actor=command.actor,
            reason=command.reason,
            source=command.source,
            requested_at=command.requested_at,
            details=dict(details or {}),
        )
    )


async def is_taken(connection: Connection | Pool, message_id: str, command: Command) -> bool:
    """Whether the command was never asked, and its id is that of another message's command, or of another verb's."""
    return bool(await _sql.is_taken(connection, **given(message_id, command)))


async def record(
    connection: Connection | Pool,
    message_id: str,
    generation: int,
    command: Command,
    outcome: ReceiptOutcome,
    *,
    before: MessageStatus,
    after: MessageStatus,
    effective_at: datetime | None = None,
    explanation: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record a command together with its answer, in the caller's own transaction.

    A command that has been asked is not asked again, and one that has been answered keeps its answer.
    """
    await ask(connection, message_id, generation, command, details)
    await _sql.answer(
        connection,
        **given(message_id, command),
        outcome=outcome.value,
        effective_at=effective_at,
        status_before=before.value,
        status_after=after.value,
        explanation=explanation,
    )


async def answer_again(connection: Connection | Pool, message_id: str, command: Command, done: LastEffective) -> None:
    """Answer a command that was fulfilled already with the receipt of the one that did it."""
    await _sql.answer_again(connection, **given(message_id, command), original_id=done.recorded_id)


async def asks_for_another_end(connection: Connection | Pool, message_id: str, command: Command) -> bool:
    """Whether a resume asks for another end date than the message has."""
    return bool(await _sql.asks_for_another_end(connection, **given(message_id, command)))


async def receipt(connection: Connection | Pool, message_id: str, command: Command) -> Receipt | None:
    """Return the answer to a command, None while there is none."""
    row = await _sql.receipt(connection, **given(message_id, command))
    return _receipt(row) if row else None


async def latest_receipt(connection: Connection | Pool, message_id: str) -> Receipt | None:
    row = await _sql.latest_receipt(connection, message_id=message_id)
    return _receipt(row) if row else None


class LastEffective(NamedTuple):
    """The last command that took effect on a message."""

    recorded_id: str
    verb: Verb
    actor: str
    reason: str


async def last_effective(connection: Connection | Pool, message_id: str) -> LastEffective | None:
    """Return the last command that took effect on a message."""
    row = await _sql.last_effective(connection, message_id=message_id)
    return LastEffective(row["command_id"], Verb(row["verb"]), row["actor"], row["reason"]) if row else None


async def history(connection: Connection | Pool, message_id: str) -> list[HistoryEntry]:
    """Return every command of a message in the order asked."""
    return [
        HistoryEntry(
            command_id=row["command_id"],
            command=Verb(row["command"]),
            actor=row["actor"],
            reason=row["reason"],
            source=row["source"],
            requested_at=row["requested_at"],
            generation=row["generation"],
            details=row["details"],
            receipt=_receipt(row) if row["outcome"] else None,
        )
        async for row in _sql.history(connection, message_id=message_id)
    ]


async def unanswered(connection: Connection | Pool, older_than: timedelta) -> list[tuple[str, Command]]:
    """Return (message id, command) of commands to workflows that nobody has answered for a while."""
    rows = _sql.unanswered(connection, older_than=older_than)
    return [(row["message_id"], _command(row)) async for row in rows]


async def unanswered_of(connection: Connection, message_id: str) -> list[Command]:
    """Return every command to the workflow of a message that nobody has answered, in the order asked."""
    return [_command(row) async for row in _sql.unanswered_of(connection, message_id=message_id)]


def given(message_id: str, command: Command) -> dict[str, str]:
    """Return what a command is looked up by."""
    return {"message_id": message_id, "verb": command.verb.value, "command_id": command.command_id}


def _command(row: Mapping[str, Any]) -> Command:
    return Command(**{name: row[name] for name in Command.model_fields})


def _receipt(row: Mapping[str, Any]) -> Receipt:
    return Receipt(**{name: row[name] for name in Receipt.model_fields})
