"""Hear of gates that close, as they do: PostgreSQL's LISTEN, to a NOTIFY in the commit that closes one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from storage.database import Pool

logger = logging.getLogger(__name__)

_CHANNEL = "gate_closed"
_AGAIN_AFTER_SECONDS = 1.0
_AGAIN_SLOWEST_SECONDS = 30.0


async def hear(pool: Pool, closed: Callable[[str | None], object], *, listening: Callable[[], object] = int) -> None:
    """Call `closed` with the id of each message whose gate closes, with None when the hold is put; for ever.

    It takes one connection of the pool. What is said while that is lost is not heard: it is news, and never the truth.
    Whatever goes wrong, it listens again: nobody would notice its end. `listening` is called whenever it has begun to.
    """
    wait, is_deaf = _AGAIN_AFTER_SECONDS, False

    def begun() -> None:
        nonlocal wait, is_deaf
        wait, is_deaf = _AGAIN_AFTER_SECONDS, False
        listening()

    while True:
        try:
            await _hear(pool, closed, begun)
        except Exception as error:  # noqa: BLE001  # even a fault of ours costs no more than the news of a moment
            if not is_deaf:
                logger.warning(
                    "News of closed gates are not heard for now, so lanes notice a stop at their next claim: %s: %s",
                    type(error).__name__,
                    error,
                )
            is_deaf = True
        await asyncio.sleep(wait)
        wait = min(wait * 2, _AGAIN_SLOWEST_SECONDS)


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
