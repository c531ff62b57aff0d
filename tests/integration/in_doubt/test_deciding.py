"""Recipients in doubt: listed, and accepted or sent again, once, all that are named or nobody."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from uuid import uuid4

import pytest

from client.batch_messages import BatchMessages
from client.interface import CommandResult
from client.temporal import Workflows
from models.commands import ReceiptOutcome, Verb
from models.errors import InvalidInput, NotFound, Refused, Unreachable
from models.recipient import RecipientStatus, Verdict
from storage import in_doubt
from tests.harness import OPERATOR, Harness, asked_by
from tests.integration.in_doubt.begun import Begun, address, listed, sent_and_in_doubt

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
    first, second = await asyncio.gather(*(use.resend_in_doubt(begun.id, asked, [address(1)]) for _ in range(2)))
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
