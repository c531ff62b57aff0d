"""Many messages at a glance: how many of each status, and what lists say of each beside the message itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.commands import Receipt
from models.message import MessageStatus
from models.slots import Plan
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("overview")


@dataclass(frozen=True, slots=True)
class Outline:
    """When a message was what, by whom it was sent, and the last command that took effect on it."""

    accepted_at: datetime | None = None
    began_at: datetime | None = None
    finished_at: datetime | None = None
    sent_by: str | None = None
    last: Receipt | None = None


async def tally(connection: Connection | Pool, search: str = "") -> dict[MessageStatus, int]:
    """Return how many messages have each status; `search` is part of the name or subject, in any case."""
    found = {MessageStatus(row["status"]): row["number"] async for row in _sql.tally(connection, search=search or None)}
    return {status: found.get(status, 0) for status in MessageStatus}


async def outlines(connection: Connection | Pool, message_ids: Sequence[str]) -> dict[str, Outline]:
    """Return the outline of each message that there is, by its id, in one statement."""
    return {
        row["id"]: Outline(
            accepted_at=row["accepted_at"],
            began_at=row["began_at"],
            finished_at=row["finished_at"],
            sent_by=row["sent_by"],
            last=Receipt(**{name: row[name] for name in Receipt.model_fields}) if row["command_id"] else None,
        )
        async for row in _sql.outlines(connection, ids=list(message_ids))
    }


async def accepted(
    connection: Connection | Pool, message_id: str, generation: int
) -> tuple[datetime, Plan | None] | None:
    """Return when a scheduled message of this generation was accepted, and its plan once a workflow adopted it."""
    row = await _sql.accepted(connection, id=message_id, generation=generation)
    return None if row is None else (row["accepted_at"], Plan.model_validate(row["plan"]) if row["plan"] else None)
