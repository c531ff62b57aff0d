"""A message from draft to sent, with every command, on real PostgreSQL, Temporal and SMTP."""

from __future__ import annotations

from models.commands import ReceiptOutcome
from models.message import MessageStatus
from tests.harness import Harness, asked_by


async def test_everybody_gets_it_once(harness: Harness) -> None:
    await harness.add_contacts(300)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id)
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert {email.recipient for email in harness.smtp.accepted()} == {f"c{n}@example.com" for n in range(1, 301)}


async def test_nothing_leaves_after_a_pause_and_resume_finishes(harness: Harness) -> None:
    await harness.add_contacts(2000)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id)
        await harness.until_in_mid_send(200)
        paused = await harness.use_cases.pause(message_id, asked_by("the landing page is down"))
        assert paused.receipt is not None
        assert paused.receipt.outcome is ReceiptOutcome.DONE
        assert paused.receipt.effective_at is not None
        assert paused.message.status is MessageStatus.PAUSED
        left = harness.smtp.accepted()
        assert len(left) < 2000
        assert all(email.at <= paused.receipt.effective_at.timestamp() for email in left)
        harness.smtp.set(delay_ms=0)
        resumed = await harness.use_cases.resume(message_id, asked_by())
        assert resumed.receipt is not None
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == 2000
