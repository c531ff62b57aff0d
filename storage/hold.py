"""The hold's one row, and the history that it leaves. That claims and beginnings obey it is `claim_window` and
`storage.sending`."""

from __future__ import annotations

from models.hold import Hold, HoldEntry
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("hold")


async def get(connection: Connection | Pool) -> Hold:
    """Return whether the hold is on, and how many emails may be in flight."""
    row = await _sql.get(connection)
    return Hold(held=row["since"] is not None, **row)


async def put(connection: Connection, *, actor: str, reason: str, source: str) -> None:
    """Put the hold: from the commit on nobody claims. It waits for claims under way, and keeps one that is there.

    Its table writes the history in the same transaction: after a crash there are both, or neither.
    """
    async with connection.transaction():
        await _sql.lock(connection)
        await _sql.say_who(connection, actor=actor, reason=reason, source=source)
        await _sql.put(connection, actor=actor, reason=reason)


async def release(connection: Connection, *, actor: str, reason: str, source: str) -> bool:
    """Remove the hold, and return whether it was on; the history as at `put`."""
    async with connection.transaction():
        await _sql.say_who(connection, actor=actor, reason=reason, source=source)
        return bool(await _sql.release(connection))


async def history(connection: Connection | Pool, *, most: int, after: int | None = None) -> list[HoldEntry]:
    """Return who put and released the hold, the latest first, behind the entry with the id `after`."""
    return [HoldEntry(**row) async for row in _sql.history(connection, most=most, after=after)]
