"""The pool of SMTP lines hands every place and every line on, whatever crosses."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from activities.smtp.lines import Line
from activities.smtp.pool import Pool


class FakeLine:
    """A line as the pool sees it."""

    def __init__(self) -> None:
        self.is_open = True
        self.idle_since = 0.0

    def abort(self) -> None:
        self.is_open = False


def opened(pool: Pool) -> Line:
    line = cast(Line, FakeLine())
    pool.opened(line)
    return line


async def waiting(pool: Pool) -> asyncio.Task[Line | None]:
    """Begin to wait for a place."""
    task = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_place_comes_with_the_line_that_was_used_last() -> None:
    pool = Pool(3)
    for _ in range(2):
        assert await pool.take() is None
    first, second = opened(pool), opened(pool)
    pool.free(first)
    pool.free(second)
    assert [await pool.take() for _ in range(3)] == [second, first, None]


async def test_a_line_goes_to_who_has_waited_longest() -> None:
    pool = Pool(1)
    assert await pool.take() is None
    line = opened(pool)
    first, second = await waiting(pool), await waiting(pool)
    pool.free(line)
    assert await first is line
    assert not second.done()
    pool.free(None)  # it was lost
    assert await second is None


@pytest.mark.parametrize("has_line", [True, False])
async def test_a_place_that_comes_together_with_a_cancellation_is_not_lost(has_line: bool) -> None:
    pool = Pool(1)
    assert await pool.take() is None
    line = opened(pool) if has_line else None
    task = await waiting(pool)
    pool.free(line)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(pool.take(), 10) is line


async def test_who_gave_up_waiting_is_passed_over() -> None:
    pool = Pool(1)
    assert await pool.take() is None
    first, second = await waiting(pool), await waiting(pool)
    first.cancel()
    await asyncio.wait({first})
    pool.free(None)
    assert await asyncio.wait_for(second, 10) is None


async def test_a_line_that_is_not_open_or_was_idle_for_long_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(3)
    for _ in range(3):
        await pool.take()
    lost, old, fresh = opened(pool), opened(pool), opened(pool)
    for line in (old, lost, fresh):
        pool.free(line)
    cast(FakeLine, lost).is_open = False
    old.idle_since -= 31
    assert [await pool.take() for _ in range(3)] == [fresh, None, None]
    assert not old.is_open
    assert pool.working == 1


async def test_where_lines_are_refused_the_places_are_those_that_work() -> None:
    pool = Pool(4)
    for _ in range(4):
        assert await pool.take() is None
    line = opened(pool)
    pool.free(line)  # idle, and its place free again
    now = asyncio.get_running_loop().time()
    assert all(pool.refused(too_many=True, retry_at=now) for _ in range(3))
    task = await waiting(pool)  # three who were refused have places still
    pool.free(None)
    pool.free(None)
    assert not task.done()
    pool.free(None)
    assert await asyncio.wait_for(task, 10) is line, "the idle line, not a place to open one that is refused again"
    pool.closed(line)
    assert not pool.refused(too_many=True, retry_at=now), "none works any more"


@pytest.mark.parametrize(("places", "waiters", "turn"), [(16, 0, 8), (16, 112, 8), (8, 128, 4), (8, 600, 1), (1, 3, 8)])
async def test_the_more_wait_the_shorter_is_a_turn(places: int, waiters: int, turn: int) -> None:
    """Who comes last has a turn after 64 emails on a line, or one of each who waits."""
    pool = Pool(places)
    for _ in range(places):
        await pool.take()
    tasks = [await waiting(pool) for _ in range(waiters)]
    assert pool.turn == turn
    assert pool.is_waited_for is (waiters > 0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not pool.is_waited_for
