"""Every command with its receipt, on real PostgreSQL, Temporal and SMTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from temporalio.client import WorkflowExecutionStatus

from client.temporal import Workflows
from models.commands import Receipt, ReceiptOutcome, Verb
from models.errors import ChangedMeanwhile, ExclusionNotFinal, IllegalTransition, InvalidInput
from models.message import MessageStatus
from models.recipient import RecipientStatus
from models.schedule import Schedule
from tests.eventually import eventually
from tests.harness import Harness, asked_by

TOMORROW = timedelta(days=1)


async def paused_in_mid_send(harness: Harness, message_id: str, after: int = 100) -> None:
    """The server is slow from then on: whoever waits for the end of the send makes it quick again."""
    await harness.send(message_id)
    await harness.until_in_mid_send(after)
    result = await harness.use_cases.pause(message_id, asked_by())
    assert result.message.status is MessageStatus.PAUSED
    assert result.message.counts.pending > 0


# -- resume


async def test_resume_reads_the_audience_again(harness: Harness) -> None:
    """Joiners (also with ids older than the last one mailed) come, leavers do not, nobody gets it twice."""
    await harness.add_contacts(50, list_name="elsewhere", prefix="old")  # ids older than everybody's
    await harness.add_contacts(1000)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await paused_in_mid_send(harness, message_id)
        unsent = [r.address async for r in harness.use_cases.recipients(message_id, statuses=[RecipientStatus.PENDING])]
        leaver, unsubscribed, deleted = unsent[-1], unsent[-2], unsent[-3]
        await harness.pool.execute(
            "insert into list_members select l.id, c.id from lists l, contacts c"
            " where l.name = 'everybody' and c.address like 'old%'"
        )
        await harness.add_contacts(20, prefix="new")
        await harness.pool.execute(
            "delete from list_members where contact_id = (select id from contacts where address = $1)", leaver
        )
        await harness.use_cases.suppress([unsubscribed], reason="unsubscribed")
        await harness.pool.execute("delete from contacts where address = $1", deleted)

        preview = await harness.use_cases.resume_preview(message_id)
        assert (preview.joiners, preview.leavers, preview.suppressed) == (70, 2, 1)
        before = await harness.counts(message_id)
        harness.smtp.set(delay_ms=0)
        result = await harness.use_cases.resume(message_id, asked_by())
        assert result.receipt is not None
        assert result.receipt.outcome is ReceiptOutcome.DONE
        assert result.receipt.status_after == MessageStatus.SENDING
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    counts = await harness.counts(message_id)
    assert counts.total == 1070
    assert counts.sent == before.sent + preview.to_send == 1067
    assert (counts.withdrawn, counts.suppressed) == (2, 1)
    reached = {email.recipient for email in harness.smtp.accepted()}
    assert not {leaver, unsubscribed, deleted} & reached
    assert {f"old{n}@example.com" for n in range(1, 51)} <= reached


async def test_whose_cause_is_gone_comes_back_at_a_resume(harness: Harness) -> None:
    """Withdrawn and suppressed return; deleted and imported again is the same mailbox under another id."""
    await harness.add_contacts(1000)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await paused_in_mid_send(harness, message_id)
        unsent = [r.address async for r in harness.use_cases.recipients(message_id, statuses=[RecipientStatus.PENDING])]
        returning, unsuppressed, imported_again, mailed = unsent[-1], unsent[-2], unsent[-3], harness.smtp.accepted()[0]
        contact_id, list_id = await harness.pool.fetchrow(  # type: ignore[misc]  # there is one
            "select c.id, l.id from contacts c, lists l where c.address = $1", returning
        )
        await harness.pool.execute("delete from list_members where contact_id = $1", contact_id)
        await harness.use_cases.suppress([unsuppressed], reason="by mistake")
        await harness.pool.execute("delete from contacts where address = any($1)", [imported_again, mailed.recipient])
        await harness.use_cases.resume(message_id, asked_by())
        await harness.use_cases.pause(message_id, asked_by())
        assert (await harness.counts(message_id)).withdrawn == 2

        await harness.pool.execute("insert into list_members values ($1, $2)", list_id, contact_id)
        await harness.use_cases.unsuppress([unsuppressed])
        for address in (imported_again, mailed.recipient):
            await harness.pool.execute(
                "with c as (insert into contacts (address, address_key) values ($1, $1) returning id)"
                " insert into list_members select $2, id from c",
                address,
                list_id,
            )
        assert (await harness.use_cases.resume_preview(message_id)).joiners == 0
        harness.smtp.set(delay_ms=0)
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert (await harness.counts(message_id)).sent == 1000


# -- cancel and copy


async def test_a_copy_sends_to_exactly_the_rest(harness: Harness) -> None:
    await harness.add_contacts(1000)
    harness.smtp.refuse("^c7@", "550 5.1.1 no such user")
    original = await harness.draft()
    async with harness.worker(lanes=2):
        await harness.send(original)
        await harness.until_in_mid_send(150)
        canceled = await harness.use_cases.cancel(original, asked_by("wrong body"))
        harness.smtp.set(delay_ms=0)
        assert canceled.message.status is MessageStatus.CANCELED
        assert canceled.receipt is not None
        assert canceled.receipt.counts is not None
        first = {email.recipient for email in harness.smtp.accepted()}
        assert canceled.receipt.counts["sent"] == len(first)
        assert canceled.message.counts.canceled == 1000 - len(first) - canceled.message.counts.bounced

        copied = await harness.use_cases.copy(original, exclude_recipients=True)
        assert copied.status is MessageStatus.DRAFT
        assert copied.copied_from == original
        assert copied.audience.exclude_recipients_of == (original,)
        assert copied.audience_estimate == canceled.message.counts.canceled
        await harness.send(copied.id)
        await harness.until(copied.id, MessageStatus.SENT)
    everybody = [email.recipient for email in harness.smtp.accepted()]
    assert sorted(everybody) == sorted(f"c{n}@example.com" for n in range(1, 1001) if n != 7)


async def test_cancel_while_scheduled_and_while_paused(harness: Harness) -> None:
    await harness.add_contacts(1000)
    scheduled, sending = await harness.draft(), await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(scheduled, at=datetime.now(UTC) + TOMORROW)
        result = await harness.use_cases.cancel(scheduled, asked_by())
        assert result.receipt is not None
        assert (result.receipt.status_before, result.receipt.status_after) == ("scheduled", "canceled")
        assert result.message.counts.total == 0
        await paused_in_mid_send(harness, sending)
        result = await harness.use_cases.cancel(sending, asked_by())
        assert result.receipt is not None
        assert (result.receipt.status_before, result.receipt.status_after) == ("paused", "canceled")
        assert result.message.counts.unfinished == 0
        with pytest.raises(IllegalTransition, match="copy it as a draft"):
            await harness.use_cases.resume(sending, asked_by())
    await harness.assert_once_each(sending)


async def test_a_copy_is_refused_while_its_original_could_still_mail(harness: Harness) -> None:
    await harness.add_contacts(10)
    original = await harness.draft()
    await harness.send(original, at=datetime.now(UTC) + TOMORROW)
    copied = await harness.use_cases.copy(original, exclude_recipients=True)
    with pytest.raises(ExclusionNotFinal):
        await harness.send(copied.id)
    assert await harness.status(copied.id) is MessageStatus.DRAFT


# -- a draft that changes meanwhile


async def test_a_text_that_was_edited_while_the_send_was_checked_is_not_sent(harness: Harness) -> None:
    """The checks were of another text: this one cannot be rendered."""
    await harness.add_contacts(3)
    message_id = await harness.draft()
    connected = harness.use_cases._workflows

    async def connected_after_an_edit() -> Workflows:
        await harness.pool.execute(
            "update messages set subject = '{{ nobody.knows }}', updated_at = clock_timestamp() where id = $1",
            message_id,
        )
        return await connected()

    with patch.object(harness.use_cases, "_workflows", connected_after_an_edit), pytest.raises(ChangedMeanwhile):
        await harness.send(message_id)
    assert await harness.status(message_id) is MessageStatus.DRAFT
    with pytest.raises(InvalidInput, match="nobody"):
        await harness.send(message_id)


async def test_only_the_version_that_was_seen_is_sent(harness: Harness) -> None:
    await harness.add_contacts(3)
    message_id = await harness.draft()
    seen = (await harness.use_cases.message(message_id)).updated_at
    await harness.pool.execute("update messages set updated_at = clock_timestamp() where id = $1", message_id)
    with pytest.raises(ChangedMeanwhile) as refused:
        await harness.use_cases.send(message_id, Schedule(), asked_by(), seen=seen)
    now = (await harness.use_cases.message(message_id)).updated_at
    assert refused.value.details == {"changed_at": now}
    result = await harness.use_cases.send(message_id, Schedule(), asked_by(), seen=now)
    assert result.message.status is MessageStatus.SCHEDULED


# -- unschedule


async def test_unschedule_makes_a_draft_and_its_workflow_is_gone(harness: Harness) -> None:
    await harness.add_contacts(10)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id, at=datetime.now(UTC) + TOMORROW)
        with pytest.raises(IllegalTransition, match="unschedule"):
            await harness.use_cases.pause(message_id, asked_by())
        result = await harness.use_cases.unschedule(message_id, asked_by("wrong date"))
        assert result.message.status is MessageStatus.DRAFT
        handle = harness.handle(message_id)
        assert (await handle.describe()).status is WorkflowExecutionStatus.TERMINATED
        again = await harness.use_cases.unschedule(message_id, asked_by())
        assert again.receipt is not None
        assert result.receipt is not None
        assert again.receipt.effective_at == result.receipt.effective_at
        assert harness.smtp.accepted() == []
        sent = await harness.send(message_id)
        assert sent.generation == 2
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)


async def test_unschedule_is_refused_once_the_send_has_begun(harness: Harness) -> None:
    await harness.add_contacts(1000)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        await harness.until_in_mid_send(1)
        with pytest.raises(IllegalTransition, match="pause it, or cancel it"):
            await harness.use_cases.unschedule(message_id, asked_by())
        harness.smtp.set(delay_ms=0)
        await harness.until(message_id, MessageStatus.SENT)


# -- asked twice, crossing, too early, too late


async def test_the_same_command_twice_acts_once(harness: Harness) -> None:
    await harness.add_contacts(1000)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        await harness.until_in_mid_send(50)
        asked = asked_by()
        first, second = await asyncio.gather(
            harness.use_cases.pause(message_id, asked), harness.use_cases.pause(message_id, asked)
        )
        assert first.receipt is not None
        assert first.receipt == second.receipt == (await harness.use_cases.pause(message_id, asked)).receipt
        other = await harness.use_cases.pause(message_id, asked_by())
        assert other.receipt is not None
        assert other.receipt.effective_at == first.receipt.effective_at
    history = await harness.use_cases.history(message_id)
    assert [entry.command for entry in history] == [Verb.SEND, Verb.PAUSE, Verb.PAUSE]


async def test_the_id_of_another_command_is_refused(harness: Harness) -> None:
    """Its receipt would pass for this one's: a pause would seem done that nobody heard of."""
    await harness.add_contacts(5)
    first, second = await harness.draft(), await harness.draft()
    asked = asked_by()
    await harness.use_cases.send(first, Schedule(at=datetime.now(UTC) + TOMORROW), asked)
    for refused in (
        harness.use_cases.cancel(first, asked),
        harness.use_cases.send(second, Schedule(), asked),
        harness.use_cases.unschedule(first, asked),
    ):
        with pytest.raises(InvalidInput, match="Another command has the id"):
            await refused
    assert await harness.status(first) is MessageStatus.SCHEDULED
    assert await harness.status(second) is MessageStatus.DRAFT


async def test_pause_and_cancel_at_once_end_canceled(harness: Harness) -> None:
    await harness.add_contacts(1000)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        await harness.until_in_mid_send(50)
        paused, canceled = await asyncio.gather(
            harness.use_cases.pause(message_id, asked_by()),
            harness.use_cases.cancel(message_id, asked_by()),
            return_exceptions=True,
        )
        assert not isinstance(canceled, BaseException)
        assert canceled.message.status is MessageStatus.CANCELED
        # The pause came first and took hold, or second and was refused; it never undid the cancel.
        assert isinstance(paused, IllegalTransition) or not isinstance(paused, BaseException)
    await harness.assert_once_each(message_id)


async def test_pause_and_resume_ten_times_fast(harness: Harness) -> None:
    """Whatever is asked in whatever order: the last one stands, each is answered once, nobody gets it twice."""
    await harness.add_contacts(3000)
    message_id = await harness.draft()
    # A lease that a stalled machine does not let lapse: what a lane lost would still be in doubt in the end.
    async with harness.worker(lanes=2, lease=timedelta(seconds=30)):
        await harness.send(message_id)
        await harness.until_left(50)
        handle = harness.handle(message_id)
        for _ in range(10):
            await handle.signal("pause", {"actor": "hasty"})
            await handle.signal("resume", {"actor": "hasty"})

        async def answered() -> bool:
            history = await harness.use_cases.history(message_id)
            return sum(entry.receipt is not None for entry in history) == 21

        await eventually(answered, within=30)
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == 3000


async def test_commands_wait_for_a_worker(harness: Harness) -> None:
    """With no worker up nothing leaves and nothing is confirmed; both happen in the right order once one is back."""
    await harness.add_contacts(500)
    message_id = await harness.draft()
    await harness.send(message_id)
    with pytest.raises(IllegalTransition):  # no worker: it has not begun
        await harness.use_cases.pause(message_id, asked_by())
    canceled = await harness.use_cases.cancel(message_id, asked_by(), wait=timedelta(0))
    assert canceled.receipt is None
    assert canceled.message.pending_command == Verb.CANCEL
    async with harness.worker():
        await harness.until(message_id, MessageStatus.CANCELED)
    assert harness.smtp.accepted() == []


async def test_a_pause_overtaken_by_the_last_email_is_done(harness: Harness) -> None:
    await harness.add_contacts(5)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id)
        await harness.until_left(5)
        await harness.handle(message_id).signal("pause")
        await harness.until(message_id, MessageStatus.SENT)

        async def answer() -> Receipt | None:
            return (await harness.use_cases.history(message_id))[-1].receipt

        receipt = await eventually(answer)
        assert receipt is not None
        assert receipt.outcome is ReceiptOutcome.DONE
        assert receipt.status_after == MessageStatus.SENT
        with pytest.raises(IllegalTransition, match="every email has left"):
            await harness.use_cases.pause(message_id, asked_by())
