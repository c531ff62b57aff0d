"""A claim and what undoes it, statement by statement: who is left as before, and what is kept of the others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from models.ledger import LaneEnd
from models.recipient import Outcome, Verdict
from storage import contacts, hold, ledger
from storage.database import Pool
from storage.sending import limit_rate
from tests.eventually import eventually
from tests.integration.ledger.begun import LEASE, OVER, Begun, begin, taken


@pytest.fixture
async def begun(pool: Pool) -> Begun:
    return await begin(pool, 20)


async def test_a_hold_waits_for_the_claim_under_way_and_no_later_one_slips_through(begun: Begun) -> None:
    async with begun.pool.acquire() as claiming, begun.pool.acquire() as holding:
        transaction = claiming.transaction()
        await transaction.start()
        await claiming.fetch(
            "select * from claim_window($1, 1, '1.0', now() + interval '1 s', 10, $2, '30 s')", begun.id, uuid4()
        )
        put = asyncio.create_task(hold.put(holding, actor="test", reason="incident", source="test"))

        async def waits() -> bool:
            query = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            return bool(await begun.pool.fetchval(query))

        await eventually(waits)
        late_claim = asyncio.create_task(begun.claim())
        await transaction.commit()
        await put
    assert await late_claim is LaneEnd.HELD
    assert (await hold.get(begun.pool)).in_flight == 10


async def test_who_is_due_is_taken_by_when_and_then_by_place(begun: Begun) -> None:
    """Those who wait longest first, and the others in the order they were chosen in."""
    await begun.pool.execute("update recipients set next_try_at = due_at - interval '1 hour' where contact_id = 9")
    order = [taken(await begun.claim(1)) for _ in range(4)]
    assert order == [[9], [1], [2], [3]]


async def test_a_claim_passes_over_what_another_has_under_way_and_does_not_wait(begun: Begun) -> None:
    async with begun.pool.acquire() as other, other.transaction():
        await other.fetch("select from recipients where contact_id <= 5 for update")
        claimed = await asyncio.wait_for(begun.claim(3), 20)
    assert taken(claimed) == [6, 7, 8]


async def test_a_lapse_never_waits_for_a_settle_under_way(begun: Begun) -> None:
    token = uuid4()
    await begun.claim(2, token=token, lease=OVER)
    await begun.claim(1, lease=OVER)
    async with begun.pool.acquire() as settling, settling.transaction():
        await settling.fetchval("select lock_claim($1)", token)

        async def lapsed() -> int:
            return await asyncio.wait_for(ledger.lapse_leases(begun.pool, begun.id), 20)

        assert await eventually(lapsed) == 1
    assert (await begun.counts()).claimed == 2


async def test_a_stop_and_a_look_list_who_is_in_doubt_and_wait_for_no_sweep(begun: Begun) -> None:
    await begun.claim(2, lease=OVER)

    async def seen() -> bool:
        survey = await begun.sending.survey(begun.id, 1, as_of=datetime.now(UTC), most=10)
        return survey.counts.in_doubt == 2

    await eventually(seen)
    await begun.claim(3, lease=OVER)
    stop = await begun.close()
    await eventually(lambda: begun.sending.confirm_stop(begun.id, 1, stop, 1))
    counts = await begun.counts()
    assert (counts.in_doubt, counts.claimed) == (5, 0)


async def test_a_late_doubt_leaves_the_reason_of_the_doubt(begun: Begun) -> None:
    token = uuid4()
    (contact_id,) = taken(await begun.claim(1, token=token, lease=OVER))
    await eventually(lambda: ledger.lapse_leases(begun.pool, begun.id))
    assert await begun.settle(token, contact_id, Verdict.IN_DOUBT) == 0
    reason = await begun.pool.fetchval("select reason from recipients where contact_id = $1", contact_id)
    assert "fell silent" in reason


async def tries(begun: Begun, contact_id: int) -> tuple[int, datetime | None, str | None]:
    row = await begun.pool.fetchrow(
        "select attempts, first_try_at, reply from recipients where contact_id = $1", contact_id
    )
    assert row is not None
    return row["attempts"], row["first_try_at"], row["reply"]


async def refuse_for_now(begun: Begun, *, counts: bool = True) -> int:
    """Let somebody be refused for now, and be due again; return whom."""
    token = uuid4()
    (contact_id,) = taken(await begun.claim(1, token=token))
    refusal = Outcome(Verdict.DEFERRED, datetime.now(UTC), 450, "4.2.0", "4.2.0 not now")
    settled = await begun.ledger.settle(
        begun.id,
        "1.0",
        token,
        [(contact_id, refusal, datetime.now(UTC) - timedelta(hours=1))],
        uncounted=[] if counts else [contact_id],
    )
    assert settled == 1
    return contact_id


async def test_who_was_given_back_is_as_if_never_claimed(begun: Begun) -> None:
    token = uuid4()
    (contact_id,) = taken(await begun.claim(1, token=token))
    assert (await tries(begun, contact_id))[0] == 1
    await begun.ledger.give_back(begun.id, "1.0", token, None)
    assert await tries(begun, contact_id) == (0, None, None)


@pytest.mark.parametrize("counts", [True, False])
async def test_who_was_refused_for_now_and_given_back_keeps_tries_age_and_reply(begun: Begun, counts: bool) -> None:
    contact_id = await refuse_for_now(begun, counts=counts)
    before = await tries(begun, contact_id)
    assert before[0] == int(counts)
    assert before[2] == "4.2.0 not now"
    token = uuid4()
    again = await begun.claim(1, token=token)
    assert taken(again) == [contact_id]
    assert isinstance(again, list)
    assert (again[0].attempts, again[0].first_try_at) == (before[0] + 1, before[1])
    await begun.ledger.give_back(begun.id, "1.0", token, [contact_id])
    assert await tries(begun, contact_id) == before


async def test_who_was_refused_for_now_is_not_claimed_before_the_next_try(begun: Begun) -> None:
    token = uuid4()
    (contact_id,) = taken(await begun.claim(1, token=token))
    refusal = Outcome(Verdict.DEFERRED, datetime.now(UTC), 450, None, "not now")
    later = datetime.now(UTC) + timedelta(hours=1)
    await begun.ledger.settle(begun.id, "1.0", token, [(contact_id, refusal, later)])
    assert contact_id not in taken(await begun.claim(20))


async def test_the_whole_reply_is_kept_with_its_codes(begun: Begun) -> None:
    contact_id = await refuse_for_now(begun)
    row = await begun.pool.fetchrow(
        "select status, smtp_code, enhanced_code, reply, next_try_at is not null as has_next, claim_token is not null"
        " as has_token, handed_over_at is not null as handed from recipients where contact_id = $1",
        contact_id,
    )
    assert row is not None
    assert tuple(row) == ("deferred", 450, "4.2.0", "4.2.0 not now", True, True, True)


AHEAD = "update rate_limits set tokens = 30, counted_at = clock_timestamp() + interval '1 hour'"


async def tokens_left(begun: Begun) -> int:
    tokens: float = await begun.pool.fetchval("select tokens from rate_limits")
    return round(tokens)


async def test_under_a_rate_limit_who_is_suppressed_or_deleted_takes_no_token(begun: Begun) -> None:
    await limit_rate(begun.pool, begun.id, 50)
    await begun.pool.execute(AHEAD)
    async with begun.pool.acquire() as connection:
        await contacts.suppress(connection, [f"c{n}@example.com" for n in (1, 2, 4)], reason="asked")
    await begun.pool.execute("delete from contacts where address = 'c5@example.com'")
    assert taken(await begun.claim(2)) == []
    assert await tokens_left(begun) == 30
    assert len(taken(await begun.claim(4))) == 2
    assert await tokens_left(begun) == 28


async def test_under_a_rate_limit_a_claim_takes_tokens_for_whom_it_took_and_a_give_back_returns_them(
    begun: Begun,
) -> None:
    await limit_rate(begun.pool, begun.id, 50)
    await begun.pool.execute(AHEAD)  # nothing comes in meanwhile, however slow the machine is
    token = uuid4()
    assert len(taken(await begun.claim(25, token=token))) == 20  # there are no more
    assert await tokens_left(begun) == 10
    await begun.ledger.give_back(begun.id, "1.0", token, None)
    await begun.pool.execute(AHEAD.replace("30", "tokens"))
    assert await tokens_left(begun) == 30
    assert len(taken(await begun.claim(7, lease=LEASE))) == 7
    assert await tokens_left(begun) == 23
