"""What the sweep looks for: messages without the workflow they should have, or with one they should not."""

from __future__ import annotations

from datetime import timedelta

from models.ledger import PendingStart
from models.message import MessageStatus
from storage.database import Pool
from storage.named_sql import load

_sql = load("sending")


async def not_adopted(pool: Pool, older_than: timedelta) -> list[PendingStart]:
    """Return messages that no workflow has adopted for a while."""
    return [
        PendingStart(
            message_id=row["id"], generation=row["generation"], name=row["name"], status=MessageStatus(row["status"])
        )
        async for row in _sql.not_adopted(pool, older_than=older_than)
    ]


async def to_terminate(pool: Pool) -> list[tuple[str, int]]:
    """Return (message id, generation) of unscheduled messages whose workflow may still be there."""
    return [(row["id"], row["generation"]) async for row in _sql.to_terminate(pool)]


async def adopted(pool: Pool, *, after: str, most: int) -> list[tuple[str, int, MessageStatus]]:
    """Return (id, generation, status) of messages whose workflow should be running, by id."""
    rows = _sql.adopted(pool, after=after, most=most)
    return [(row["id"], row["generation"], MessageStatus(row["status"])) async for row in rows]


async def forget_adoption(pool: Pool, message_id: str, generation: int) -> None:
    """Have a scheduled message started again."""
    await _sql.forget_adoption(pool, message_id=message_id, generation=generation)


async def is_held(pool: Pool) -> bool:
    """Whether the hold is on."""
    held: bool = await _sql.is_held(pool)
    return held


async def waiting(pool: Pool) -> list[tuple[str, int]]:
    """Return (id, generation) of messages that a hold may have kept waiting, oldest first."""
    return [(row["id"], row["generation"]) async for row in _sql.waiting(pool)]


async def resent(pool: Pool, older_than: timedelta) -> list[tuple[str, int]]:
    """Return (id, generation) of sends to which somebody was returned from in doubt a while, but not long, ago."""
    return [(row["id"], row["generation"]) async for row in _sql.resent(pool, older_than=older_than)]
