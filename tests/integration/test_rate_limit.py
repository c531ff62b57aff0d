"""Rate limits: never more than so many in any time, whatever lanes, workers and restarts there are."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from models.message import MessageStatus
from storage.database import Connection, Pool
from storage.sending import ALL_MESSAGES, limit_rate
from tests.eventually import eventually
from tests.harness import Harness, asked_by


async def take(connection: Connection | Pool, name: str, wanted: int) -> tuple[int, timedelta]:
    row = await connection.fetchrow("select * from take_tokens($1, $2)", name, wanted)
    assert row is not None
    return row["granted"], row["wait"]


@asynccontextmanager
async def simulated_clock(connection: Connection) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    """Have `clock_timestamp()` tell a time of our own on this connection; yields what sets it, to seconds."""
    await connection.execute(
        "create schema simulated;"
        " create function simulated.clock_timestamp() returns timestamptz language sql"
        " as $$ select to_timestamp(current_setting('simulated.seconds')::float8) $$;"
        " set search_path = simulated, public, pg_catalog; set simulated.seconds = '0'"
    )
    yield lambda seconds: connection.fetchval("select set_config('simulated.seconds', $1, false)", str(seconds))
    await connection.execute("reset all; drop schema simulated cascade")


async def test_without_a_limit_all_is_granted(pool: Pool) -> None:
    assert await take(pool, "m", 64) == (64, timedelta(0))


@pytest.mark.parametrize("rate", [0.5, 10.0, 700.0, 20_000.0])
async def test_a_bucket_that_is_empty_says_how_long_to_wait(pool: Pool, rate: float) -> None:
    await limit_rate(pool, "m", rate)
    # Counted a minute ahead, so that nothing comes in meanwhile, however slow the machine is.
    await pool.execute("update rate_limits set counted_at = clock_timestamp() + interval '1 minute'")
    granted, wait = await take(pool, "m", 64)
    assert granted == 0
    assert timedelta(0) < wait <= timedelta(seconds=min(64, max(1, rate / 20)) / rate)


async def test_many_at_once_get_no_more_than_the_rate_and_a_bucket(pool: Pool) -> None:
    """By the database's own clock, so that it holds however slow the machine is."""
    await limit_rate(pool, "m", 1_000)
    began = await pool.fetchval("select counted_at from rate_limits")
    granted = 0

    async def taker() -> None:
        nonlocal granted
        for _ in range(60):
            number, _ = await take(pool, "m", 64)
            granted += number

    await asyncio.gather(*(taker() for _ in range(8)))
    bucket = await pool.fetchrow("select tokens, counted_at from rate_limits")
    assert bucket is not None
    elapsed = (bucket["counted_at"] - began).total_seconds()  # up to when it was counted last
    assert granted > 0
    assert granted + bucket["tokens"] <= 1_000 * elapsed + 1e-6
    assert elapsed > 1 or granted + bucket["tokens"] == pytest.approx(
        1_000 * elapsed
    )  # nothing of it, before it runs over


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0, 700.0])
async def test_over_a_minute_as_many_leave_as_the_limit_lets_within_2_percent(pool: Pool, rate: float) -> None:
    """By a clock that the test moves: lanes that do as `take_tokens` says, are a little late, and once away together.

    What is to be taken never runs out, so that too few means that the limit itself is kept too low.
    """
    random, lanes, away_from, away_until = Random(7), 4, 30.0, 30.8
    comes_next = [(0.0, lane) for lane in range(lanes)]  # a heap: when each lane asks again
    taken = 0
    async with pool.acquire() as connection, simulated_clock(connection) as clock:
        await limit_rate(connection, "m", rate)
        await connection.execute("update rate_limits set counted_at = clock_timestamp()")
        while comes_next[0][0] <= 61:
            now, lane = heapq.heappop(comes_next)
            await clock(now)
            granted, wait = await take(connection, "m", 64)
            if now > 1:
                taken += granted
            back = now + wait.total_seconds() + random.uniform(0.001, 0.01)
            heapq.heappush(comes_next, (max(back, away_until) if away_from < back else back, lane))
    assert 60 * rate * 0.98 <= taken <= 60 * rate * 1.02


async def test_what_is_not_handed_over_gives_its_tokens_back(pool: Pool) -> None:
    await limit_rate(pool, "m", 100)
    await pool.execute("update rate_limits set tokens = 50")
    assert (await take(pool, "m", 20))[0] == 20
    before = await pool.fetchval("select tokens from rate_limits")
    await pool.fetchval("select return_tokens('m', 15)")
    assert await pool.fetchval("select tokens from rate_limits") == before + 15
    await pool.fetchval("select return_tokens('m', 1000)")
    assert await pool.fetchval("select tokens from rate_limits") == 100  # a bucket holds a second's


async def test_a_worker_that_starts_anew_grants_nothing(pool: Pool) -> None:
    """It sets the limit of all messages, which may be another one: what the bucket holds stays."""
    await limit_rate(pool, ALL_MESSAGES, 100)
    await pool.execute("update rate_limits set tokens = 3, counted_at = clock_timestamp() + interval '1 hour'")
    await limit_rate(pool, ALL_MESSAGES, 200)
    assert await take(pool, "m", 3) == (3, timedelta(0))
    assert (await take(pool, "m", 1))[0] == 0


async def test_a_give_back_never_holds_the_bucket_that_a_claim_waits_for(pool: Pool) -> None:
    """Both lock that of all messages first, in whatever order the two lie on the disk."""
    await limit_rate(pool, "m", 100)
    await limit_rate(pool, ALL_MESSAGES, 100)
    async with pool.acquire() as claiming, claiming.transaction():
        await claiming.execute("select from rate_limits where name = $1 for update", ALL_MESSAGES)
        async with pool.acquire() as giving:
            await giving.execute("set enable_indexscan = off; set enable_bitmapscan = off")
            give_back = asyncio.create_task(giving.execute("select return_tokens('m', 1)"))

            async def waits() -> bool:
                waiting: bool = await pool.fetchval(
                    "select exists (select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock')",
                    giving.get_server_pid(),
                )
                return waiting

            await eventually(waits)
            await claiming.execute("select from rate_limits where name = 'm' for update nowait")
            await claiming.execute("commit")
            await give_back
            await claiming.execute("begin")
            await giving.execute("reset all")


async def test_the_narrower_of_two_limits_counts_and_both_are_taken_from(pool: Pool) -> None:
    for name, rate in (("m", 100.0), ("n", 30.0), (ALL_MESSAGES, 50.0)):
        await limit_rate(pool, name, rate)
    await pool.execute("update rate_limits set tokens = emails_per_second, counted_at = clock_timestamp()")
    assert (await take(pool, "m", 64))[0] == 50
    granted, wait = await take(pool, "n", 64)  # nothing is left for all messages together
    assert (granted, wait > timedelta(0)) == (0, True)
    assert await pool.fetchval("select tokens from rate_limits where name = 'n'") == 30
    await limit_rate(pool, ALL_MESSAGES, None)
    assert (await take(pool, "n", 64))[0] == 30


def assert_none_is_too_early(harness: Harness, rate: float, began: datetime) -> None:
    """The bucket was empty when it began: by any moment no more have left than have come in since.

    How close they are to each other says nothing: a mail server that stands still for a while makes those who were
    claimed meanwhile leave together.
    """
    times = sorted(email.at for email in harness.smtp.accepted())
    early = [number for number, at in enumerate(times, 1) if number > rate * (at - began.timestamp()) + 1]
    assert not early, f"{len(early)} of {len(times)} left before their time"


async def test_a_message_leaves_no_faster_than_its_limit_over_workers_and_a_restart(
    harness: Harness, tmp_path: Path
) -> None:
    rate, recipients = 200.0, 900
    await harness.add_contacts(recipients)
    message_id = await harness.draft()
    await harness.prepare_server()
    with harness.worker_process(tmp_path / "1.log") as first, harness.worker_process(tmp_path / "2.log"):
        began = await harness.pool.fetchval("select clock_timestamp()")
        await harness.send(message_id, emails_per_second=rate)
        await harness.until_left(300)
        first.terminate()
        with harness.worker_process(tmp_path / "3.log"):
            await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert_none_is_too_early(harness, rate, began)


async def test_a_pause_under_a_limit_is_answered_at_once_and_a_resume_goes_on(harness: Harness) -> None:
    await harness.add_contacts(40)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id, emails_per_second=0.5)
        await harness.until_left(1)
        paused = await harness.use_cases.pause(message_id, asked_by(), wait=timedelta(seconds=30))
        assert paused.message.status is MessageStatus.PAUSED
        counts = await harness.counts(message_id)
        assert counts.in_doubt == 0
        assert counts.pending > 30
        await harness.use_cases.cancel(message_id, asked_by())


async def test_the_limit_of_all_messages_holds_for_two_of_them_together(harness: Harness) -> None:
    await harness.add_contacts(300)
    began = await harness.pool.fetchval("select clock_timestamp()")
    await limit_rate(harness.pool, ALL_MESSAGES, 200)
    async with harness.worker():
        ids = [await harness.draft() for _ in range(2)]
        for message_id in ids:
            await harness.send(message_id)
        for message_id in ids:
            await harness.until(message_id, MessageStatus.SENT)
    assert len(harness.smtp.accepted()) == 600
    assert_none_is_too_early(harness, 200, began)
