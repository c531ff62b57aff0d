"""A send that excludes a message's recipients crosses a resend that reopens that message: nobody gets both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from client.batch_messages import BatchMessages
from client.drafts import content_of
from client.interface import CommandResult
from client.temporal import Workflows
from models.audience import Audience
from models.commands import Verb
from models.errors import ExclusionNotFinal, Refused
from models.message import MessageStatus
from models.schedule import Schedule
from storage import in_doubt, messages
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.integration.in_doubt.begun import WITHIN_SECONDS, Begun, command

TOMORROW = Schedule(at=datetime.now(UTC) + timedelta(days=1))


async def over_with_somebody_in_doubt(begun: Begun) -> str:
    """The original is sent, with one in doubt; return a copy that leaves out whom it reached."""
    await begun.put_in_doubt(3)
    assert await begun.sending.finish(begun.id, 1) is MessageStatus.SENT
    await begun.harness.add_contacts(5, prefix="new")
    return (await begun.harness.use_cases.copy(begun.id, exclude_recipients=True)).id


def about_to_schedule(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, crossing: Callable[[], Awaitable[object]]
) -> BatchMessages:
    """Use cases to whose sends something happens when all has been checked and nothing is changed yet."""

    async def connected() -> Workflows:
        await crossing()
        return harness.workflows

    monkeypatch.setattr(harness, "_connected", connected)
    return harness.make_use_cases()


async def test_a_message_that_is_reopened_as_a_copy_is_to_be_scheduled_refuses_the_copy(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = await over_with_somebody_in_doubt(begun)
    use_cases = about_to_schedule(begun.harness, monkeypatch, begun.resend)
    with pytest.raises(ExclusionNotFinal, match=rf"{begun.id}\), which is sending and could still mail them"):
        await use_cases.send(copy, TOMORROW, asked_by())
    assert await begun.harness.status(copy) is MessageStatus.DRAFT
    assert [entry.command for entry in await use_cases.history(copy)] == []
    assert await begun.statuses() == ["pending"] * 3


async def test_a_copy_waits_for_a_resend_that_is_being_decided(begun: Begun) -> None:
    copy = await over_with_somebody_in_doubt(begun)
    async with begun.harness.pool.acquire() as connection, connection.transaction():
        await in_doubt.decide(connection, begun.id, command(Verb.RESEND), None)
        sent = asyncio.ensure_future(begun.harness.use_cases.send(copy, TOMORROW, asked_by()))

        async def waits_or_is_done() -> bool:
            return sent.done() or await begun.somebody_waits()

        await eventually(waits_or_is_done, WITHIN_SECONDS)
    with pytest.raises(ExclusionNotFinal):
        await sent
    assert await begun.harness.status(copy) is MessageStatus.DRAFT


async def test_a_resend_waits_for_a_copy_that_is_being_scheduled(begun: Begun) -> None:
    copy = await over_with_somebody_in_doubt(begun)
    audience = (await begun.harness.use_cases.message(copy)).audience
    now = datetime.now(UTC)
    async with begun.harness.pool.acquire() as connection, connection.transaction():
        await messages.lock_with_excluded(connection, copy, audience)
        await messages.schedule(connection, copy, TOMORROW, accepted_at=now, next_slot_at=TOMORROW.at, ends_at=None)
        resent = asyncio.ensure_future(begun.resend())
        await eventually(begun.somebody_waits, WITHIN_SECONDS)
    with pytest.raises(Refused, match=rf"\({copy}\) excludes .* is scheduled"):
        await resent
    assert await begun.harness.status(begun.id) is MessageStatus.SENT
    assert await begun.statuses() == ["in_doubt"] * 3


async def test_a_copy_that_was_sent_is_not_reopened_while_its_original_is_sending_again(begun: Begun) -> None:
    """Whoever is pending in the original would join the copy at a resume, and get both."""
    copy = await over_with_somebody_in_doubt(begun)
    await begun.harness.pool.execute("update messages set status = 'sent' where id = $1", copy)
    await begun.resend()
    assert await begun.harness.status(begun.id) is MessageStatus.SENDING
    with pytest.raises(ExclusionNotFinal, match=rf"{begun.id}\), which is sending and could still mail them"):
        await begun.harness.use_cases.resend_in_doubt(copy, asked_by())
    assert await begun.harness.status(copy) is MessageStatus.SENT


async def test_of_two_that_exclude_each_other_one_is_scheduled(harness: Harness) -> None:
    """And they do not wait for one another."""
    await harness.add_contacts(5)
    first = await harness.draft()
    second = await harness.draft(audience=Audience(lists=("everybody",), exclude_recipients_of=(first,)))
    content = content_of(await harness.use_cases.message(first))
    audience = Audience(lists=("everybody",), exclude_recipients_of=(second,))
    await harness.use_cases.edit(first, content.model_copy(update={"audience": audience}))
    pair = [first, second]

    async def send(message_id: str) -> CommandResult:
        return await harness.use_cases.send(message_id, TOMORROW, asked_by())

    for _ in range(10):
        results = await asyncio.gather(*map(send, pair), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["CommandResult", "ExclusionNotFinal"]
        [scheduled] = [each for each in pair if await harness.status(each) is MessageStatus.SCHEDULED]
        await harness.use_cases.unschedule(scheduled, asked_by())
