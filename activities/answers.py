"""Waiting for an answer of the ledger, and no longer than one may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


async def answer_within(seconds: float, query: Awaitable[T]) -> T:
    """Return the answer of the ledger, or raise TimeoutError after so long and leave the query to itself.

    Not asyncio.timeout, which waits until a canceled query is tidied up: the driver asks the server to cancel it, and
    a server that has vanished without a word never answers that either.
    """
    task = asyncio.ensure_future(query)
    try:
        answered, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            _abandoned.add(task)
            task.add_done_callback(_forget)
            task.cancel()
    if not answered:
        raise TimeoutError
    return task.result()


#: Held, because the event loop alone would let them be collected.
_abandoned: set[asyncio.Future[Any]] = set()


def _forget(task: asyncio.Future[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that nothing complains: whoever asked has given up
