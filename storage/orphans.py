"""Messages whose workflow somebody closed by hand in Temporal."""

from __future__ import annotations

from models.commands import Command, ReceiptOutcome
from models.message import MessageStatus
from storage import commands, ledger, messages
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("sending")
#: Higher than any command of the generation that is over: nothing of it opens the gate again.
_LAST_NUMBER = 2**62


async def status_of(connection: Connection | Pool, message_id: str, generation: int) -> MessageStatus | None:
    """Return the status of a message that should have a workflow of this generation, else None."""
    row = await _sql.orphan(connection, message_id=message_id, generation=generation)
    return MessageStatus(row["status"]) if row else None


async def back_to_draft(pool: Pool, message_id: str, generation: int, command: Command) -> bool:
    """Make a scheduled message a draft again, with the system's receipt; return whether it was scheduled."""
    async with pool.acquire() as connection, connection.transaction():
        return await messages.back_to_draft(connection, message_id, generation, command)


async def take_over(pool: Pool, message_id: str, generation: int, command: Command) -> tuple[int, str] | None:
    """Close the gate of a begun message and pause it under its next generation; return that and the name.

    None while emails are in flight: ask again. A crash in between leaves the gate closed, and is repeated.
    """
    async with pool.acquire() as connection:
        await _sql.close_gate(connection, message_id=message_id, generation=generation, number=_LAST_NUMBER)
        await ledger.lapse_leases(connection, message_id)
        async with connection.transaction():
            before = await status_of(connection, message_id, generation)
            row = await _sql.take_over(connection, message_id=message_id, generation=generation)
            if row is None or before is None:
                return None
            await commands.record(
                connection,
                message_id,
                row["generation"],
                command,
                ReceiptOutcome.DONE,
                before=before,
                after=MessageStatus.PAUSED,
                effective_at=row["updated_at"],
            )
    return row["generation"], row["name"]
