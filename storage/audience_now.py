"""The audience as it is now, with the instant at which each contact is due, and what that does to the recipients.

It stands in the temporary table `audience_now` of one transaction, `begin`'s or a resume's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models.audience import Audience
from models.slots import Plan
from storage import slots
from storage.audience import audience_sql
from storage.database import Connection
from storage.named_sql import load

_sql = load("audience_now")


@dataclass(frozen=True, slots=True)
class Changes:
    """How many recipients a reading of the audience changed."""

    joiners: int
    leavers: int
    suppressed: int
    returning: int
    moved: int


async def read(connection: Connection, audience: Audience, plan: Plan, *, not_before: datetime | None = None) -> None:
    """Fill the table: who is in the audience, and when each is due by the plan, but not before an instant."""
    await _sql.drop(connection)
    await _sql.create(connection)
    query, arguments = _with_instants(audience, plan)
    await connection.execute(
        "insert into audience_now select contact_id, address, address_key, zone, suppressed,"  # noqa: S608  # our own
        f" greatest(due_at, ${len(arguments) + 1}::timestamptz), skipped from ({query}) as a",
        *arguments,
        not_before,
    )
    await _sql.index_contact(connection)
    await _sql.index_address(connection)
    await _sql.analyze(connection)


async def first_due_at(connection: Connection) -> datetime | None:
    """Return when the first contact in the table is due whom a send would mail."""
    first: datetime | None = await _sql.first_due_at(connection)
    return first


async def insert(connection: Connection, message_id: str, plan: Plan, *, batch: int) -> int:
    """Insert who is in the table and no recipient yet; return how many. `batch`: -1 where a throttle opens batches."""
    if plan.slots:
        due = [row async for row in _sql.zones_of_joiners(connection, message_id=message_id)]
        await slots.note_zones(connection, message_id, due)
    joiners: int = await _sql.add_joiners(connection, message_id=message_id, batch=batch)
    return joiners


async def apply(connection: Connection, message_id: str, plan: Plan, *, batch: int, as_of: datetime) -> Changes:
    """Change the unsent recipients to what the table says. Rows that were handed over never move."""
    await _sql.pass_on(connection, message_id=message_id)
    leavers = await _sql.withdraw_leavers(connection, message_id=message_id)
    suppressed = await _sql.suppress_unsent(connection, message_id=message_id)
    returning = [row async for row in _sql.bring_back(connection, message_id=message_id, batch=batch)]
    moved = []
    if plan.slots:
        moves = _sql.move_to_zones(connection, message_id=message_id, batch=batch, as_of=as_of)
        moved = [row async for row in moves]
        await slots.note_zones(connection, message_id, returning + moved)
    joiners = await insert(connection, message_id, plan, batch=batch)
    return Changes(
        joiners=joiners,
        leavers=leavers,
        suppressed=suppressed,
        returning=sum(row["contacts"] for row in returning),
        moved=sum(row["contacts"] for row in moved),
    )


def _with_instants(audience: Audience, plan: Plan) -> tuple[str, list[object]]:
    """Return the audience's SELECT with the columns zone (the one that counts), due_at and skipped added."""
    query, arguments = audience_sql(audience)
    of_zone = [(zone, slot.due_at, slot.skipped) for slot in plan.slots for zone in slot.zones]
    fallback = plan.slot_of(None)
    added: list[object] = [
        [zone for zone, _, _ in of_zone],
        [due_at for _, due_at, _ in of_zone],
        [skipped for _, _, skipped in of_zone],
        plan.fallback_time_zone,
        fallback.due_at if fallback else plan.first_due_at,
        fallback.skipped if fallback else False,
    ]
    first = len(arguments) + 1
    zones, instants, skips, zone, due_at, skipped = (f"${number}" for number in range(first, first + len(added)))
    statement = (
        f"select a.contact_id, a.address, a.address_key, a.suppressed, coalesce(z.zone, {zone}::text) as zone,"  # noqa: S608  # our own
        f" coalesce(z.due_at, {due_at}::timestamptz) as due_at, coalesce(z.skipped, {skipped}::boolean) as skipped"
        f" from ({query}) as a left join unnest({zones}::text[], {instants}::timestamptz[], {skips}::boolean[])"
        " as z (zone, due_at, skipped) on z.zone = a.time_zone"
    )
    return statement, [*arguments, *added]
