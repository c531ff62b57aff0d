"""A throttled send without a worker for some turns, in real seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness

EVERY = timedelta(seconds=2)
TURNS_AWAY = 3


async def test_the_last_turn_that_came_is_opened_late_and_the_others_are_dropped(harness: Harness) -> None:
    await harness.add_contacts(4)
    message_id = await harness.draft()

    async def opened() -> dict[int, datetime]:
        rows = await harness.pool.fetch("select turn, opened_at from batches")
        return {row["turn"]: row["opened_at"] for row in rows}

    async with harness.worker():
        message = await harness.send(message_id, throttle={"batch_size": 1, "every": EVERY})
        assert message.receipt is not None
        start = message.receipt.effective_at
        assert start is not None
        await harness.until_left(2)
    last = max(await opened())
    away_until = start + (last + TURNS_AWAY) * EVERY
    await eventually(lambda: datetime.now(UTC) > away_until, within=30)
    assert len(harness.smtp.accepted()) == 2
    async with harness.worker():
        await harness.until(message_id, MessageStatus.SENT)
    turns = await opened()
    late, after = sorted(turns)[-2:]
    assert late >= last + TURNS_AWAY  # those before it are dropped
    assert start + late * EVERY <= turns[late] < start + (late + 1) * EVERY  # it is the last that had come
    assert after == late + 1  # and the grid goes on
    await harness.assert_once_each(message_id)
