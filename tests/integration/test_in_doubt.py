"""Recipients in doubt on real PostgreSQL, Temporal and SMTP: accepted or sent again, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from client.batch_messages import BatchMessages
from client.interface import CommandResult, RecipientInDoubt
from client.sweep import Sweep
from client.temporal import Workflows
from models.audience import Audience
from models.commands import Command, ReceiptOutcome, Verb
from models.errors import IllegalTransition, InvalidInput, NotFound, Refused, Unreachable
from models.message import MessageStatus
from models.recipient import ClaimedRecipient, Outcome, Recipient, RecipientStatus, Verdict
from models.schedule import Throttle
from storage import in_doubt
from storage.ledger import Ledger
from storage.sending import Sending
from tests.eventually import eventually
from tests.harness import OPERATOR, Harness, asked_by

LEASE = timedelta(minutes=5)
WITHIN_SECONDS = 20


def address(number: int) -> str:
    return f"c{number}@example.com"


def command(verb: Verb) -> Command:
    return Command(command_id=str(uuid4()), verb=verb, actor="test", source="test", requested_at=datetime.now(UTC))


async def rows_of(harness: Harness, message_id: str) -> dict[str, Recipient]:
    """The ledger by address; the counts are compared with it on the way."""
    counts = await harness.counts(message_id)
    assert counts == await harness.counted(message_id)
    assert counts.parts == counts.total
    return {row.address: row async for row in harness.use_cases.recipients(message_id)}


async def listed(harness: Harness, message_id: str) -> list[RecipientInDoubt]:
    return [row async for row in harness.use_cases.in_doubt(message_id)]


async def sent_and_in_doubt(harness: Harness, number: int, message_id: str | None = None) -> str:
    """A message that is sent, and of whose emails the server took each without a word. Needs a worker."""
    message_id = message_id or await harness.draft()
    harness.smtp.set(drop="dot")
    await harness.send(message_id)
    await harness.until(message_id, MessageStatus.SENT)
    harness.smtp.set(drop="")
    assert (await harness.counts(message_id)).in_doubt == number
    return message_id


async def asleep_with_two_in_doubt(harness: Harness) -> str:
    """A message that is sending, and sleeps until its third recipient is tried again. Needs a worker."""
    await harness.add_contacts(3)
    harness.smtp.set(drop="dot", refuse=[{"at": "rcpt", "pattern": "^c3@", "reply": "450 4.2.0 later"}])
    message_id = await harness.draft()
    await harness.send(message_id)

    async def two_in_doubt() -> bool:
        counts = await harness.counts(message_id)
        return (counts.in_doubt, counts.deferred) == (2, 1)

    await eventually(two_in_doubt, WITHIN_SECONDS)
    await harness.until_asleep(message_id)
    harness.smtp.set(drop="")
    return message_id


@dataclass
class Begun:
    """A message that is sending, without a worker: what moves is moved by the test."""

    harness: Harness
    id: str
    ledger: Ledger
    sending: Sending

    async def claim(self, most: int, token: UUID, lease: timedelta = LEASE) -> list[ClaimedRecipient]:
        as_of = datetime.now(UTC) + timedelta(seconds=1)
        claimed = await self.ledger.claim(self.id, 1, "1.0", as_of=as_of, most=most, token=token, lease=lease)
        assert isinstance(claimed, list)
        assert len(claimed) == most
        return claimed

    async def settle(self, token: UUID, verdict: Verdict, *recipients: ClaimedRecipient) -> int:
        outcome = Outcome(verdict, datetime.now(UTC), reply="what was heard")
        return await self.ledger.settle(self.id, "1.0", token, [(r.contact_id, outcome, None) for r in recipients])

    async def put_in_doubt(self, number: int) -> tuple[UUID, list[ClaimedRecipient]]:
        token = uuid4()
        claimed = await self.claim(number, token)
        assert await self.settle(token, Verdict.IN_DOUBT, *claimed) == number
        return token, claimed

    async def accept(self, *whom: str | int) -> CommandResult:
        return await self.harness.use_cases.accept_in_doubt(self.id, asked_by(), whom or None)

    async def resend(self, *whom: str | int) -> CommandResult:
        return await self.harness.use_cases.resend_in_doubt(self.id, asked_by(), whom or None)

    async def rows(self) -> dict[str, Recipient]:
        return await rows_of(self.harness, self.id)

    async def statuses(self) -> list[str]:
        """In the order of the contacts."""
        return [row.status.value for row in (await self.rows()).values()]

    async def somebody_waits(self) -> bool:
        """Whether somebody waits for a lock in this database."""
        waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return bool(await self.harness.pool.fetchval(waits))


@pytest.fixture
async def begun(harness: Harness) -> Begun:
    """Three recipients."""
    await harness.add_contacts(3)
    message_id = await harness.draft()
    await harness.send(message_id)
    sending = Sending(harness.pool, max_late=timedelta(hours=12))
    await sending.adopt(message_id, 1)
    await sending.begin(message_id, 1, as_of=datetime.now(UTC), late=command(Verb.PAUSE))
    return Begun(harness, message_id, Ledger(harness.pool), sending)


# -- listing


async def test_the_list_names_who_is_in_doubt_and_by_what_the_next_hop_knows_each(harness: Harness) -> None:
    await harness.add_contacts(3)
    async with harness.worker():
        message_id = await sent_and_in_doubt(harness, 3)
    found = await listed(harness, message_id)
    assert [row.address for row in found] == [address(n) for n in (1, 2, 3)]
    assert {row.status for row in found} == {RecipientStatus.IN_DOUBT}
    assert all(row.handed_over_at and row.reply and row.attempts == 1 for row in found)
    log = {email.recipient: email.message_id for email in harness.smtp.accepted()}
    assert {row.address: row.email_message_id for row in found} == log


async def test_the_list_is_streamed_in_pages_and_gives_its_connection_back(begun: Begun) -> None:
    await begun.put_in_doubt(2)
    assert [row.address for row in await listed(begun.harness, begun.id)] == [address(1), address(2)]
    idle = begun.harness.pool.get_idle_size()
    async with aclosing(begun.harness.use_cases.in_doubt(begun.id)) as rows:
        await anext(rows)
    assert begun.harness.pool.get_idle_size() == idle
    with pytest.raises(NotFound):
        await listed(begun.harness, "nosuchid2345")


async def test_pages_of_the_list_leave_nobody_out(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    await begun.put_in_doubt(3)
    monkeypatch.setattr(in_doubt, "_PAGE", 1)
    assert [row.address for row in await listed(begun.harness, begun.id)] == [address(n) for n in (1, 2, 3)]


# -- who is meant


async def test_accepting_takes_them_as_sent_and_says_who_decided(begun: Begun) -> None:
    await begun.put_in_doubt(2)
    result = await begun.accept()
    assert result.receipt is not None
    assert result.receipt.outcome is ReceiptOutcome.DONE
    assert result.receipt.explanation == "2 recipients in doubt accepted as sent."
    assert result.receipt.counts is not None
    assert (result.receipt.counts["sent"], result.receipt.counts["in_doubt"]) == (2, 0)
    assert (result.receipt.status_before, result.receipt.status_after) == ("sending", "sending")
    first = (await begun.rows())[address(1)]
    assert first.status is RecipientStatus.SENT
    assert first.reason == f"accepted as sent by {OPERATOR}"
    assert (first.handed_over_at is not None, first.reply) == (True, "what was heard")
    entry = (await begun.harness.use_cases.history(begun.id))[-1]
    assert (entry.command, entry.actor, entry.generation) == (Verb.ACCEPT, OPERATOR, 1)
    assert entry.details == {"recipients": 2, "contact_ids": [first.contact_id, first.contact_id + 1]}


async def test_who_is_sent_again_is_as_if_never_handed_over_but_for_the_tries(begun: Begun) -> None:
    await begun.put_in_doubt(1)
    before = (await begun.rows())[address(1)]
    result = await begun.resend(address(1))
    assert result.receipt is not None
    assert result.receipt.explanation == "1 recipient in doubt to be sent again."
    row = (await begun.rows())[address(1)]
    assert (row.status, row.attempts) == (RecipientStatus.PENDING, 1)
    assert (row.due_at, row.next_try_at) == (before.due_at, None)
    assert (row.handed_over_at, row.settled_at, row.smtp_code, row.reply) == (None, None, None, None)
    assert row.reason == f"resend asked by {OPERATOR}"
    held_by = "select claim_token, first_try_at from recipients where message_id = $1 and contact_id = $2"
    held = await begun.harness.pool.fetchrow(held_by, begun.id, row.contact_id)
    assert held is not None
    assert set(held) == {None}
    again = await begun.claim(1, uuid4())
    assert (again[0].address, again[0].attempts) == (address(1), 2)  # the first in the queue
    assert (await begun.rows())[address(1)].reason is None


async def test_addresses_are_read_as_everywhere_and_contacts_may_be_named_by_id(begun: Begun) -> None:
    _, (first, second, third) = await begun.put_in_doubt(3)
    await begun.accept(" C1@EXAMPLE.com ", "c1@example.com", first.contact_id)
    assert await begun.statuses() == ["sent", "in_doubt", "in_doubt"]
    await begun.accept(second.contact_id, third.address)
    assert await begun.statuses() == ["sent", "sent", "sent"]


@pytest.mark.parametrize("verb", [Verb.ACCEPT, Verb.RESEND])
@pytest.mark.parametrize(
    ("whom", "error", "said"),
    [
        ([address(1), "nobody@example.com"], NotFound, "nobody@example.com is no recipient"),
        ([address(1), "x@example.com", "y@example.com"], NotFound, "x@example.com and 1 more are no recipient"),
        ([address(1), 2**80], NotFound, f"contact {2**80} is no recipient"),
        ([address(1), address(2)], Refused, f"{address(2)} (sent) is not in doubt"),
        ([address(3), address(2)], Refused, f"{address(2)} (sent) and 1 more are not in doubt"),
        ([address(1), "nobody"], InvalidInput, "'nobody' is not an email address"),
        ([], InvalidInput, "Nobody is named"),
    ],
)
async def test_all_that_are_named_or_nobody(
    begun: Begun, verb: Verb, whom: list[str | int], error: type[Exception], said: str
) -> None:
    token, (_, second) = await begun.put_in_doubt(2)
    await begun.settle(token, Verdict.SENT, second)
    before = await begun.rows()
    decide = begun.harness.use_cases.accept_in_doubt
    if verb is Verb.RESEND:
        decide = begun.harness.use_cases.resend_in_doubt
    with pytest.raises(error) as refused:
        await decide(begun.id, asked_by(), whom)
    assert type(refused.value) is error
    assert said in str(refused.value)
    assert await begun.rows() == before
    # What was refused in the present state is in the history; what could never be right is not.
    entries = await begun.harness.use_cases.history(begun.id)
    refusals = [entry.receipt.outcome for entry in entries if entry.receipt and entry.command is verb]
    assert refusals == ([ReceiptOutcome.REFUSED] if error is Refused else [])


async def test_when_nobody_is_in_doubt_there_is_nothing_to_decide(begun: Begun) -> None:
    for decide in (begun.accept, begun.resend):
        with pytest.raises(Refused, match="Nobody is in doubt"):
            await decide()
    assert await begun.statuses() == ["pending"] * 3


# -- asked twice


async def test_the_same_command_again_gives_the_same_receipt_and_acts_once(begun: Begun) -> None:
    await begun.put_in_doubt(2)
    asked, use = asked_by(), begun.harness.use_cases
    first, second = await asyncio.gather(
        *(use.resend_in_doubt(begun.id, asked, [address(1)]) for _ in range(2)),
    )
    assert first.receipt is not None
    assert first.receipt == second.receipt
    (claimed,) = await begun.claim(1, uuid4())
    assert claimed.address == address(1)
    assert (await use.resend_in_doubt(begun.id, asked, [address(1)])).receipt == first.receipt
    assert await begun.statuses() == ["claimed", "in_doubt", "pending"]
    with pytest.raises(InvalidInput, match="Another command has the id"):
        await use.accept_in_doubt(begun.id, asked)
    assert [entry.command for entry in await use.history(begun.id)] == [Verb.SEND, Verb.RESEND]


async def test_of_two_decisions_at_once_one_is_made(begun: Begun) -> None:
    await begun.put_in_doubt(1)
    outcomes = await asyncio.gather(
        *(decide(address(1)) for decide in (begun.resend, begun.resend, begun.accept)), return_exceptions=True
    )
    assert sum(isinstance(outcome, CommandResult) for outcome in outcomes) == 1
    refusals = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(type(refusal) is Refused and "not in doubt" in str(refusal) for refusal in refusals)
    assert len(await begun.harness.use_cases.history(begun.id)) == 4


# -- crossing the lane that lost sight of it


async def test_a_late_settle_cannot_touch_what_was_decided(begun: Begun) -> None:
    token, (first, second, third) = await begun.put_in_doubt(3)
    await begun.resend(first.address)
    await begun.accept(second.address)
    assert await begun.settle(token, Verdict.BOUNCED, first, second, third) == 1
    assert await begun.ledger.give_back(begun.id, "1.0", token, None) == 0
    assert await begun.statuses() == ["pending", "sent", "bounced"]
    # Nor once another lane holds it.
    await begun.claim(1, uuid4())
    assert await begun.settle(token, Verdict.SENT, first) == 0
    assert await begun.ledger.renew(begun.id, [token], LEASE) == 0
    assert (await begun.statuses())[0] == "claimed"


async def test_who_has_been_settled_after_all_cannot_be_decided_about(begun: Begun) -> None:
    token, (first, second) = await begun.put_in_doubt(2)
    await begun.settle(token, Verdict.SENT, first)
    with pytest.raises(Refused, match=r"c1@example\.com \(sent\) is not in doubt"):
        await begun.resend(first.address, second.address)
    assert await begun.statuses() == ["sent", "in_doubt", "pending"]
    await begun.resend()
    assert await begun.statuses() == ["sent", "pending", "pending"]


async def test_a_settle_under_way_is_never_waited_for(begun: Begun) -> None:
    """Two who wait for each other's rows would wait for ever; and the lane knows better."""
    _, (first, second) = await begun.put_in_doubt(2)
    async with begun.harness.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "update recipients set status = 'sent' where message_id = $1 and contact_id = $2",
            begun.id,
            first.contact_id,
        )
        async with asyncio.timeout(WITHIN_SECONDS):
            with pytest.raises(Refused, match=r"became of c1@example\.com is being written"):
                await begun.resend(first.address, second.address)
            assert await begun.statuses() == ["in_doubt", "in_doubt", "pending"]
            await begun.resend()
        assert await begun.statuses() == ["in_doubt", "pending", "pending"]
        await transaction.commit()
    assert await begun.statuses() == ["sent", "pending", "pending"]


# -- crossing the end, a stop


async def in_the_middle_of(begun: Begun, verb: Verb, whom: str, crossing: Callable[[], Awaitable[Any]]) -> Any:
    """Begin `crossing` while a decision has been made and is not committed; return what it returned."""
    named = in_doubt.Named({whom: whom})
    async with begun.harness.pool.acquire() as connection, connection.transaction():
        await in_doubt.decide(connection, begun.id, command(verb), named)
        crossed = asyncio.ensure_future(crossing())
        await eventually(begun.somebody_waits, WITHIN_SECONDS)
    return await crossed


async def test_the_end_of_the_send_sees_the_last_one_returned_to_it(begun: Begun) -> None:
    """Else somebody would be pending in a message that is sent, for ever."""
    _, (first, *_) = await begun.put_in_doubt(3)
    ended = await in_the_middle_of(begun, Verb.RESEND, first.address, lambda: begun.sending.finish(begun.id, 1))
    assert ended is MessageStatus.SENDING
    assert await begun.statuses() == ["pending", "in_doubt", "in_doubt"]
    token = uuid4()
    await begun.settle(token, Verdict.SENT, *await begun.claim(1, token))
    assert await begun.sending.finish(begun.id, 1) is MessageStatus.SENT


async def test_a_send_that_has_just_ended_is_reopened(begun: Begun) -> None:
    await begun.put_in_doubt(3)
    async with begun.harness.pool.acquire() as connection, connection.transaction():
        await connection.execute("select finish($1, 1)", begun.id)
        resent = asyncio.ensure_future(begun.resend(address(2)))
        await eventually(begun.somebody_waits, WITHIN_SECONDS)
    result = await resent
    assert (result.message.status, result.message.generation) == (MessageStatus.SENDING, 2)
    assert await begun.statuses() == ["in_doubt", "pending", "in_doubt"]


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [(Verb.PAUSE, MessageStatus.PAUSED, "pending"), (Verb.CANCEL, MessageStatus.CANCELED, "canceled")],
)
async def test_a_stop_counts_who_was_returned_before_it_is_confirmed(
    begun: Begun, verb: Verb, before: MessageStatus, after: str
) -> None:
    _, (first, *_) = await begun.put_in_doubt(3)
    stop = command(verb)
    await begun.sending.close_gate(begun.id, 1, stop, 1)
    stopped = await in_the_middle_of(
        begun, Verb.RESEND, first.address, lambda: begun.sending.confirm_stop(begun.id, 1, stop, 1)
    )
    assert stopped is before  # and not sent, for the sake of a pause
    assert await begun.statuses() == [after, "in_doubt", "in_doubt"]


async def test_a_stop_that_lapses_leases_and_a_decision_do_not_wait_for_each_other(begun: Begun) -> None:
    """`confirm_stop` holds the counters of the bookkeeping when it asks for the message's row."""
    await begun.put_in_doubt(1)
    await begun.claim(1, uuid4(), lease=timedelta(microseconds=1))
    async with begun.harness.pool.acquire() as connection, connection.transaction():
        assert await connection.fetchval("select lapse_leases($1)", begun.id) == 1
        async with asyncio.timeout(WITHIN_SECONDS):
            await begun.resend()
    assert await begun.statuses() == ["pending", "in_doubt", "pending"]


async def test_what_is_canceled_is_accepted_and_never_sent_again(begun: Begun) -> None:
    await begun.put_in_doubt(2)
    stop = command(Verb.CANCEL)
    await begun.sending.close_gate(begun.id, 1, stop, 1)
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is MessageStatus.CANCELED
    with pytest.raises(IllegalTransition, match="cancel is final") as refused:
        await begun.resend(address(1))
    assert refused.value.details["allowed"] == [Verb.COPY, Verb.ACCEPT]
    assert (await begun.accept()).message.status is MessageStatus.CANCELED
    assert await begun.statuses() == ["sent", "sent", "canceled"]


@pytest.mark.parametrize("verb", [Verb.ACCEPT, Verb.RESEND])
async def test_a_status_that_changes_meanwhile_is_judged_again(begun: Begun, verb: Verb) -> None:
    """Unscheduled, deleted, canceled: what the message allows is judged under the lock."""
    await begun.put_in_doubt(1)
    async with begun.harness.pool.acquire() as connection, connection.transaction():
        await connection.execute("update messages set status = 'scheduled' where id = $1", begun.id)
        decided = asyncio.ensure_future(begun.accept() if verb is Verb.ACCEPT else begun.resend())
        await eventually(begun.somebody_waits, WITHIN_SECONDS)
    with pytest.raises(IllegalTransition, match="nobody is in doubt"):
        await decided
    assert (await begun.statuses())[0] == "in_doubt"
    refusal = (await begun.harness.use_cases.history(begun.id))[-1].receipt
    assert refusal is not None
    assert (refusal.outcome, refusal.status_before) == (ReceiptOutcome.REFUSED, MessageStatus.SCHEDULED)


# -- servers that are away


async def test_accepting_needs_no_temporal_and_resending_changes_nothing_without_it(begun: Begun) -> None:
    async def away() -> Workflows:
        raise Unreachable("Temporal does not answer.")

    await begun.put_in_doubt(2)
    use = BatchMessages(begun.harness.pool, away, begun.harness._transport)
    before = await begun.rows()
    with pytest.raises(Unreachable):
        await use.resend_in_doubt(begun.id, asked_by())
    assert await begun.rows() == before
    await use.accept_in_doubt(begun.id, asked_by(), [address(1)])
    assert await begun.statuses() == ["sent", "in_doubt", "pending"]
    assert [entry.command for entry in await use.history(begun.id)] == [Verb.SEND, Verb.ACCEPT]


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


async def assert_recognised_downstream(harness: Harness, *, copies: int) -> None:
    """Every recipient got so many copies, all with the one Message-ID."""
    found: dict[str, list[str]] = {}
    for email in harness.smtp.accepted():
        found.setdefault(email.recipient, []).append(email.message_id)
    assert all(len(ids) == copies and len(set(ids)) == 1 for ids in found.values()), found
    assert len({ids[0] for ids in found.values()}) == len(found)


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
        await harness.until(message_id, MessageStatus.SENT, within=5)
    assert (await harness.counts(message_id)).sent == 2
    await assert_recognised_downstream(harness, copies=2)


async def test_a_send_that_sleeps_until_later_mails_them_at_once(harness: Harness) -> None:
    async with harness.worker():
        message_id = await asleep_with_two_in_doubt(harness)
        await harness.use_cases.resend_in_doubt(message_id, asked_by())
        await harness.until_left(4, within=5)
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
        await harness.until_left(4, within=5)
    await assert_recognised_downstream(harness, copies=2)


async def test_a_decision_about_rows_leaves_a_pause_fulfilled(begun: Begun) -> None:
    await begun.put_in_doubt(1)
    stop = command(Verb.PAUSE)
    await begun.sending.close_gate(begun.id, 1, stop, 1)
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is MessageStatus.PAUSED
    await begun.accept()
    survey = await begun.sending.survey(begun.id, 1, as_of=datetime.now(UTC), most=1)
    assert survey.last_effective is Verb.PAUSE
