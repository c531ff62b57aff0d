"""Say that an activity lives: so that a dead worker is noticed within seconds, and a cancellation is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity

#: How often; where the server cannot push a cancellation, this and the worker's throttle bound how late it is heard.
EVERY = timedelta(seconds=0.5)


@contextmanager
def heartbeats(details: Callable[[], Any] | None = None) -> Iterator[None]:
    """Heartbeat while the block runs, with what `details` returns (shown in the Temporal UI)."""

    async def beat() -> None:
        while True:
            activity.heartbeat(*([details()] if details else []))
            await asyncio.sleep(EVERY.total_seconds())

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
