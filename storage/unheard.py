"""Commands that no workflow will hear: their message is over, or a draft again. They are answered all the same.

One that waited through a crash must not be obeyed by what comes after: a message that is scheduled anew, or reopened,
was never asked to stop. (One that is taken over because its workflow was closed by hand is still the same send, and
whatever was asked of it is asked of it still.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.commands import Command, ReceiptOutcome, Verb
from models.message import MessageStatus
from models.transitions import rule
from storage import commands
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("sending")


async def answer(pool: Pool, message_id: str, command: Command) -> bool:
    """Answer a command if no workflow can hear it; return whether it was so.

    While the message should have a workflow nothing is answered: the sweep sees to the workflow, and asks it again.
    """
    async with pool.acquire() as connection, connection.transaction():
        now = await _sql.status_now(connection, message_id=message_id)
        if now is None or MessageStatus(now["status"]).has_workflow:
            return False
        await _answer(connection, message_id, MessageStatus(now["status"]), command, now)
    return True


async def answer_all(connection: Connection, message_id: str, status: MessageStatus) -> None:
    """Answer what waits for a workflow that has ended in `status`, in the transaction after which there is another."""
    now = await _sql.status_now(connection, message_id=message_id)
    for command in await commands.unanswered_of(connection, message_id):
        await _answer(connection, message_id, status, command, now)


async def _answer(
    connection: Connection, message_id: str, status: MessageStatus, command: Command, now: Mapping[str, Any]
) -> None:
    """A stop overtaken by the last email is done, since nothing more leaves; by an unschedule, it is superseded."""
    overtaken = command.verb.is_stop and status is MessageStatus.SENT
    outcome, explanation = _ruling(status, command.verb) if not overtaken else (ReceiptOutcome.DONE, None)
    await commands.record(
        connection,
        message_id,
        now["generation"],
        command,
        outcome,
        before=MessageStatus.SENDING if overtaken else status,
        after=status,
        effective_at=now["now"] if overtaken else None,
        explanation=explanation,
    )


def _ruling(status: MessageStatus, verb: Verb) -> tuple[ReceiptOutcome, str]:
    if status is MessageStatus.DRAFT:
        return ReceiptOutcome.SUPERSEDED, "The message was unscheduled before it was obeyed."
    return ReceiptOutcome.REFUSED, rule(status, verb).why
