"""Decisions about recipients in doubt that cross a lane, the end of the send, or a stop: the ledger stays right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from models.commands import ReceiptOutcome, Verb
from models.errors import IllegalTransition, Refused
from models.message import MessageStatus
from models.recipient import Verdict
from storage import in_doubt
from tests.eventually import eventually
from tests.integration.in_doubt.begun import LEASE, WITHIN_SECONDS, Begun, address, command

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


async def test_a_decision_about_rows_leaves_a_pause_fulfilled(begun: Begun) -> None:
    await begun.put_in_doubt(1)
    stop = command(Verb.PAUSE)
    await begun.sending.close_gate(begun.id, 1, stop, 1)
    assert await begun.sending.confirm_stop(begun.id, 1, stop, 1) is MessageStatus.PAUSED
    await begun.accept()
    survey = await begun.sending.survey(begun.id, 1, as_of=datetime.now(UTC), most=1)
    assert survey.last_effective is Verb.PAUSE
