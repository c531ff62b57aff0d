"""Being the only one who does something, over all workers, until it is done or one falls silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from storage.database import Connection, Pool

#: Well below the 30 s after which the server ends a transaction that says nothing (`open_pool`).
_HEARD_EVERY_SECONDS = 10.0


@asynccontextmanager
async def alone(pool: Pool, lock: int) -> AsyncIterator[bool]:
    """Yield whether nobody else is in here under `lock`; if so, nobody else comes in before the end.

    The lock belongs to a transaction that says a word every 10 s, so the server takes it from whoever is dead, frozen
    or cut off, by its own clock and within 30 s. A lock of the session would stay with a frozen process for as long as
    it is frozen, and with a machine that has vanished until TCP misses it, after hours. Who comes back later may find
    somebody else in here: what is done must bear that. Such a one gets an error at the end.
    """
    async with pool.acquire() as connection, connection.transaction():
        if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", lock):
            yield False
            return
        done = asyncio.Event()
        heard = asyncio.create_task(_stay_heard(connection, done))
        try:
            yield True
        finally:
            done.set()
            await heard


async def _stay_heard(connection: Connection, done: asyncio.Event) -> None:
    """Keep the transaction from being silent for long. It has no snapshot between two words, and keeps no dead rows."""
    while True:
        try:
            await asyncio.wait_for(done.wait(), _HEARD_EVERY_SECONDS)
        except TimeoutError:
            await connection.execute("select 1")
        else:
            return
