"""What the sweep reads every few seconds grows neither with what there has ever been nor with what sleeps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from storage import commands, lookout
from storage.database import Connection, Pool
from tests.harness import Harness

MESSAGES = 3_000  # half of them sent, half of them asleep; a few were paused and resumed
LOST_AFTER = timedelta(seconds=10)


@pytest.mark.parametrize(
    "look",
    [
        lambda pool: commands.unanswered(pool, LOST_AFTER),
        lambda pool: lookout.not_adopted(pool, LOST_AFTER),
        lambda pool: lookout.to_terminate(pool),
        lambda pool: lookout.adopted(pool, after="", most=3),
        lambda pool: lookout.resent(pool, LOST_AFTER),
    ],
    ids=["unanswered", "not_adopted", "to_terminate", "adopted", "resent"],
)
async def test_a_look_reads_what_was_lost_and_not_what_is_well(
    harness: Harness, look: Callable[[Connection | Pool], Awaitable[object]]
) -> None:
    draft = await harness.draft(lists=())
    await harness.pool.execute(
        "insert into messages (id, name, from_address, subject, html, text, audience, status, adopted_at, accepted_at)"
        " select 'message' || n, name, from_address, subject, html, text, audience,"
        " ('{sent,scheduled}'::message_status[])[1 + n % 2], now(), now()"
        " from messages, generate_series(1, $2::int) as n where id = $1",
        draft,
        MESSAGES,
    )
    await harness.pool.execute(
        "with asked as ("
        " insert into commands (command_id, message_id, generation, verb, actor, reason, source, requested_at)"
        " select verb || n, 'message' || n, 1, verb, 'anna', '', 'cli', now() - interval '1 hour'"
        " from generate_series(1, $1::int) as n, unnest('{send,pause,resume}'::text[]) as verb"
        " where verb = 'send' or n <= 5 returning command_id, message_id)"
        " insert into receipts (command_id, message_id, outcome, status_before, status_after, counts)"
        " select command_id, message_id, 'done', 'sent', 'sent', counts_of(message_id) from asked",
        MESSAGES,
    )
    await harness.pool.execute("vacuum analyze messages, commands, receipts")
    async with harness.pool.acquire() as connection, connection.transaction():
        before = await rows_read(connection)
        await look(connection)
        assert await rows_read(connection) - before < 100


async def rows_read(connection: Connection) -> int:
    """Return how many rows of messages and commands this transaction has read."""
    read: int = await connection.fetchval(
        "select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_user_tables"
        " where relname in ('messages', 'commands')"
    )
    return read
