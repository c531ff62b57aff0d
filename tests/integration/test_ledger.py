"""The gate as a barrier, and the fences of the ledger, on PostgreSQL alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from models.audience import Audience
from models.commands import Command, ReceiptOutcome, Verb
from models.ledger import BeginOutcome, LaneEnd
from models.message import Counts, MessageContent, MessageStatus
from models.recipient import ClaimedRecipient, Outcome, Place, Verdict
from models.schedule import Schedule
from storage import commands, ledger, messages
from storage.database import Connection, Pool
from storage.ledger import Ledger
from storage.sending import Sending
from tests.eventually import eventually

LEASE = timedelta(seconds=30)
OVER = timedelta(milliseconds=1)
RECIPIENTS = 500


def command(verb: Verb, command_id: str | None = None) -> Command:
    return Command(
        command_id=command_id or str(uuid4()),
        verb=verb,
        actor="test",
        source="test",
        requested_at=datetime.now(UTC),
    )


@dataclass
class Begun:
    """A message that is sending, and its ledger."""

    pool: Pool
    id: str
    ledger: Ledger
    sending: Sending
    generation: int = 1

    async def claim(
        self,
        most: int = 64,
        *,
        token: UUID | None = None,
        lane: str = "1.0",
        lease: timedelta = LEASE,
        after: Place | None = None,
    ) -> list[ClaimedRecipient] | LaneEnd:
        claimed = await self.ledger.claim(
            self.id,
            self.generation,
            lane,
            as_of=datetime.now(UTC) + timedelta(seconds=1),
            most=most,
            token=token or uuid4(),
            lease=lease,
            after=after,
        )
        assert not isinstance(claimed, timedelta)
        return claimed

    async def settle(self, token: UUID, contact_id: int, verdict: Verdict = Verdict.SENT) -> int:
        outcome = Outcome(verdict, datetime.now(UTC), 250, "2.0.0", "ok")
        return await self.ledger.settle(self.id, "1.0", token, [(contact_id, outcome, None)])

    async def close(self, number: int = 1, verb: Verb = Verb.PAUSE) -> Command:
        stop = command(verb)
        await self.sending.close_gate(self.id, self.generation, stop, number)
        return stop

    async def counts(self) -> Counts:
        return Counts(**await self.pool.fetchval("select counts_of($1)", self.id))

    async def status_of(self, contact_id: int) -> str:
        return str(
            await self.pool.fetchval(
                "select status from recipients where message_id = $1 and contact_id = $2", self.id, contact_id
            )
        )


@pytest.fixture
async def begun(pool: Pool) -> Begun:
    return await begin(pool, RECIPIENTS)


async def begin(pool: Pool, recipients: int) -> Begun:
    await pool.execute(
        "insert into contacts (address, address_key) select a, a"
        " from (select 'c' || n || '@example.com' as a from generate_series(1, $1::int) as n) as made",
        recipients,
    )
    await pool.execute("insert into lists (name) values ('all')")
    await pool.execute("insert into list_members select l.id, c.id from lists l, contacts c")
    content = MessageContent(
        name="News", from_address="n@example.com", subject="Hi", text="Hi", audience=Audience(lists=("all",))
    )
    sending = Sending(pool, max_late=timedelta(hours=12))
    async with pool.acquire() as connection:
        message_id = await messages.insert(connection, content)
        now = datetime.now(UTC)
        await messages.schedule(connection, message_id, Schedule(), accepted_at=now, next_slot_at=now, ends_at=None)
    await sending.adopt(message_id, 1)
    beginning = await sending.begin(message_id, 1, as_of=datetime.now(UTC), late=command(Verb.PAUSE))
    assert beginning.outcome is BeginOutcome.NEW
    return Begun(pool, message_id, Ledger(pool), sending)


def taken(claimed: list[ClaimedRecipient] | LaneEnd) -> list[int]:
    assert isinstance(claimed, list)
    return [recipient.contact_id for recipient in claimed]


# -- the gate


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
    first = await commands.receipt(begun.pool, stop.command_id)
    assert first is not None
    assert first.outcome is ReceiptOutcome.DONE
    assert first.counts is not None
    assert (first.counts["sent"], first.counts["pending"], first.counts["total"]) == (1, RECIPIENTS - 1, RECIPIENTS)
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is MessageStatus.PAUSED
    assert await commands.receipt(begun.pool, stop.command_id) == first


# -- the fences


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
    assert await ledger.lapse_leases(begun.pool, None) == 0


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
    await eventually(lambda: ledger.lapse_leases(begun.pool, None))
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
