"""Sends in the far future, on the time-skipping server: the clock of the workflow decides, not ours."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import WorkflowExecutionStatus

from models.message import MessageStatus
from tests.harness import asked_by
from tests.workflow.virtual import VirtualHarness

IN_A_MONTH = timedelta(days=30)
#: Behind a skip the clock goes on in real time: so far before the instant that it does not come while we look.
JUST_BEFORE = timedelta(seconds=40)


async def test_a_send_in_a_month_leaves_at_its_instant(virtual: VirtualHarness) -> None:
    await virtual.add_contacts(100)
    message_id = await virtual.draft()
    at = await virtual.skipping.get_current_time() + IN_A_MONTH
    async with virtual.worker():
        await virtual.send(message_id, at=at)
        await virtual.at_rest(message_id)
        await virtual.skip_to(at - JUST_BEFORE)
        assert await virtual.status(message_id) is MessageStatus.SCHEDULED
        assert virtual.smtp.accepted() == []
        assert await virtual.skipping.get_current_time() < at
        await virtual.skip_to(at)
        await virtual.sent(message_id)
    await virtual.assert_once_each(message_id)
    assert len(virtual.smtp.accepted()) == 100


async def test_unscheduled_before_its_instant_nothing_ever_leaves(virtual: VirtualHarness) -> None:
    await virtual.add_contacts(100)
    message_id = await virtual.draft()
    async with virtual.worker():
        await virtual.send(message_id, at=await virtual.skipping.get_current_time() + IN_A_MONTH)
        await virtual.at_rest(message_id)
        await virtual.skipping.sleep(IN_A_MONTH - timedelta(minutes=1))
        await virtual.use_cases.unschedule(message_id, asked_by())
        await virtual.skipping.sleep(timedelta(days=2))
        description = await virtual.handle(message_id).describe()
        assert description.status is WorkflowExecutionStatus.TERMINATED
    assert await virtual.status(message_id) is MessageStatus.DRAFT
    assert virtual.smtp.accepted() == []


async def test_a_pause_of_a_month_is_a_pause(virtual: VirtualHarness) -> None:
    """Nothing leaves while it is paused, however long that is; then everybody gets it once."""
    await virtual.add_contacts(1000)
    message_id = await virtual.draft()
    async with virtual.worker(lanes=1):
        await virtual.send(message_id, at=await virtual.skipping.get_current_time())
        await virtual.until_in_mid_send(20)
        await virtual.use_cases.pause(message_id, asked_by())
        await virtual.at_rest(message_id)
        left = len(virtual.smtp.accepted())
        await virtual.skipping.sleep(IN_A_MONTH)
        assert len(virtual.smtp.accepted()) == left < 1000
        virtual.smtp.set(delay_ms=0)
        await virtual.use_cases.resume(message_id, asked_by())
        await virtual.sent(message_id)
    await virtual.assert_once_each(message_id)
    assert len(virtual.smtp.accepted()) == 1000


async def test_refused_for_now_is_tried_again_in_a_minute_and_not_before(virtual: VirtualHarness) -> None:
    await virtual.add_contacts(50)
    virtual.smtp.refuse("^c7@", "451 4.7.1 greylisted")
    message_id = await virtual.draft()
    async with virtual.worker():
        await virtual.send(message_id, at=await virtual.skipping.get_current_time())
        await virtual.until_left(49)
        await virtual.at_rest(message_id)
        assert (await virtual.counts(message_id)).deferred == 1
        virtual.smtp.set(refuse=[])
        next_try_at = await virtual.pool.fetchval("select next_try_at from recipients where status = 'deferred'")
        assert next_try_at - await virtual.skipping.get_current_time() > timedelta(seconds=50)
        await virtual.skip_to(next_try_at - JUST_BEFORE)
        assert (await virtual.counts(message_id)).deferred == 1
        await virtual.skip_to(next_try_at)
        await virtual.sent(message_id)
    await virtual.assert_once_each(message_id)
    assert len(virtual.smtp.accepted()) == 50
