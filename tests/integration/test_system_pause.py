"""A send that cannot go on is paused by the system, with the evidence; a resume goes on where it stopped."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models.commands import HistoryEntry, Verb
from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness, asked_by

PATIENCE = timedelta(seconds=2)


async def pause_of(harness: Harness, message_id: str) -> HistoryEntry:
    """Wait until the message is paused, and return the command that did it."""
    await harness.until(message_id, MessageStatus.PAUSED)
    pauses = [entry for entry in await harness.use_cases.history(message_id) if entry.command is Verb.PAUSE]
    assert pauses[-1].actor == "system"
    assert pauses[-1].receipt is not None
    return pauses[-1]


@pytest.mark.parametrize(
    ("broken", "mended", "evidence"),
    [
        ({"listening": False}, {"listening": True}, "Connect call failed"),
        ({"greeting": "554 5.3.2 not today"}, {"greeting": "220 log.test ESMTP"}, "not today"),
        (
            {"refuse": [{"at": "mail", "pattern": "", "reply": "550 5.7.1 <x@y.example> may not send"}]},
            {"refuse": []},
            "(address) may not send",
        ),
    ],
    ids=["nobody listens", "refused at the greeting", "the sender is refused"],
)
async def test_without_a_server_for_a_time(
    harness: Harness, broken: dict[str, object], mended: dict[str, object], evidence: str
) -> None:
    await harness.add_contacts(600)
    message_id = await harness.draft()
    harness.smtp.set(delay_ms=2)
    async with harness.worker(lanes=2, pause_without_server_after=PATIENCE):
        await harness.send(message_id)
        await harness.until_left(50)
        harness.smtp.set(**broken)
        harness.smtp.drop_connections()
        pause = await pause_of(harness, message_id)
        assert evidence in pause.reason
        assert pause.reason.startswith("The mail server has not answered as it should since ")
        counts = await harness.counts(message_id)
        assert counts.bounced == counts.failed == counts.deferred == 0
        assert counts.pending > 0
        harness.smtp.set(delay_ms=0, **mended)
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    recipients = [email.recipient for email in harness.smtp.accepted()]
    assert len(set(recipients)) == len(recipients)  # what was lost with a connection is in doubt, and not sent again
    counts = await harness.counts(message_id)
    assert counts.sent + counts.in_doubt == counts.total == 600


async def test_a_server_that_is_away_for_less_is_waited_for(harness: Harness) -> None:
    await harness.add_contacts(100)
    message_id = await harness.draft()
    harness.smtp.set(listening=False)
    async with harness.worker(lanes=1, pause_without_server_after=timedelta(minutes=5)):
        await harness.send(message_id)

        async def told() -> bool:
            progress = await harness.handle(message_id).query("get_progress")
            return bool(progress["no_server"])

        await eventually(told)
        harness.smtp.set(listening=True)
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)


async def test_when_half_of_the_first_500_bounce(harness: Harness) -> None:
    await harness.add_contacts(5_000)
    message_id = await harness.draft()
    harness.smtp.refuse("", "550 5.7.1 <someone@example.com> is on our list of spammers")
    async with harness.worker():
        await harness.send(message_id)
        pause = await pause_of(harness, message_id)
        counts = await harness.counts(message_id)
        assert 500 <= counts.bounced < 1_500
        assert counts.sent == 0
        assert pause.reason == (
            f"{counts.bounced:,} of {counts.bounced:,} emails bounced or failed; the commonest reply:"
            f" {counts.bounced:,} times 550 5.7.1 (address) is on our list of spammers"
        )
        harness.smtp.set(refuse=[])
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    after = await harness.counts(message_id)
    assert (after.bounced, after.sent) == (counts.bounced, 5_000 - counts.bounced)


async def test_on_a_slow_database_it_may_take_long_to_find_out_why_and_a_dead_worker_is_missed_soon(
    harness: Harness,
) -> None:
    """Given up on too soon, and tried again for ever, it would let neither this pause nor any stop be answered."""
    await harness.add_contacts(1_000)
    message_id = await harness.draft()
    harness.smtp.refuse("", "550 5.7.1 no")
    async with harness.worker():
        await harness.send(message_id)
        await pause_of(harness, message_id)
    events = (await harness.handle(message_id).fetch_history()).events
    (why,) = [
        event.activity_task_scheduled_event_attributes
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "commonest_failure"
    ]
    assert why.start_to_close_timeout.ToTimedelta() >= timedelta(minutes=10)
    assert timedelta(0) < why.heartbeat_timeout.ToTimedelta() <= timedelta(seconds=10)


async def test_when_it_begins_to_go_wrong_in_the_middle(harness: Harness) -> None:
    await harness.add_contacts(12_000)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id)
        await harness.until_left(3_000)
        harness.smtp.refuse("", "550 5.7.1 no")
        await pause_of(harness, message_id)
        counts = await harness.counts(message_id)
    assert counts.sent >= 3_000
    assert 500 <= counts.bounced < 6_000
    assert counts.pending > 0


async def test_a_template_that_fails_for_everybody(harness: Harness) -> None:
    await harness.add_contacts(3_000)
    message_id = await harness.draft(text="{{ 1 // (contact.first_name | length - contact.first_name | length) }}")
    async with harness.worker():
        await harness.send(message_id)
        pause = await pause_of(harness, message_id)
    counts = await harness.counts(message_id)
    assert 500 <= counts.failed < 1_500
    assert harness.smtp.accepted() == []
    assert "emails bounced or failed" in pause.reason


async def test_some_that_bounce_do_not_stop_the_others(harness: Harness) -> None:
    await harness.add_contacts(1_500)
    message_id = await harness.draft()
    harness.smtp.refuse("[0-3]@", "550 5.1.1 no such user")
    async with harness.worker():
        await harness.send(message_id)
        await harness.until(message_id, MessageStatus.SENT)
    counts = await harness.counts(message_id)
    assert (counts.bounced, counts.sent) == (600, 900)


async def test_with_a_text_that_cannot_be_rendered_any_more(harness: Harness) -> None:
    """As after an upgrade that reads templates in another way."""
    await harness.add_contacts(10)
    message_id = await harness.draft()
    await harness.send(message_id)
    await harness.pool.execute("update messages set subject = 'Hi {{ contact.name' where id = $1", message_id)
    async with harness.worker(lanes=2):
        pause = await pause_of(harness, message_id)
        assert pause.reason.startswith("Its text cannot be rendered: subject, line 1")
        assert pause.reason.endswith(". Cancel it, copy it as a draft, and mend that.")
        canceled = await harness.use_cases.cancel(message_id, asked_by())
    assert canceled.message.counts.canceled == canceled.message.counts.total == 10
    assert not harness.smtp.accepted()
