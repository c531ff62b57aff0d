"""Slots and throttle batches of a message: who is due when, and the counts kept of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from models.ledger import OpenOutcome, Turns
from models.message import Counts
from models.progress import UNBATCHED, SlotTable
from models.throttle import ThrottleRule
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("slots")


async def slot_table(connection: Connection, message_id: str, *, last_batches: int | None = None) -> SlotTable:
    """Return the kept counts by slot and batch: a message of a thousand batches has some thousand rows.

    With `last_batches`, of a throttled send, only those of the last so many, and of who is in none yet.
    """
    if last_batches is None:
        batches = [_batch(row) async for row in _sql.batches(connection, message_id=message_id)]
        kept = _sql.counts(connection, message_id=message_id)
    else:
        newest_first = _sql.last_batches(connection, message_id=message_id, most=last_batches)
        batches = [_batch(row) async for row in newest_first][::-1]
        wanted = [UNBATCHED, *(turn for turn, _, _ in batches)]
        kept = _sql.counts_of_batches(connection, message_id=message_id, batches=wanted)
    counts = {
        (row["due_at"], row["batch"]): Counts(**row["counts"], total=sum(row["counts"].values())) async for row in kept
    }
    zones = {row["due_at"]: row["zones"] async for row in _sql.zones(connection, message_id=message_id)}
    limits = await _sql.limits(connection, message_id=message_id)
    return SlotTable(
        counts=counts,
        zones=zones,
        batches=tuple(batches),
        first_turn_at=limits["first_turn_at"] if limits else None,
        ends_at=limits["ends_at"] if limits else None,
    )


def _batch(row: Mapping[str, Any]) -> tuple[int, datetime, int]:
    return row["turn"], row["opened_at"], row["size"]


async def turns(connection: Connection, message_id: str) -> Turns | None:
    """Return the state of a throttled send that has begun."""
    row = await _sql.turns(connection, message_id=message_id)
    return Turns(**dict(row)) if row else None


async def open_batch(
    connection: Connection | Pool,
    message_id: str,
    generation: int,
    *,
    gate_number: int,
    turn: int,
    throttle: ThrottleRule,
    as_of: datetime,
) -> OpenOutcome:
    """Open the batch of a turn in one transaction, or expire the rest when the end date has passed. Safe to repeat.

    Nothing is opened once a command has moved the gate on from `gate_number`.
    """
    outcome = await _sql.open_batch(
        connection,
        message_id=message_id,
        generation=generation,
        gate_number=gate_number,
        turn=turn,
        batch_size=throttle.batch_size,
        max_batches=throttle.max_batches,
        as_of=as_of,
    )
    return OpenOutcome(outcome)


async def fill_batch(
    connection: Connection, message_id: str, *, turn: int, throttle: ThrottleRule, as_of: datetime
) -> int:
    """Open a batch in the caller's own transaction, which is `begin`'s; return its size."""
    size: int = await _sql.fill_batch(
        connection,
        message_id=message_id,
        turn=turn,
        batch_size=throttle.batch_size,
        max_batches=throttle.max_batches,
        as_of=as_of,
    )
    return size


async def expire_unbatched(connection: Connection, message_id: str) -> int:
    """Expire whoever is in no batch; return how many these are."""
    expired: int = await _sql.expire_unbatched(connection, message_id=message_id)
    return expired


async def note_zones(connection: Connection, message_id: str, due: Iterable[Mapping[str, Any]]) -> None:
    """Note the zones of recipients at the instants at which they are due (rows of due_at, zone, contacts)."""
    slots: defaultdict[datetime, list[tuple[int, str]]] = defaultdict(list)
    for row in due:
        slots[row["due_at"]].append((-row["contacts"], row["zone"]))
    for due_at, zones in sorted(slots.items()):
        await _sql.note_zones(
            connection, message_id=message_id, due_at=due_at, zones=[zone for _, zone in sorted(zones)]
        )
