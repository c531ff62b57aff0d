"""Small promises of the documentation that nothing else would miss."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from models.commands import Command, Verb
from models.message import MessageStatus
from models.recipient import RecipientStatus
from storage import commands
from storage.database import Pool, open_pool
from storage.sending import Sending
from tests.eventually import eventually
from tests.harness import Harness, asked_by


async def test_a_connection_frozen_inside_a_transaction_is_cut(pool: Pool) -> None:
    """It would keep its locks, and with the hold's everybody else out."""
    assert await pool.fetchval("show idle_in_transaction_session_timeout") == "30s"


async def test_a_claim_survives_a_crash_however_the_database_is_set(pool: Pool, database_url: str) -> None:
    """One that is forgotten after its email has left would be mailed again."""
    name = await pool.fetchval("select current_database()")
    await pool.execute(f'alter database "{name}" set synchronous_commit = off')
    async with open_pool(database_url) as opened:
        assert await opened.fetchval("show synchronous_commit") == "on"


async def test_recipients_are_streamed_once_each_over_many_pages(harness: Harness) -> None:
    await harness.add_contacts(4_500)
    message_id = await harness.draft()
    async with harness.worker(lanes=1, smtp_connections=1):
        harness.smtp.set(delay_ms=5)
        await harness.send(message_id)
        await harness.until_left(1)
        await harness.use_cases.cancel(message_id, asked_by())
    ids = [recipient.contact_id async for recipient in harness.use_cases.recipients(message_id)]
    assert len(ids) == 4_500
    assert ids == sorted(set(ids))
    canceled = [r async for r in harness.use_cases.recipients(message_id, statuses=[RecipientStatus.CANCELED])]
    assert len(canceled) == (await harness.counts(message_id)).canceled > 2_000


async def test_pace_and_end_are_told_while_it_sends_and_not_while_it_is_paused(harness: Harness) -> None:
    await harness.add_contacts(1_000)
    harness.smtp.set(delay_ms=50)
    message_id = await harness.draft()
    async with harness.worker(lanes=1, smtp_connections=4):
        await harness.send(message_id)

        async def has_pace() -> bool:
            progress = await harness.use_cases.progress(message_id)
            return progress.rate_per_second is not None and progress.rate_per_second > 0

        await eventually(has_pace)
        before = datetime.now(UTC)
        sending = await harness.use_cases.progress(message_id)
        assert sending.eta is not None
        assert sending.eta > before
        await harness.use_cases.pause(message_id, asked_by())
        paused = await harness.use_cases.progress(message_id)
        assert paused.status is MessageStatus.PAUSED
        assert (paused.rate_per_second, paused.eta) == (None, None)


async def test_a_stop_that_was_answered_closes_no_gate_again(harness: Harness) -> None:
    """Its signal may come again, long after the workflow has forgotten its id."""
    await harness.add_contacts(1_000)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        await harness.until_in_mid_send(20)
        asked = asked_by()
        await harness.use_cases.pause(message_id, asked)
    old = Command(
        command_id=asked.command_id,
        verb=Verb.PAUSE,
        actor="test",
        source="test",
        requested_at=datetime.now(UTC),
    )
    assert await commands.receipt(harness.pool, message_id, old) is not None
    await harness.pool.execute("update messages set status = 'sending', gate_open = true, gate_number = 2")
    await Sending(harness.pool, max_late=timedelta.max).close_gate(message_id, 1, old, 99)
    gate = await harness.pool.fetchrow("select gate_open, gate_number from messages")
    assert gate is not None
    assert tuple(gate) == (True, 2)


async def test_a_test_email_has_a_message_id_of_its_own(harness: Harness) -> None:
    """Mail programs take the second email with an id for a repetition, and show one of them."""
    await harness.add_contacts(1)
    message_id = await harness.draft()
    await harness.use_cases.send_test(message_id, ["me@example.com", "you@example.com"])
    async with harness.worker():
        await harness.send(message_id)
        await harness.until(message_id, MessageStatus.SENT)
    ids = [email.message_id for email in harness.smtp.accepted()]
    assert len(ids) == len(set(ids)) == 3
    assert all(re.fullmatch(r"<[^<>@\s]+@example\.com>", each) for each in ids)
