"""Recipients in doubt who are sent again on real Temporal and SMTP, whatever happens to the message meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from client.sweep import Sweep
from client.temporal import Workflows
from models.audience import Audience
from models.commands import Command, ReceiptOutcome, Verb
from models.errors import Refused, Unreachable
from models.message import MessageStatus
from models.recipient import RecipientStatus
from models.schedule import Throttle
from storage import commands
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.integration.in_doubt.begun import (
    WITHIN_SECONDS,
    address,
    asleep_with_two_in_doubt,
    assert_recognised_downstream,
    rows_of,
    sent_and_in_doubt,
)

# -- sent again


async def test_a_sent_message_goes_on_under_its_next_generation_and_ends_again(harness: Harness) -> None:
    await harness.add_contacts(4)
    async with harness.worker():
        message_id = await sent_and_in_doubt(harness, 4)
        finished_at = await harness.pool.fetchval("select finished_at from messages where id = $1", message_id)
        result = await harness.use_cases.resend_in_doubt(message_id, asked_by("not in its log"), [address(2)])
        assert result.message.generation == 2
        assert result.receipt is not None
        assert (result.receipt.status_before, result.receipt.status_after) == ("sent", "sending")
        assert result.receipt.counts is not None
        assert (result.receipt.counts["pending"], result.receipt.counts["in_doubt"]) == (1, 3)
        await harness.until(message_id, MessageStatus.SENT)
        rows = await rows_of(harness, message_id)
        assert [row.status for row in rows.values()] == ["in_doubt", "sent", "in_doubt", "in_doubt"]
        assert (rows[address(2)].attempts, rows[address(2)].reason) == (2, None)
        assert await harness.pool.fetchval("select finished_at from messages where id = $1", message_id) > finished_at

        # Again, as often as it takes.
        third = await harness.use_cases.resend_in_doubt(message_id, asked_by())
        assert third.message.generation == 3
        await harness.until(message_id, MessageStatus.SENT)
        assert {row.status for row in (await rows_of(harness, message_id)).values()} == {RecipientStatus.SENT}
        for generation in (2, 3):
            assert (await harness.handle(message_id, generation).result())["status"] == MessageStatus.SENT
    history = [(entry.command, entry.generation) for entry in await harness.use_cases.history(message_id)]
    assert history == [(Verb.SEND, 1), (Verb.RESEND, 2), (Verb.RESEND, 3)]
    await assert_recognised_downstream(harness, copies=2)
    for generation in (1, 2, 3):
        told = str(await harness.handle(message_id, generation).fetch_history())
        assert not [n for n in range(1, 5) if address(n) in told], "an address is in Temporal's history"


async def test_a_paused_message_mails_them_at_its_resume(harness: Harness) -> None:
    async with harness.worker():
        message_id = await asleep_with_two_in_doubt(harness)
        await harness.use_cases.pause(message_id, asked_by())
        harness.smtp.set(refuse=[])
        await harness.use_cases.accept_in_doubt(message_id, asked_by(), [address(1)])
        result = await harness.use_cases.resend_in_doubt(message_id, asked_by(), [address(2)])
        assert (result.message.status, result.message.generation) == (MessageStatus.PAUSED, 1)
        assert (await harness.use_cases.resume_preview(message_id)).to_send == 2
        assert len(harness.smtp.accepted()) == 2
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until_left(3)
        await harness.use_cases.cancel(message_id, asked_by())
    statuses = [row.status.value for row in (await rows_of(harness, message_id)).values()]
    assert statuses == ["sent", "sent", "canceled"]
    assert [email.recipient for email in harness.smtp.accepted()].count(address(2)) == 2


async def test_under_the_hold_a_reopened_message_waits_and_obeys(harness: Harness) -> None:
    """Its gate is numbered as that of any send that has begun: a pause closes it, a resume opens it."""
    await harness.add_contacts(2)
    async with harness.worker():
        message_id = await sent_and_in_doubt(harness, 2)
        # As after many a pause and resume in the generation that is over.
        await harness.pool.execute("update messages set gate_number = 7 where id = $1", message_id)
        await harness.pool.execute("insert into hold (actor, reason) values ('test', 'incident')")
        await harness.use_cases.resend_in_doubt(message_id, asked_by())

        async def asleep() -> bool:
            events = (await harness.handle(message_id, 2).fetch_history()).events
            return any(event.HasField("timer_started_event_attributes") for event in events)

        await eventually(asleep, WITHIN_SECONDS)
        assert (await harness.use_cases.pause(message_id, asked_by())).message.status is MessageStatus.PAUSED
        await harness.pool.execute("delete from hold")
        assert len(harness.smtp.accepted()) == 2
        assert (await harness.use_cases.resume(message_id, asked_by())).receipt is not None
        await harness.until(message_id, MessageStatus.SENT)
    assert (await harness.counts(message_id)).sent == 2
    await assert_recognised_downstream(harness, copies=2)


async def test_who_may_not_be_mailed_any_more_is_not_but_the_audience_is_not_read(harness: Harness) -> None:
    await harness.add_contacts(3)
    async with harness.worker():
        message_id = await sent_and_in_doubt(harness, 3)
        await harness.use_cases.suppress([address(1)], reason="unsubscribed")
        await harness.pool.execute("delete from contacts where address = $1", address(2))
        await harness.pool.execute("delete from list_members")
        await harness.use_cases.resend_in_doubt(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    rows = await rows_of(harness, message_id)
    found = [(row.status.value, row.reason) for row in rows.values()]
    assert found == [("suppressed", "unsubscribed"), ("withdrawn", "contact deleted"), ("sent", None)]
    assert [email.recipient for email in harness.smtp.accepted()[3:]] == [address(3)]


async def test_of_a_throttled_send_they_keep_their_batch_and_take_no_place(harness: Harness) -> None:
    """Also behind the end date: their batch was opened before it."""
    await harness.add_contacts(4)
    message_id = await harness.draft()
    harness.smtp.set(drop="dot")
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    async with harness.worker():
        await harness.send(message_id, throttle=Throttle(batch_size=2, every=timedelta(minutes=40), ends_at=ends_at))

        async def first_batch_in_doubt() -> bool:
            return (await harness.counts(message_id)).in_doubt == 2

        await eventually(first_batch_in_doubt, WITHIN_SECONDS)
        await harness.use_cases.pause(message_id, asked_by())
        harness.smtp.set(drop="")
        await harness.pool.execute("update messages set ends_at = now() where id = $1", message_id)
        await harness.use_cases.resend_in_doubt(message_id, asked_by())
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    assert {row.status for row in (await rows_of(harness, message_id)).values()} == {
        RecipientStatus.SENT,
        RecipientStatus.EXPIRED,
    }
    batches = await harness.pool.fetch(
        "select batch, status, count(*) from recipients where message_id = $1 group by 1, 2 order by 1", message_id
    )
    assert [tuple(row) for row in batches] == [(-1, "expired", 2), (0, "sent", 2)]
    assert await harness.pool.fetchval("select count(*) from batches where message_id = $1", message_id) == 1


async def test_a_message_whose_recipients_another_excludes_is_not_reopened_while_that_one_could_mail_them(
    harness: Harness,
) -> None:
    """They would get both: whoever is pending here again is in the other's audience at its next reading."""
    await harness.add_contacts(2)
    async with harness.worker():
        message_id = await sent_and_in_doubt(harness, 2)
        await harness.add_contacts(1, prefix="new")
        other = await harness.draft(
            name="The rest", audience=Audience(lists=("everybody",), exclude_recipients_of=(message_id,))
        )
        await harness.send(other, at=datetime.now(UTC) + timedelta(days=1))
        with pytest.raises(Refused, match=rf"The rest \({other}\) excludes .* is scheduled"):
            await harness.use_cases.resend_in_doubt(message_id, asked_by())
        assert await harness.status(message_id) is MessageStatus.SENT
        assert (await harness.counts(message_id)).in_doubt == 2
        await harness.use_cases.accept_in_doubt(message_id, asked_by(), [address(1)])
        await harness.use_cases.unschedule(other, asked_by())
        await harness.use_cases.resend_in_doubt(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)


async def test_a_cancel_that_was_lost_as_the_last_email_left_spares_the_reopened_message(harness: Harness) -> None:
    """It would be final, and nobody has asked it of those who are sent again."""
    await harness.add_contacts(2)
    async with harness.worker():
        message_id = await sent_and_in_doubt(harness, 2)
        lost = Command(command_id="lost", verb=Verb.CANCEL, actor="a", source="test", requested_at=datetime.now(UTC))
        await commands.ask(harness.pool, message_id, 1, lost)
        resent = await harness.use_cases.resend_in_doubt(message_id, asked_by())
        assert resent.message.receipt == resent.receipt
        receipt = await commands.receipt(harness.pool, message_id, lost)
        assert receipt is not None
        assert (receipt.outcome, receipt.status_after) == (ReceiptOutcome.DONE, MessageStatus.SENT)
        await Sweep(harness.pool, harness.workflows, lost_after=timedelta(0)).once()
        await harness.until(message_id, MessageStatus.SENT)
    assert (await harness.counts(message_id)).sent == 2


# -- what a crash leaves


class _LosesStarts(Workflows):
    async def start(
        self, message_id: str, generation: int, name: str, status: MessageStatus = MessageStatus.SCHEDULED
    ) -> None:
        raise Unreachable("Temporal does not answer.")


async def test_a_reopened_message_whose_start_was_lost_is_started_by_the_sweep(harness: Harness) -> None:
    await harness.add_contacts(2)
    async with harness.worker():
        message_id = await sent_and_in_doubt(harness, 2)
        workflows, harness.workflows = harness.workflows, _LosesStarts(harness.client)
        await harness.use_cases.resend_in_doubt(message_id, asked_by())
        harness.workflows = workflows
        sweep = Sweep(harness.pool, workflows, lost_after=timedelta(0))
        await asyncio.gather(sweep.once(), sweep.once())
        await harness.until(message_id, MessageStatus.SENT)
    assert (await harness.counts(message_id)).sent == 2
    await assert_recognised_downstream(harness, copies=2)


async def test_a_send_that_sleeps_until_later_mails_them_at_once(harness: Harness) -> None:
    async with harness.worker():
        message_id = await asleep_with_two_in_doubt(harness)
        await harness.use_cases.resend_in_doubt(message_id, asked_by())
        await harness.until_left(4)
        assert (await harness.counts(message_id)).deferred == 1
    await assert_recognised_downstream(harness, copies=2)


class _LosesWakes(Workflows):
    async def wake(self, message_id: str, generation: int) -> None:
        raise Unreachable("Temporal does not answer.")


async def test_a_wake_that_was_lost_is_repeated_by_the_sweep(harness: Harness) -> None:
    async with harness.worker():
        message_id = await asleep_with_two_in_doubt(harness)
        workflows, harness.workflows = harness.workflows, _LosesWakes(harness.client)
        await harness.use_cases.resend_in_doubt(message_id, asked_by())
        harness.workflows = workflows
        await Sweep(harness.pool, workflows, lost_after=timedelta(0)).once()
        await harness.until_left(4)
    await assert_recognised_downstream(harness, copies=2)
