"""Who listens hears of gates as they close, of the hold, and of nothing else; and again after a lost connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from storage import gate_news
from storage.database import Connection, Pool
from storage.gate_news import hear
from tests.eventually import eventually
from tests.harness import Harness


class Listener:
    """What was heard, and how often it began to listen."""

    def __init__(self) -> None:
        self.heard: list[str | None] = []
        self.times = 0

    def began(self) -> None:
        self.times += 1


@asynccontextmanager
async def listening(harness: Harness) -> AsyncIterator[Listener]:
    listener = Listener()
    task = asyncio.create_task(hear(harness.pool, listener.heard.append, listening=listener.began))
    try:
        await eventually(lambda: listener.times == 1)
        yield listener
    finally:
        task.cancel()
        await asyncio.wait([task])


async def begun(harness: Harness) -> str:
    message_id = await harness.draft()
    await harness.pool.execute(
        "update messages set status = 'sending', gate_open = true, generation = 1 where id = $1", message_id
    )
    return message_id


async def test_a_gate_that_closes_is_heard_of_once(harness: Harness) -> None:
    await harness.add_contacts(1)
    first, second = await begun(harness), await begun(harness)
    async with listening(harness) as listener:
        for number, message_id in enumerate((first, first, second), start=1):
            await harness.pool.execute("select close_gate($1, 1, $2)", message_id, number)
        await eventually(lambda: len(listener.heard) == 2)
    assert listener.heard == [first, second]


async def test_the_hold_is_heard_of_as_of_all(harness: Harness) -> None:
    async with listening(harness) as listener:
        await harness.pool.execute("insert into hold (actor, reason) values ('somebody', 'incident')")
        await eventually(lambda: listener.heard == [None])


async def test_after_a_lost_connection_it_listens_again(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_news, "_AGAIN_AFTER_SECONDS", 0.01)
    await harness.add_contacts(1)
    message_id = await begun(harness)
    async with listening(harness) as listener:
        await harness.pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where query like 'LISTEN%' and datname = current_database()"
        )
        await eventually(lambda: listener.times == 2)
        await harness.pool.execute("select close_gate($1, 1, 1)", message_id)
        await eventually(lambda: listener.heard == [message_id])


async def test_whatever_goes_wrong_it_listens_again_and_says_so_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gate_news, "_AGAIN_AFTER_SECONDS", 0.001)
    wrong = [
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.CrashShutdownError("crash"),
        KeyError("ours"),
    ]
    listener = Listener()

    @asynccontextmanager
    async def acquire() -> AsyncIterator[Connection]:
        if wrong:
            raise wrong.pop(0)
        async with harness.pool.acquire() as connection:
            yield connection

    pool: Any = SimpleNamespace(acquire=acquire)
    with caplog.at_level(logging.WARNING, logger=gate_news.__name__):
        task = asyncio.create_task(hear(cast(Pool, pool), listener.heard.append, listening=listener.began))
        try:
            await eventually(lambda: listener.times or task.done())
            assert not task.done(), "it listens no more"
        finally:
            task.cancel()
            await asyncio.wait([task])
    assert [record.getMessage() for record in caplog.records] == [
        "News of closed gates are not heard for now, so lanes notice a stop at their next claim:"
        " AdminShutdownError: terminating connection"
    ]
