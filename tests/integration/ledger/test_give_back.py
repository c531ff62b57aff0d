"""A give-back and the claims beside it: it waits for the one that it undoes, and neither ever waits for the other."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from storage.sending import limit_rate
from tests.eventually import eventually
from tests.integration.ledger.begun import Begun, taken

CLAIM = "select * from claim_window($1, 1, $2, now() + interval '1 s', 10, $3, '30 s')"


async def until_somebody_waits_or(task: asyncio.Task[int], begun: Begun) -> None:
    """Wait until a statement waits for a lock, or the task is over."""

    async def waits() -> bool:
        query = "select exists (select from pg_locks where not granted)"
        return task.done() or bool(await begun.pool.fetchval(query))

    await eventually(waits)


async def test_a_claim_whose_answer_was_lost_is_undone_even_when_it_commits_later(begun: Begun) -> None:
    """Nobody may be left claimed by a lane that has given up: after a lease they would be in doubt."""
    token = uuid4()
    async with begun.pool.acquire() as claiming:
        transaction = claiming.transaction()
        await transaction.start()
        await claiming.fetch(CLAIM, begun.id, "1.0", token)
        giving = asyncio.create_task(begun.ledger.give_back(begun.id, "1.0", token, None))
        await until_somebody_waits_or(giving, begun)
        await transaction.commit()
    assert await giving == 10
    assert (await begun.counts()).claimed == 0
    assert not await begun.pool.fetchval("select exists (select from claims)")


async def test_a_give_back_of_some_does_not_wait_for_the_claims_under_way(begun: Begun) -> None:
    token = uuid4()
    claimed = taken(await begun.claim(2, token=token))
    async with begun.pool.acquire() as claiming, claiming.transaction():
        await claiming.fetch(CLAIM, begun.id, "1.1", uuid4())
        assert await asyncio.wait_for(begun.ledger.give_back(begun.id, "1.0", token, claimed), 20) == 2


async def test_under_a_rate_limit_a_give_back_never_holds_the_counters_that_a_claim_waits_for(begun: Begun) -> None:
    """Two that add to the same: a lane and the attempt that took its place, when its worker was believed dead."""
    token = uuid4()
    claimed = taken(await begun.claim(2, token=token))
    await limit_rate(begun.pool, begun.id, 50)
    async with begun.pool.acquire() as claiming, claiming.transaction():
        await claiming.fetch("select * from take_tokens($1, 10)", begun.id)  # as a claim does first
        giving = asyncio.create_task(begun.ledger.give_back(begun.id, "1.0", token, claimed))
        await until_somebody_waits_or(giving, begun)
        await claiming.execute("select from recipient_counts where lane = '1.0' for update nowait")
    assert await giving == 2
