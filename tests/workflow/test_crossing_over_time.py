"""A stop that comes while a send over time is looked at, or a batch of it opens."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from models.commands import ReceiptOutcome, Verb
from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import asked_by
from tests.workflow.story import Story, deliveries, when
from tests.workflow.virtual import VirtualHarness


async def somebody_waits(virtual: VirtualHarness) -> None:
    async def waits() -> bool:
        return bool(await virtual.pool.fetchval("select exists (select from pg_locks where not granted)"))

    await eventually(waits)


async def test_a_pause_refused_while_it_is_looked_whether_it_is_time_changes_nothing(
    virtual: VirtualHarness, story: Story
) -> None:
    await story.prepare({"o1-o3": "Europe/Oslo"})
    await story.go(["10:00 send", "18:59 look"], {"at": "2040-06-05T09:00", "time_zone": "contact"})
    async with virtual.pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table list_members in access exclusive mode")
        passing = asyncio.create_task(virtual.skip_to(when("19:00:05")))  # Monday's nine o'clock in Kiritimati
        await somebody_waits(virtual)
        await virtual.handle(story.message_id).signal("pause", "by hand")

        async def gate_is_closed() -> bool:
            return bool(await virtual.pool.fetchval("select gate_number > 0 from messages"))

        await eventually(gate_is_closed)
    await passing
    await virtual.at_rest(story.message_id)
    [pause] = [e for e in await virtual.use_cases.history(story.message_id) if e.command is Verb.PAUSE]
    assert pause.receipt is not None
    assert pause.receipt.outcome is ReceiptOutcome.REFUSED
    await virtual.skip_to(when("+1d 07:05"))
    await virtual.sent(story.message_id)
    assert story.got == deliveries("+1d 07:00 o1-o3")


async def test_a_pause_is_answered_before_the_opening_of_a_batch_is_over(virtual: VirtualHarness, story: Story) -> None:
    """However long that takes: it ends, and nothing of it leaves until the resume."""
    await story.prepare({"p1-p10": None})
    await story.go(["10:00 send", "10:14 look"], {"throttle": {"batch_size": 3, "every": "15m"}})
    async with virtual.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('batches/' || $1, 5))", story.message_id
        )
        passing = asyncio.create_task(virtual.skip_to(when("10:15:05")))
        await somebody_waits(virtual)
        paused = await virtual.use_cases.pause(story.message_id, asked_by(), wait=timedelta(seconds=30))
        assert paused.receipt is not None
        assert paused.receipt.outcome is ReceiptOutcome.DONE
        assert paused.message.status is MessageStatus.PAUSED
    await passing
    await story.go(["10:40 resume"])
    await virtual.skipping.sleep(timedelta(days=1))
    assert story.got == deliveries("10:00 p1-p3", "10:45 p4-p6", "11:00 p7-p9", "11:15 p10")
