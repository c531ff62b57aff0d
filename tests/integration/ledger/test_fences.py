"""The fences of the ledger: what a token, a lease and a place let a lane do, and what not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from models.commands import Verb
from models.ledger import BeginOutcome, LaneEnd
from models.message import MessageStatus
from models.recipient import Verdict
from storage import ledger
from storage.database import Connection, Pool
from tests.eventually import eventually
from tests.integration.ledger.begun import LEASE, OVER, RECIPIENTS, Begun, begin, command, taken


async def test_two_claims_never_take_the_same_row(begun: Begun) -> None:
    claims = await asyncio.gather(*(begun.claim(20, lane=f"1.{lane}") for lane in range(12)))
    everybody = [contact_id for claimed in claims for contact_id in taken(claimed)]
    assert len(everybody) == len(set(everybody)) == 240


async def test_only_its_own_token_settles_or_gives_back_a_row(begun: Begun) -> None:
    token = uuid4()
    (contact_id,) = taken(await begun.claim(1, token=token))
    assert await begun.settle(uuid4(), contact_id) == 0
    assert await begun.ledger.give_back(begun.id, "1.0", uuid4(), [contact_id]) == 0
    assert await begun.status_of(contact_id) == "claimed"
    assert await begun.settle(token, contact_id) == 1
    assert await begun.settle(token, contact_id, Verdict.BOUNCED) == 0  # repeated after a lost answer: it stands
    assert await begun.status_of(contact_id) == "sent"


async def test_a_lapsed_row_is_in_doubt_and_takes_what_its_own_lane_saw_after_all(begun: Begun) -> None:
    token = uuid4()
    saw = dict(
        zip(
            taken(await begun.claim(4, token=token, lease=OVER)),
            (Verdict.SENT, Verdict.BOUNCED, Verdict.DEFERRED, Verdict.IN_DOUBT),
            strict=True,
        )
    )

    async def lapsed() -> bool:
        await ledger.lapse_leases(begun.pool, begun.id)
        return (await begun.counts()).in_doubt == 4

    await eventually(lapsed)
    assert await begun.ledger.renew(begun.id, [token], LEASE) == 0
    assert await begun.ledger.give_back(begun.id, "1.0", token, None) == 0
    assert not set(saw) & set(taken(await begun.claim(400)))  # never sent again by itself
    for contact_id, verdict in saw.items():
        await begun.settle(token, contact_id, verdict)
    # A late "not now" has failed: nothing in doubt goes back into the queue.
    assert [await begun.status_of(contact_id) for contact_id in saw] == ["sent", "bounced", "failed", "in_doubt"]


async def test_a_renewed_lease_does_not_lapse(begun: Begun) -> None:
    token = uuid4()
    await begun.claim(3, token=token, lease=timedelta(seconds=5))
    assert await begun.ledger.renew(begun.id, [token], timedelta(hours=1)) == 3
    shortest = await begun.pool.fetchval("select min(lease_until) - now() from claims")
    assert shortest > timedelta(minutes=59)
    assert await ledger.lapse_all(begun.pool) == 0


async def test_what_is_in_flight_is_known_to_the_row_whatever_becomes_of_it(begun: Begun) -> None:
    """The lease, the quiet check and the end of a send look at `claims`, not at the ledger's rows."""

    async def are_the_same() -> bool:
        kept = await begun.pool.fetch("select token, unsettled from claims order by token")
        rows = await begun.pool.fetch(
            "select claim_token as token, count(*)::int as unsettled from recipients where status = 'claimed'"
            " group by claim_token order by claim_token"
        )
        return kept == rows

    first, second, third = uuid4(), uuid4(), uuid4()
    one, two = taken(await begun.claim(5, token=first)), taken(await begun.claim(4, token=second))
    await begun.claim(2, token=third, lease=timedelta(0))
    assert await are_the_same()
    for contact_id in one[:2]:
        await begun.settle(first, contact_id)
        await begun.settle(first, contact_id)  # repeated after a lost answer
        assert await are_the_same()
    assert await begun.ledger.give_back(begun.id, "1.0", first, one[1:4]) == 2
    assert await begun.ledger.renew(begun.id, [first, second], LEASE) == 1 + 4
    assert await begun.ledger.give_back(begun.id, "1.0", second, None) == len(two)
    assert await are_the_same()
    await begun.claim(3, token=first)  # a claim that is asked again takes others
    assert await are_the_same()
    await eventually(lambda: ledger.lapse_all(begun.pool))
    assert await are_the_same()
    assert await begun.pool.fetchval("select sum(unsettled) from claims") == 1 + 3


async def test_suppression_and_deletion_hold_at_the_next_claim(begun: Begun) -> None:
    first = taken(await begun.claim(1))[0]
    await begun.pool.execute(
        "insert into suppressions (address, address_key, reason) values ($1, $1, 'unsubscribed')",
        f"c{first + 1}@example.com",
    )
    await begun.pool.execute("delete from contacts where id = $1", first + 2)
    assert taken(await begun.claim(2)) == []  # none of these: claim again
    assert [await begun.status_of(first + 1), await begun.status_of(first + 2)] == ["suppressed", "withdrawn"]
    assert taken(await begun.claim(1)) == [first + 3]


async def test_the_send_is_over_when_nobody_is_left_and_not_before(begun: Begun) -> None:
    assert await begun.sending.finish(begun.id, 1) is MessageStatus.SENDING
    token = uuid4()
    claimed = taken(await begun.claim(RECIPIENTS, token=token))
    assert await begun.sending.finish(begun.id, 1) is MessageStatus.SENDING
    for contact_id in claimed:
        await begun.settle(token, contact_id)
    await begun.pool.execute("update messages set gate_open = false")
    assert await begun.sending.finish(begun.id, 1) is MessageStatus.SENDING  # a stop is taking hold
    await begun.pool.execute("update messages set gate_open = true")
    assert await begun.sending.finish(begun.id, 1) is MessageStatus.SENT


async def test_a_beginning_that_is_repeated_adds_nobody(begun: Begun) -> None:
    again = await begun.sending.begin(begun.id, 1, as_of=datetime.now(UTC), late=command(Verb.PAUSE))
    assert (again.outcome, again.status) == (BeginOutcome.ALREADY, MessageStatus.SENDING)
    assert (await begun.counts()).total == RECIPIENTS


async def test_what_was_asked_and_answered_cannot_be_changed(begun: Begun) -> None:
    for statement in ("update receipts set outcome = 'done'", "delete from commands", "delete from recipients"):
        with pytest.raises(Exception, match=r"append-only|never deleted"):
            await begun.pool.execute(statement)


async def test_a_claim_goes_on_behind_a_place_and_one_without_takes_who_was_given_back(begun: Begun) -> None:
    first = await begun.claim(10)
    assert not isinstance(first, LaneEnd)
    places = [recipient.place for recipient in first if recipient.place]
    assert len(places) == 10
    await begun.pool.execute(
        "delete from claims; update recipients set status = 'pending', claim_token = null where status = 'claimed'"
    )
    behind = await begun.claim(10, after=max(places))
    assert not isinstance(behind, LaneEnd)
    assert min(r.place for r in behind if r.place) > max(places)
    again = await begun.claim(10)
    assert not isinstance(again, LaneEnd)
    assert {r.contact_id for r in again} == {r.contact_id for r in first}


async def test_a_claim_late_in_a_long_send_reads_no_more_than_one_at_its_beginning(pool: Pool) -> None:
    """Though nothing was vacuumed: what has been sent leaves dead entries in the index."""
    await pool.execute("alter table recipients set (autovacuum_enabled = false)")
    begun = await begin(pool, 40_000)
    after, read = None, []
    async with pool.acquire() as reader, reader.transaction(isolation="repeatable_read"):
        await reader.fetchval("select count(*) from messages")  # open for long, as a backup is
        for _ in range(600):
            before = await blocks_of_the_index(pool)
            claimed = await begun.claim(after=after)
            read.append(await blocks_of_the_index(pool) - before)
            assert isinstance(claimed, list)
            after = max(r.place for r in claimed if r.place)
    assert sum(read[:100]) > 0
    assert sum(read[-100:]) < 2 * sum(read[:100])


async def blocks_of_the_index(pool: Pool) -> int:
    """Return how many blocks of the index that claims use have been looked at, by everybody."""
    await pool.execute("select pg_stat_force_next_flush()")
    number: int = await pool.fetchval(
        "select idx_blks_read + idx_blks_hit from pg_statio_user_indexes where indexrelname = 'recipients_waiting'"
    )
    return number


async def test_a_claim_and_a_settle_read_their_window_alone_of_a_message_the_planner_does_not_know(pool: Pool) -> None:
    """Every message is new to the planner's statistics: it takes its rows for few, and would read all of them."""
    await pool.execute("alter table recipients set (autovacuum_enabled = false)")
    await pool.execute(
        "insert into recipients (message_id, contact_id, address, address_key, due_at, position, status)"
        " select 'other' || n % 5, n, 'o' || n, 'o' || n, now(), n, 'sent' from generate_series(1, 20000) as n"
    )
    await pool.execute("vacuum analyze recipients")
    begun = await begin(pool, 10_000)
    async with pool.acquire() as connection:
        for _ in range(8):  # the sixth and later ones may go by a plan that was made for any message
            token = uuid4()
            async with connection.transaction():
                before = await rows_read(connection)
                claimed = await connection.fetch(
                    "select contact_id from claim_window($1, 1, '1.0', clock_timestamp(), 64, $2, '30 s')",
                    begun.id,
                    token,
                )
                ids = [row["contact_id"] for row in claimed]
                assert await rows_read(connection) - before < 300
            async with connection.transaction():
                before = await rows_read(connection)
                nothing: list[None] = [None] * 64
                settled = await connection.fetchval(
                    "select settle_window($1, '1.0', $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    *(begun.id, token, ids, ["sent"] * 64),
                    *(nothing, nothing, nothing, nothing, nothing, [True] * 64),
                )
                assert settled == 64
                assert await rows_read(connection) - before < 300


async def rows_read(connection: Connection) -> int:
    """Return how many rows of the ledger this connection has read, but for what it has reported already."""
    read: int = await connection.fetchval(
        "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'recipients'"
    )
    return read
