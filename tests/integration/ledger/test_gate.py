"""The gate as a barrier: closed, nobody claims, and a stop is confirmed when nothing is in flight."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from models.commands import ReceiptOutcome, Verb
from models.ledger import LaneEnd
from models.message import MessageStatus
from storage import commands
from tests.eventually import eventually
from tests.integration.ledger.begun import RECIPIENTS, Begun, command, taken


async def test_a_closed_gate_lets_nobody_claim_while_the_status_is_still_sending(begun: Begun) -> None:
    assert len(taken(await begun.claim())) == 64
    await begun.close()
    assert await begun.pool.fetchval("select status from messages") == MessageStatus.SENDING
    assert await begun.claim() is LaneEnd.GATE_CLOSED


async def test_closing_waits_for_the_claim_under_way_and_counts_it(begun: Begun) -> None:
    """The barrier: a claim that began before is seen by whoever looks for what is in flight after closing."""
    async with begun.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetch(
            "select * from claim_window($1, 1, '1.0', now() + interval '1 s', 10, $2, '30 s')", begun.id, uuid4()
        )
        closing = asyncio.create_task(begun.close())

        async def waits() -> bool:
            query = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            return bool(await begun.pool.fetchval(query))

        await eventually(waits)
        assert not closing.done()
        late_claim = asyncio.create_task(begun.claim())  # behind the closing: the lock's queue is fair
        await transaction.commit()
    stop = await closing
    assert await late_claim is LaneEnd.GATE_CLOSED
    assert (await begun.counts()).claimed == 10
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is None  # in flight


async def test_no_claim_slips_through_a_closing_gate(begun: Begun) -> None:
    """Sixteen lanes claim back to back while the gate is closed, twenty times over."""
    for trial in range(20):
        claims: list[int] = []

        async def claim_back_to_back(lane: int, claims: list[int] = claims) -> None:
            while not isinstance(claimed := await begun.claim(1, lane=f"1.{lane}"), LaneEnd):
                claims.append(len(claimed))

        lanes = [asyncio.create_task(claim_back_to_back(lane)) for lane in range(16)]

        async def are_at_it(claims: list[int] = claims) -> bool:
            return len(claims) >= 5

        await eventually(are_at_it, every=0)
        await begun.close(trial * 2 + 1)
        after_closing = await begun.pool.fetchval("select count(*) from recipients where status = 'claimed'")
        await asyncio.gather(*lanes)
        assert await begun.pool.fetchval("select count(*) from recipients where status = 'claimed'") == after_closing
        await begun.pool.execute(
            "delete from claims; update recipients set status = 'pending' where status = 'claimed'"
        )
        await begun.pool.execute("update messages set gate_open = true, gate_number = $1", trial * 2 + 2)


async def test_a_lower_number_changes_nothing(begun: Begun) -> None:
    await begun.close(5)
    await begun.pool.execute("update messages set status = 'paused'")
    late = await begun.sending.resume(begun.id, 1, command(Verb.RESUME), 4, as_of=datetime.now(UTC))
    assert late.superseded
    right = await begun.sending.resume(begun.id, 1, command(Verb.RESUME), 6, as_of=datetime.now(UTC))
    assert not right.superseded
    await begun.close(5)  # an attempt of the old stop that comes late
    assert isinstance(await begun.claim(), list)


async def test_under_the_hold_nobody_claims(begun: Begun) -> None:
    await begun.pool.execute("insert into hold (actor, reason) values ('test', 'incident')")
    assert await begun.claim() is LaneEnd.HELD


async def test_another_generation_cannot_claim_close_or_finish(begun: Begun) -> None:
    old = Begun(begun.pool, begun.id, begun.ledger, begun.sending, generation=0)
    assert await old.claim() is LaneEnd.GATE_CLOSED
    await old.close(99)
    assert await begun.sending.finish(begun.id, 0) is None
    assert isinstance(await begun.claim(), list)


async def test_a_stop_is_confirmed_when_nothing_is_in_flight_and_only_once(begun: Begun) -> None:
    token = uuid4()
    claimed = taken(await begun.claim(2, token=token))
    stop = await begun.close()
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is None
    await begun.settle(token, claimed[0])
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is None
    await begun.ledger.give_back(begun.id, "1.0", token, None)
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is MessageStatus.PAUSED
    first = await commands.receipt(begun.pool, begun.id, stop)
    assert first is not None
    assert first.outcome is ReceiptOutcome.DONE
    assert first.counts is not None
    assert (first.counts["sent"], first.counts["pending"], first.counts["total"]) == (1, RECIPIENTS - 1, RECIPIENTS)
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is MessageStatus.PAUSED
    assert await commands.receipt(begun.pool, begun.id, stop) == first
