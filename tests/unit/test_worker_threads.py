"""What decides has a thread and an event loop of its own, whose end and whose errors are the worker's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from worker import _in_own_thread


async def test_it_goes_on_while_the_other_loop_is_busy_and_ends_when_told() -> None:
    busy, gone_on = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    async def work(begun: Callable[[], None], stop: asyncio.Event) -> None:
        threads.append(threading.current_thread())
        begun()
        await asyncio.to_thread(busy.wait)
        gone_on.set()
        await stop.wait()

    async with _in_own_thread(work) as ended:
        busy.set()
        assert gone_on.wait(timeout=10)  # without a turn for this loop
        assert not ended.done()
    assert ended.done()
    assert threads != [threading.current_thread()]


async def test_its_error_is_seen_at_once_and_comes_out() -> None:
    async def work(begun: Callable[[], None], stop: asyncio.Event) -> None:
        begun()
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        async with _in_own_thread(work) as ended:
            await asyncio.wait([ended])


async def test_an_error_before_it_is_at_work_comes_out_instead_of_the_block() -> None:
    async def work(begun: Callable[[], None], stop: asyncio.Event) -> None:
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        async with _in_own_thread(work):
            pytest.fail("it was never at work")


async def test_it_is_told_to_stop_when_the_block_fails() -> None:
    told: list[bool] = []

    async def work(begun: Callable[[], None], stop: asyncio.Event) -> None:
        begun()
        await stop.wait()
        told.append(True)

    with pytest.raises(KeyError):
        async with _in_own_thread(work):
            raise KeyError
    assert told == [True]
