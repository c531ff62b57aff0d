"""The hold's one row. That claims and beginnings obey it is `claim_window` and `storage.sending`."""

from __future__ import annotations

from models.hold import Hold
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("hold")


async def get(connection: Connection | Pool) -> Hold:
    """Return whether the hold is on, and how many emails may be in flight."""
    row = await _sql.get(connection)
    return Hold(held=row["since"] is not None, **row)


async def put(connection: Connection, *, actor: str, reason: str) -> None:
    """Put the hold: from the commit on nobody claims. It waits for claims under way, and keeps one that is there."""
    async with connection.transaction():
        await _sql.lock(connection)
        await _sql.put(connection, actor=actor, reason=reason)


async def release(connection: Connection | Pool) -> bool:
    """Remove the hold; return whether it was on."""
    return bool(await _sql.release(connection))
