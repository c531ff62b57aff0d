"""Throttle batches in the database: each is opened once, whoever asks how often, and no stop waits for that."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from client.local.postgres import PostgresCluster
from models.audience import Audience
from models.commands import Command, Verb
from models.ledger import BeginOutcome, OpenOutcome
from models.message import Counts, MessageContent, MessageStatus
from models.schedule import Schedule, end_of
from models.throttle import ThrottleRule
from storage import commands, messages
from storage.database import Connection, Pool, open_pool
from storage.sending import Sending
from tests.conftest import fresh_database
from tests.eventually import eventually

START = datetime(2030, 1, 7, 9, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
TENS = ThrottleRule(every=QUARTER, batch_size=10)


class Throttled:
    """A throttled message, begun at `as_of`; START is the time of its first turn."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.sending = Sending(pool, max_late=timedelta(hours=12))
        self.id = ""
        self.gate_number = 0  # as the last survey showed it

    async def begin(self, people: int, throttle: dict[str, Any], as_of: datetime = START) -> BeginOutcome:
        await self.pool.execute(
            "insert into contacts (address, address_key) select a, a"
            " from (select 'c' || n || '@example.com' as a from generate_series(1, $1::int) as n) as made",
            people,
        )
        await self.pool.execute("insert into lists (name) values ('all')")
        await self.pool.execute("insert into list_members select l.id, c.id from lists l, contacts c")
        schedule = Schedule.model_validate({"at": START, "throttle": {"every": "15m"} | throttle})
        content = MessageContent(
            name="News", from_address="n@example.com", subject="Hi", text="Hi", audience=Audience(lists=("all",))
        )
        async with self.pool.acquire() as connection:
            self.id = await messages.insert(connection, content)
            await messages.schedule(
                connection, self.id, schedule, accepted_at=START, next_slot_at=START, ends_at=end_of(schedule)
            )
        await self.sending.adopt(self.id, 1)
        return (await self.sending.begin(self.id, 1, as_of=as_of, late=command(Verb.PAUSE))).outcome

    async def open(self, turn: int, *, late: timedelta = timedelta(0), throttle: ThrottleRule = TENS) -> OpenOutcome:
        as_of = START + turn * QUARTER + late
        return await self.sending.open_batch(
            self.id, 1, gate_number=self.gate_number, turn=turn, throttle=throttle, as_of=as_of
        )

    async def pause(self, number: int) -> None:
        pause = command(Verb.PAUSE)
        await self.sending.close_gate(self.id, 1, pause, number)
        assert await self.sending.confirm_stop(self.id, 1, pause, number) is MessageStatus.PAUSED

    async def finish_batch(self) -> None:
        await self.pool.execute("update recipients set status = 'sent' where status = 'pending' and batch >= 0")

    async def batches(self) -> dict[int, int]:
        """Size by turn, as noted and as counted."""
        noted = {row["turn"]: row["size"] for row in await self.pool.fetch("select turn, size from batches")}
        counted = await self.pool.fetch("select batch, count(*) from recipients where batch >= 0 group by batch")
        assert noted == {row["batch"]: row["count"] for row in counted}
        return noted

    async def counts(self) -> Counts:
        return Counts(**await self.pool.fetchval("select counts_of($1)", self.id))


def command(verb: Verb) -> Command:
    return Command(
        command_id=f"{verb}-{datetime.now(UTC).timestamp()}",
        verb=verb,
        actor="operator",
        source="test",
        requested_at=datetime.now(UTC),
    )


async def rows_read(connection: Connection) -> int:
    """Return how many rows of the ledger this connection has read, but for what it has reported already."""
    read: int = await connection.fetchval(
        "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'recipients'"
    )
    return read


async def worked_seconds(pool: Pool) -> float:
    """Return how long the server's processes for this database have been at work, and not how long they waited."""
    rows = await pool.fetch(
        "select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
    )
    times = [psutil.Process(row["pid"]).cpu_times() for row in rows]
    return sum(each.user + each.system for each in times)


@pytest.fixture
def throttled(pool: Pool) -> Throttled:
    return Throttled(pool)


async def test_begin_opens_batch_0(throttled: Throttled) -> None:
    assert await throttled.begin(25, {"batch_size": 10}) is BeginOutcome.NEW
    assert await throttled.batches() == {0: 10}
    assert (await throttled.counts()).pending == 25


@pytest.mark.parametrize(("minutes", "turn"), [(0, 0), (14, 0), (15, 1), (50, 3)])
async def test_begun_late_the_first_batch_is_that_of_the_turn_that_has_come(
    throttled: Throttled, minutes: int, turn: int
) -> None:
    await throttled.begin(25, {"batch_size": 10}, as_of=START + timedelta(minutes=minutes))
    assert await throttled.batches() == {turn: 10}


async def test_begun_behind_the_end_date_nothing_opens_and_all_expire(throttled: Throttled) -> None:
    await throttled.begin(25, {"batch_size": 10, "ends_at": START + QUARTER}, as_of=START + 2 * QUARTER)
    assert await throttled.batches() == {}
    assert await throttled.open(2) is OpenOutcome.ENDED
    assert (await throttled.counts()).expired == 25
    assert await throttled.sending.finish(throttled.id, 1) is MessageStatus.SENT


async def test_a_batch_opens_only_when_the_one_before_is_finished(throttled: Throttled) -> None:
    await throttled.begin(25, {"batch_size": 10})
    assert await throttled.open(1) is OpenOutcome.UNFINISHED
    await throttled.pool.execute(
        "update recipients set status = 'deferred', next_try_at = $1 where batch = 0", START + timedelta(hours=1)
    )
    assert await throttled.open(1) is OpenOutcome.OPENED  # deferred ones are tried again beside it
    assert await throttled.batches() == {0: 10, 1: 10}


async def test_asked_again_a_batch_is_opened_once(throttled: Throttled) -> None:
    await throttled.begin(45, {"batch_size": 10})
    await throttled.finish_batch()
    assert {await throttled.open(1) for _ in range(3)} == {OpenOutcome.OPENED}
    assert await throttled.batches() == {0: 10, 1: 10}


async def test_asked_by_many_at_once_a_batch_is_opened_once(throttled: Throttled) -> None:
    """As when an attempt that was given up on is still at work."""
    await throttled.begin(200, {"batch_size": 10})
    for turn in range(1, 8):
        await throttled.finish_batch()
        outcomes = await asyncio.gather(*(throttled.open(turn) for _ in range(6)))
        assert set(outcomes) == {OpenOutcome.OPENED}
    assert await throttled.batches() == dict.fromkeys(range(8), 10)


async def test_a_number_of_batches_is_spread_evenly(throttled: Throttled) -> None:
    spread = ThrottleRule(every=QUARTER, max_batches=4)
    await throttled.begin(10, {"max_batches": 4})
    for turn in range(1, 4):
        await throttled.finish_batch()
        await throttled.open(turn, throttle=spread)
    assert await throttled.batches() == {0: 3, 1: 3, 2: 2, 3: 2}


async def test_no_batch_opens_under_a_closed_gate_a_hold_or_in_another_generation(throttled: Throttled) -> None:
    await throttled.begin(25, {"batch_size": 10})
    await throttled.finish_batch()
    await throttled.pool.execute("insert into hold (actor, reason) values ('operator', 'test')")
    assert await throttled.open(1) is OpenOutcome.HELD
    await throttled.pool.execute("delete from hold")
    await throttled.sending.close_gate(throttled.id, 1, command(Verb.PAUSE), 1)
    assert await throttled.open(1) is OpenOutcome.STOPPED
    await throttled.pool.execute("update messages set generation = 2, gate_open = true")
    assert await throttled.open(1) is OpenOutcome.STOPPED
    assert await throttled.batches() == {0: 10}


async def test_nobody_due_is_no_batch(throttled: Throttled) -> None:
    await throttled.begin(25, {"batch_size": 10})
    await throttled.finish_batch()
    await throttled.pool.execute("update recipients set due_at = $1 where batch = -1", START + timedelta(days=1))
    assert await throttled.open(1) is OpenOutcome.NOBODY_DUE
    assert await throttled.batches() == {0: 10}


async def test_a_stop_does_not_wait_for_an_opening(throttled: Throttled) -> None:
    """A batch of a million takes its time; what it opens meanwhile cannot leave, and is the interrupted one."""
    await throttled.begin(25, {"batch_size": 10})
    await throttled.finish_batch()
    async with throttled.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchval(
            "select open_batch($1, 1, 0, 1, 10, null, $2)", throttled.id, START + QUARTER
        )  # not committed: at work still
        pause = command(Verb.PAUSE)
        await asyncio.wait_for(throttled.sending.close_gate(throttled.id, 1, pause, 1), 5)
        stopped = await asyncio.wait_for(throttled.sending.confirm_stop(throttled.id, 1, pause, 1), 5)
        assert stopped is MessageStatus.PAUSED
        await transaction.commit()
    assert await throttled.batches() == {0: 10, 1: 10}
    counts = await throttled.counts()
    assert (counts.pending, counts.sent) == (15, 10)


async def test_a_cancel_meets_an_opening_and_all_are_canceled(throttled: Throttled) -> None:
    await throttled.begin(25, {"batch_size": 10})
    await throttled.finish_batch()
    cancel = command(Verb.CANCEL)
    async with throttled.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchval("select open_batch($1, 1, 0, 1, 10, null, $2)", throttled.id, START + QUARTER)
        await throttled.sending.close_gate(throttled.id, 1, cancel, 1)
        canceling = asyncio.create_task(throttled.sending.confirm_stop(throttled.id, 1, cancel, 1))

        async def waits() -> bool:
            return bool(await throttled.pool.fetchval("select count(*) from pg_locks where not granted"))

        await eventually(waits)
        await transaction.commit()
    assert await canceling is MessageStatus.CANCELED
    counts = await throttled.counts()
    assert (counts.canceled, counts.sent, counts.pending) == (15, 10, 0)
    assert counts.parts == counts.total


async def test_an_opening_that_comes_after_a_pause_and_its_resume_opens_nothing(throttled: Throttled) -> None:
    """A stop does not wait for it: it may be asked anew by an attempt that nobody awaits any more."""
    await throttled.begin(25, {"batch_size": 10})
    await throttled.finish_batch()
    await throttled.pause(1)
    resumed = await throttled.sending.resume(throttled.id, 1, command(Verb.RESUME), 2, as_of=START + 2 * QUARTER)
    assert resumed.status is MessageStatus.SENDING
    assert await throttled.open(2) is OpenOutcome.STOPPED
    survey = await throttled.sending.survey(throttled.id, 1, as_of=START, most=1)
    throttled.gate_number = survey.gate_number
    assert await throttled.open(3) is OpenOutcome.OPENED
    assert await throttled.batches() == {0: 10, 3: 10}


async def test_two_attempts_at_one_resume_say_the_same(throttled: Throttled) -> None:
    """One was given up on and is at work still: it was not superseded by itself."""
    await throttled.begin(25, {"batch_size": 10})
    for number in range(1, 20, 2):
        await throttled.pause(number)
        resume = command(Verb.RESUME)
        outcomes = await asyncio.gather(
            *(throttled.sending.resume(throttled.id, 1, resume, number + 1, as_of=START) for _ in range(3))
        )
        assert [(done.status, done.superseded) for done in outcomes] == [(MessageStatus.SENDING, False)] * 3


async def test_a_beginning_takes_longer_in_proportion_on_tables_that_nobody_analyzed(
    postgres: PostgresCluster, template_database: str
) -> None:
    """The planner takes rows that were inserted just now for few: a join over them took the square of the time."""
    seconds = []
    for people in (3_000, 24_000):
        async with fresh_database(postgres, template_database) as url, open_pool(url, most=2) as pool:
            await pool.execute("alter table recipients set (autovacuum_enabled = false)")
            message = Throttled(pool)
            before = await worked_seconds(pool)
            await message.begin(people, {"batch_size": people // 2})
            seconds.append(await worked_seconds(pool) - before)
            assert await message.batches() == {0: people // 2}
    assert seconds[1] / seconds[0] < 24  # 8 times as many; the square would be 64 times the time


async def test_the_end_of_a_send_reads_whom_it_is_about_and_not_all_others(throttled: Throttled) -> None:
    """At a million recipients a pause that is confirmed would take a second more."""
    await throttled.begin(5_000, {"batch_size": 2_500})
    await throttled.pool.execute("update recipients set status = 'sent' where position < 5_000")
    pause, cancel = command(Verb.PAUSE), command(Verb.CANCEL)
    async with throttled.pool.acquire() as connection:
        await commands.ask(connection, throttled.id, 1, pause)
        await commands.ask(connection, throttled.id, 1, cancel)
    await throttled.pool.execute("vacuum analyze recipients")
    for statement in (
        "select finish($1, 1)",
        "select close_gate($1, 1, 1)",
        f"select confirm_stop($1, 1, 1, '{pause.command_id}', 'pause')",
        f"select confirm_stop($1, 1, 1, '{cancel.command_id}', 'cancel')",
    ):
        async with throttled.pool.acquire() as connection, connection.transaction():
            before = await rows_read(connection)
            await connection.execute(statement.replace("$1", f"'{throttled.id}'"))
            assert await rows_read(connection) - before < 100, statement
    assert await throttled.pool.fetchval("select status from messages") == "canceled"


async def test_the_end_date_of_a_resume_is_kept_only_when_the_resume_is_done(throttled: Throttled) -> None:
    await throttled.begin(25, {"batch_size": 10, "ends_at": START + 2 * QUARTER})
    pause, later = command(Verb.PAUSE), START + 8 * QUARTER
    await throttled.sending.close_gate(throttled.id, 1, pause, 1)
    await throttled.sending.confirm_stop(throttled.id, 1, pause, 1)
    resume = command(Verb.RESUME)
    async with throttled.pool.acquire() as connection:
        await commands.ask(connection, throttled.id, 1, resume, {"ends_at": later.isoformat()})
    as_of = START + 3 * QUARTER
    await throttled.sending.close_gate(throttled.id, 1, command(Verb.PAUSE), 9)  # a stop came after it
    assert (await throttled.sending.resume(throttled.id, 1, resume, 2, as_of=as_of)).superseded
    assert await throttled.pool.fetchval("select ends_at from messages") == START + 2 * QUARTER
    assert (await throttled.counts()).expired == 0
