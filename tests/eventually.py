"""The one way a test waits: for a condition, never for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T]], within: float = 30.0, every: float = 0.01) -> T: ...
@overload
async def eventually(condition: Callable[[], T], within: float = 30.0, every: float = 0.01) -> T: ...
async def eventually(condition: Callable[[], Any], within: float = 30.0, every: float = 0.01) -> Any:
    """Return the first true value of `condition` (plain or async); fail after `within` seconds with the last value."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within} s; last value: {value!r}")
        await asyncio.sleep(every)
