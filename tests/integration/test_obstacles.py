"""What keeps a send from going on, or from beginning: the hold, a late hour, nobody to mail, no mail server."""

from __future__ import annotations

import pytest

from models.audience import Audience
from models.commands import Verb
from models.errors import InvalidInput
from models.message import MessageStatus
from models.schedule import Schedule
from tests.eventually import eventually
from tests.harness import Harness, asked_by


async def test_nothing_begins_or_goes_on_under_the_hold(harness: Harness) -> None:
    await harness.add_contacts(1000)
    first, second = await harness.draft(), await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(first)
        await harness.until_left(50)
        async with harness.pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hold_lock())")
            await connection.execute("insert into hold (actor, reason) values ('test', 'incident')")
        await harness.send(second)

        async def quiet() -> bool:
            return (await harness.counts(first)).claimed == 0

        await eventually(quiet)
        left = len(harness.smtp.accepted())
        for message_id in (first, second):
            await harness.until_asleep(message_id)
        assert await harness.status(second) is MessageStatus.SCHEDULED
        assert (await harness.use_cases.message(first)).held
        assert len(harness.smtp.accepted()) == left
        await harness.pool.execute("delete from hold")
        for message_id in (first, second):
            await harness.workflows.wake(message_id, 1)
        await harness.until(first, MessageStatus.SENT)
        await harness.until(second, MessageStatus.SENT)
    assert len(harness.smtp.accepted()) == 2000


async def test_a_message_that_begins_too_late_begins_paused(harness: Harness) -> None:
    await harness.add_contacts(10)
    message_id = await harness.draft()
    await harness.send(message_id)
    await harness.pool.execute("update messages set accepted_at = accepted_at - interval '13 hours'")
    async with harness.worker():
        await harness.until(message_id, MessageStatus.PAUSED)
        message = await harness.use_cases.message(message_id)
        assert message.receipt is not None
        assert (message.receipt.actor, message.receipt.command) == ("system", Verb.PAUSE)
        assert message.counts.pending == 10
        assert harness.smtp.accepted() == []
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)


async def test_an_empty_audience_is_refused_unless_allowed(harness: Harness) -> None:
    await harness.add_contacts(1)
    message_id = await harness.draft(audience=Audience(lists=("everybody",), where={"city": "Nowhere"}))
    with pytest.raises(InvalidInput) as refused:
        await harness.send(message_id)
    assert refused.value.code == "empty_audience"
    async with harness.worker():
        await harness.use_cases.send(message_id, Schedule(), asked_by(), allow_empty=True)
        await harness.until(message_id, MessageStatus.SENT)
    assert (await harness.counts(message_id)).total == 0


async def test_without_a_mail_server_nothing_is_lost(harness: Harness) -> None:
    await harness.add_contacts(200)
    harness.smtp.stop()
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        handle = harness.handle(message_id)

        async def says_so() -> bool:
            return bool((await handle.query("get_progress"))["no_server"])

        await eventually(says_so, within=20)
        counts = await harness.counts(message_id)
        assert counts.pending + counts.claimed == counts.total == 200
        harness.smtp.start()
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == 200
