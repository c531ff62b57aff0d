"""The sweep: what a crash or a hand in the Temporal UI left behind is put right, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from client.sweep import Sweep
from client.temporal import Workflows
from models.commands import Command, HistoryEntry, Receipt, ReceiptOutcome, Verb
from models.errors import Unreachable
from models.message import MessageStatus
from models.recipient import ClaimedRecipient, RecipientStatus
from storage import commands
from storage.ledger import Ledger
from tests.eventually import eventually
from tests.harness import Harness, asked_by

TOMORROW = timedelta(days=1)
RECIPIENTS = 600


class _LosesStarts(Workflows):
    async def start(
        self, message_id: str, generation: int, name: str, status: MessageStatus = MessageStatus.SCHEDULED
    ) -> None:
        raise Unreachable("Temporal does not answer.")


class _LosesSignals(Workflows):
    async def signal(self, message_id: str, generation: int, command: Command) -> bool:
        raise Unreachable("Temporal does not answer.")


class _LosesTerminates(Workflows):
    async def terminate(self, message_id: str, generation: int, reason: str) -> bool:
        raise Unreachable("Temporal does not answer.")


@contextmanager
def losing(harness: Harness, what: type[Workflows]) -> Iterator[None]:
    """Use cases whose starts, signals or terminates do not reach Temporal."""
    workflows, harness.workflows = harness.workflows, what(harness.client)
    try:
        yield
    finally:
        harness.workflows = workflows


def sweep_of(harness: Harness, workflows: Workflows | None = None) -> Sweep:
    """A sweep that takes for lost whatever is not answered at once."""
    return Sweep(harness.pool, workflows or harness.workflows, lost_after=timedelta(0))


async def sweep_until(harness: Harness, message_id: str, status: MessageStatus, sweeps: int = 1) -> None:
    """Sweep, several at once if asked, until the message has the status: Temporal's listing lags behind."""
    every = [sweep_of(harness) for _ in range(sweeps)]

    async def swept() -> bool:
        await asyncio.gather(*(sweep.once() for sweep in every))
        return await harness.status(message_id) is status

    await eventually(swept, within=20, every=0.1)


async def terminate_by_hand(harness: Harness, message_id: str) -> None:
    handle = harness.handle(message_id)
    await handle.terminate("by hand")
    assert await workflow_status(harness, message_id, 1) is WorkflowExecutionStatus.TERMINATED


async def workflow_status(harness: Harness, message_id: str, generation: int) -> WorkflowExecutionStatus | None:
    """None: there is no such workflow."""
    try:
        description = await harness.handle(message_id, generation).describe()
    except RPCError:
        return None
    return description.status


async def last_entry(harness: Harness, message_id: str) -> HistoryEntry:
    return (await harness.use_cases.history(message_id))[-1]


async def until_adopted(harness: Harness, message_id: str) -> None:
    async def adopted() -> bool:
        at = await harness.pool.fetchval("select adopted_at from messages where id = $1", message_id)
        return at is not None

    await eventually(adopted)


async def generation_of(harness: Harness, message_id: str) -> int:
    return (await harness.use_cases.message(message_id)).generation


# -- starts, terminates, signals that were lost


async def test_a_lost_start_is_repeated(harness: Harness) -> None:
    await harness.add_contacts(RECIPIENTS)
    message_id = await harness.draft()
    with losing(harness, _LosesStarts):
        await harness.send(message_id)
    assert await harness.status(message_id) is MessageStatus.SCHEDULED
    assert await workflow_status(harness, message_id, 1) is None
    await asyncio.gather(*(sweep_of(harness).once() for _ in range(3)))
    assert await workflow_status(harness, message_id, 1) is WorkflowExecutionStatus.RUNNING
    async with harness.worker():
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == RECIPIENTS


async def test_an_adopted_message_is_not_started_again(harness: Harness) -> None:
    await harness.add_contacts(1)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id, at=datetime.now(UTC) + TOMORROW)
        await until_adopted(harness, message_id)
        # A start would raise.
        await sweep_of(harness, _LosesStarts(harness.client)).once()


async def test_a_lost_terminate_is_repeated_and_spares_the_next_generation(harness: Harness) -> None:
    await harness.add_contacts(1)
    message_id = await harness.draft()
    tomorrow = datetime.now(UTC) + TOMORROW
    async with harness.worker():
        await harness.send(message_id, at=tomorrow)
        await until_adopted(harness, message_id)  # one that is not ends itself
        with losing(harness, _LosesTerminates):
            result = await harness.use_cases.unschedule(message_id, asked_by())
        assert result.message.status is MessageStatus.DRAFT
        assert await workflow_status(harness, message_id, 1) is WorkflowExecutionStatus.RUNNING
        await harness.send(message_id, at=tomorrow)
        await asyncio.gather(sweep_of(harness).once(), sweep_of(harness).once())
        assert await workflow_status(harness, message_id, 1) is WorkflowExecutionStatus.TERMINATED
        assert await workflow_status(harness, message_id, 2) is WorkflowExecutionStatus.RUNNING
        assert await harness.status(message_id) is MessageStatus.SCHEDULED
        note = await harness.pool.fetchval("select terminate_generation from messages where id = $1", message_id)
        assert note is None


async def test_a_command_whose_signal_was_lost_is_signaled_again(harness: Harness) -> None:
    await harness.add_contacts(RECIPIENTS)
    harness.smtp.set(delay_ms=50)
    message_id = await harness.draft()
    async with harness.worker(lanes=1, smtp_connections=2):
        await harness.send(message_id)
        await harness.until_left(10)
        asked = asked_by("the page is down")
        with losing(harness, _LosesSignals):
            result = await harness.use_cases.pause(message_id, asked, wait=timedelta(0))
        assert result.receipt is None
        assert result.message.pending_command == Verb.PAUSE
        await asyncio.gather(sweep_of(harness).once(), sweep_of(harness).once())
        await harness.until(message_id, MessageStatus.PAUSED)
        history = await harness.use_cases.history(message_id)
        assert [entry.command for entry in history] == [Verb.SEND, Verb.PAUSE]
        assert (history[1].command_id, history[1].reason) == (asked.command_id, "the page is down")
        assert history[1].receipt is not None
        assert history[1].receipt.outcome is ReceiptOutcome.DONE
        effective_at = history[1].receipt.effective_at
        assert effective_at is not None
        assert all(email.at <= effective_at.timestamp() for email in harness.smtp.accepted())


async def signals_to(harness: Harness, message_id: str, generation: int) -> list[str]:
    """What a workflow has been told."""
    events = (await harness.handle(message_id, generation).fetch_history()).events
    told = [e.workflow_execution_signaled_event_attributes.signal_name for e in events]
    return [name for name in told if name]


async def receipt_of(harness: Harness, message_id: str, verb: Verb) -> Receipt | None:
    [entry] = [each for each in await harness.use_cases.history(message_id) if each.command is verb]
    return entry.receipt


async def test_a_cancel_that_was_lost_is_superseded_by_an_unschedule_and_spares_the_next_scheduling(
    harness: Harness,
) -> None:
    """It would be final, and nobody has asked it of what was scheduled anew."""
    await harness.add_contacts(1)
    message_id = await harness.draft()
    tomorrow = datetime.now(UTC) + TOMORROW
    async with harness.worker():
        await harness.send(message_id, at=tomorrow)
        with losing(harness, _LosesSignals):
            await harness.use_cases.cancel(message_id, asked_by(), wait=timedelta(0))
        unscheduled = await harness.use_cases.unschedule(message_id, asked_by())
        receipt = await receipt_of(harness, message_id, Verb.CANCEL)
        assert receipt is not None
        assert (receipt.outcome, receipt.status_after) == (ReceiptOutcome.SUPERSEDED, MessageStatus.DRAFT)
        assert receipt.explanation == "The message was unscheduled before it was obeyed."
        assert unscheduled.message.receipt == unscheduled.receipt
        assert (await harness.send(message_id, at=tomorrow)).generation == 2
        await sweep_of(harness).once()
        assert await signals_to(harness, message_id, 2) == []
        assert await harness.status(message_id) is MessageStatus.SCHEDULED


async def test_a_cancel_that_came_between_an_unschedule_and_the_next_send_spares_that_one(harness: Harness) -> None:
    """A door that died after it had recorded it: when it looked, the message was scheduled still."""
    await harness.add_contacts(1)
    message_id = await harness.draft()
    tomorrow = datetime.now(UTC) + TOMORROW
    await harness.send(message_id, at=tomorrow)
    await harness.use_cases.unschedule(message_id, asked_by())
    late = Command(command_id="late", verb=Verb.CANCEL, actor="a", source="test", requested_at=datetime.now(UTC))
    await commands.ask(harness.pool, message_id, 1, late)
    await harness.send(message_id, at=tomorrow)
    await sweep_of(harness).once()
    assert await signals_to(harness, message_id, 2) == []
    receipt = await receipt_of(harness, message_id, Verb.CANCEL)
    assert receipt is not None
    assert receipt.outcome is ReceiptOutcome.SUPERSEDED


async def test_a_command_that_nobody_can_hear_any_more_is_answered_by_the_sweep(harness: Harness) -> None:
    await harness.add_contacts(1)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id)
        await harness.until(message_id, MessageStatus.SENT)
    for verb in (Verb.CANCEL, Verb.RESUME):
        lost = Command(command_id=verb, verb=verb, actor="a", source="test", requested_at=datetime.now(UTC))
        await commands.ask(harness.pool, message_id, 1, lost)
    await sweep_of(harness).once()
    canceled = await receipt_of(harness, message_id, Verb.CANCEL)
    resumed = await receipt_of(harness, message_id, Verb.RESUME)
    assert canceled is not None
    assert resumed is not None
    assert (canceled.outcome, resumed.outcome) == (ReceiptOutcome.DONE, ReceiptOutcome.REFUSED)
    assert await harness.status(message_id) is MessageStatus.SENT


# -- claims of the dead


async def test_only_a_claim_whose_lease_is_over_is_in_doubt(harness: Harness) -> None:
    await harness.add_contacts(RECIPIENTS)
    harness.smtp.set(delay_ms=50)
    message_id = await harness.draft()
    ledger = Ledger(harness.pool)

    async def claim(lane: str, token: UUID, lease: timedelta) -> list[ClaimedRecipient]:
        as_of = datetime.now(UTC)
        claimed = await ledger.claim(message_id, 1, lane, as_of=as_of, most=20, token=token, lease=lease)
        assert isinstance(claimed, list)
        assert len(claimed) == 20
        return claimed

    async with harness.worker(lanes=1, smtp_connections=2):
        await harness.send(message_id)
        await harness.until_left(1)
        token_of_the_living = uuid4()
        dead = await claim("dead", uuid4(), timedelta(microseconds=1))
        living = await claim("living", token_of_the_living, timedelta(minutes=5))
        await asyncio.gather(sweep_of(harness).lapse_leases(), sweep_of(harness).lapse_leases())
        found = {r.contact_id: r.status async for r in harness.use_cases.recipients(message_id)}
        assert {found[row.contact_id] for row in dead} == {RecipientStatus.IN_DOUBT}
        assert {found[row.contact_id] for row in living} == {RecipientStatus.CLAIMED}
        assert await harness.counts(message_id) == await harness.counted(message_id)

        assert await ledger.give_back(message_id, "living", token_of_the_living, None) == 20
        harness.smtp.set(delay_ms=0)
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    mailed = {email.recipient for email in harness.smtp.accepted()}
    assert not mailed & {row.address for row in dead}, "what is in doubt is never sent again by itself"
    assert (await harness.counts(message_id)).in_doubt == 20


# -- workflows closed by hand


async def test_terminated_while_scheduled_it_is_a_draft_again(harness: Harness) -> None:
    await harness.add_contacts(20)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id, at=datetime.now(UTC) + TOMORROW)
        await terminate_by_hand(harness, message_id)
        await sweep_until(harness, message_id, MessageStatus.DRAFT, sweeps=2)
        entry = await last_entry(harness, message_id)
        assert (entry.command, entry.actor) == (Verb.UNSCHEDULE, "system")
        assert entry.receipt is not None
        assert (entry.receipt.status_before, entry.receipt.status_after) == ("scheduled", "draft")
        assert [e.command for e in await harness.use_cases.history(message_id)] == [Verb.SEND, Verb.UNSCHEDULE]
        assert (await harness.send(message_id)).generation == 2
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)


@pytest.mark.parametrize("sweeps", [1, 2], ids=["one sweep", "two sweeps at once"])
@pytest.mark.parametrize("status", [MessageStatus.SENDING, MessageStatus.PAUSED])
async def test_terminated_after_it_began_it_is_paused_and_can_be_resumed(
    harness: Harness, status: MessageStatus, sweeps: int
) -> None:
    await harness.add_contacts(RECIPIENTS)
    harness.smtp.set(delay_ms=50)
    message_id = await harness.draft()
    async with harness.worker(lanes=1, smtp_connections=4):
        await harness.send(message_id)
        await harness.until_left(10)
        asked = [Verb.SEND, Verb.PAUSE]
        if status is MessageStatus.PAUSED:
            await harness.use_cases.pause(message_id, asked_by())
            asked.append(Verb.PAUSE)
        await terminate_by_hand(harness, message_id)

        every = [sweep_of(harness) for _ in range(sweeps)]

        async def taken_over() -> bool:
            await asyncio.gather(*(sweep.once() for sweep in every))
            return await generation_of(harness, message_id) == 2

        await eventually(taken_over, within=20, every=0.1)
        assert await harness.status(message_id) is MessageStatus.PAUSED
        assert not await harness.pool.fetchval("select gate_open from messages where id = $1", message_id)
        history = await harness.use_cases.history(message_id)
        assert [entry.command for entry in history] == asked
        receipt = history[-1].receipt
        assert receipt is not None
        assert (receipt.actor, receipt.outcome, receipt.status_before) == ("system", ReceiptOutcome.DONE, status)
        assert receipt.effective_at is not None
        left = harness.smtp.accepted()
        assert len(left) < RECIPIENTS
        assert all(email.at <= receipt.effective_at.timestamp() for email in left)
        assert await workflow_status(harness, message_id, 2) is WorkflowExecutionStatus.RUNNING
        # Sweeping on changes nothing more.
        await asyncio.gather(*(sweep.once() for sweep in every))
        assert await generation_of(harness, message_id) == 2

        harness.smtp.set(delay_ms=0)
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    counts = await harness.counts(message_id)
    assert counts.sent + counts.in_doubt == counts.total == RECIPIENTS


async def test_a_take_over_whose_start_was_lost_is_finished_by_the_next_sweep(harness: Harness) -> None:
    await harness.add_contacts(RECIPIENTS)
    harness.smtp.set(delay_ms=50)
    message_id = await harness.draft()
    async with harness.worker(lanes=1, smtp_connections=4):
        await harness.send(message_id)
        await harness.until_left(10)
        await terminate_by_hand(harness, message_id)
        crashing = sweep_of(harness, _LosesStarts(harness.client))

        async def taken_over() -> bool:
            try:
                await crashing.once()
            except Unreachable:
                return await generation_of(harness, message_id) == 2
            return False

        await eventually(taken_over, within=20, every=0.1)
        assert await workflow_status(harness, message_id, 2) is None
        await sweep_of(harness).once()
        assert await workflow_status(harness, message_id, 2) is WorkflowExecutionStatus.RUNNING
        harness.smtp.set(delay_ms=0)
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)


async def test_a_stop_asked_of_a_terminated_workflow_is_obeyed_by_the_next(harness: Harness) -> None:
    await harness.add_contacts(RECIPIENTS)
    harness.smtp.set(delay_ms=50)
    message_id = await harness.draft()
    async with harness.worker(lanes=1, smtp_connections=4):
        await harness.send(message_id)
        await harness.until_left(10)
        await terminate_by_hand(harness, message_id)
        result = await harness.use_cases.cancel(message_id, asked_by(), wait=timedelta(0))
        assert result.receipt is None
        await sweep_until(harness, message_id, MessageStatus.CANCELED)
    await harness.assert_once_each(message_id)
    entry = (await harness.use_cases.history(message_id))[1]
    assert entry.command is Verb.CANCEL
    assert entry.receipt is not None
    assert entry.receipt.status_after == MessageStatus.CANCELED


async def forgotten_by_temporal(
    harness: Harness, message_id: str, generation: int = 5, at: datetime | None = None
) -> None:
    """Give a scheduled message a generation of whose workflow Temporal knows nothing, as after losing its database."""
    await harness.send(message_id, at=at)
    await harness.pool.execute(
        "update messages set generation = $2, adopted_at = now() where id = $1", message_id, generation
    )


async def test_a_scheduled_message_that_temporal_has_forgotten_is_started_again(harness: Harness) -> None:
    await harness.add_contacts(10)
    message_id = await harness.draft()
    await forgotten_by_temporal(harness, message_id, at=datetime.now(UTC) + TOMORROW)
    sweep = sweep_of(harness)
    await sweep.once()  # finds out
    await sweep.once()  # starts what nobody has adopted
    assert await workflow_status(harness, message_id, 5) is WorkflowExecutionStatus.RUNNING
    assert await harness.status(message_id) is MessageStatus.SCHEDULED


async def test_a_begun_message_that_temporal_has_forgotten_is_paused_and_can_be_resumed(harness: Harness) -> None:
    await harness.add_contacts(10)
    message_id = await harness.draft()
    await forgotten_by_temporal(harness, message_id)
    await harness.pool.execute(
        "update messages set status = 'sending', gate_open = true, gate_number = 0 where id = $1", message_id
    )
    await sweep_of(harness).once()
    assert await harness.status(message_id) is MessageStatus.PAUSED
    async with harness.worker():
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == 10


async def test_a_wake_that_was_lost_is_repeated_when_the_hold_is_gone(harness: Harness) -> None:
    await harness.add_contacts(10)
    message_id = await harness.draft()
    sweep = sweep_of(harness)
    await harness.pool.execute("insert into hold (actor, reason) values ('test', 'incident')")
    async with harness.worker():
        await harness.send(message_id)
        await harness.until_asleep(message_id)
        await sweep.once()
        await harness.pool.execute("delete from hold")  # and whoever did it woke nobody
        await sweep.once()
        await harness.until(message_id, MessageStatus.SENT)  # the workflow's own timer is five minutes
    await harness.assert_once_each(message_id)
