"""Hear of gates that close, as they do: PostgreSQL's LISTEN, to a NOTIFY in the commit that closes one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from storage.database import CONNECTION_ERRORS, Pool

logger = logging.getLogger(__name__)

_CHANNEL = "gate_closed"
_AGAIN_AFTER_SECONDS = 1.0


async def hear(pool: Pool, closed: Callable[[str | None], object], *, listening: Callable[[], object] = int) -> None:
    """Call `closed` with the id of each message whose gate closes, with None when the hold is put; for ever.

    It takes one connection of the pool. What is said while that is lost is not heard: it is news, and never the truth.
    `listening` is called whenever it has begun to listen.
    """
    while True:
        try:
            await _hear(pool, closed, listening)
        except CONNECTION_ERRORS as error:
            logger.warning("news of closed gates are not heard: %s", type(error).__name__)
        await asyncio.sleep(_AGAIN_AFTER_SECONDS)


async def _hear(pool: Pool, closed: Callable[[str | None], object], listening: Callable[[], object]) -> None:
    """Listen until the connection is lost."""
    lost = asyncio.Event()

    def told(_connection: Any, _process: int, _channel: str, payload: object) -> None:
        closed(str(payload) or None)

    async with pool.acquire() as connection:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(_CHANNEL, told)
        listening()
        try:
            await lost.wait()
        finally:
            if not connection.is_closed():
                await connection.remove_listener(_CHANNEL, told)
