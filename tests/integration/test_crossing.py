"""Commands that cross each other, the beginning of a send, or something slow: a stop that was answered holds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from client.sweep import Sweep
from models.commands import Command, ReceiptOutcome, Verb
from models.message import MessageStatus
from storage import commands
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from workflows.state import BatchSendState

NOT_WAITING = timedelta(0)


async def paused_in_mid_send(harness: Harness, recipients: int = 2000) -> str:
    await harness.add_contacts(recipients)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        await harness.until_in_mid_send(100)
        await harness.use_cases.pause(message_id, asked_by())
    assert await harness.status(message_id) is MessageStatus.PAUSED
    return message_id


async def all_answered(harness: Harness, message_id: str) -> None:
    async def answered() -> bool:
        return all(entry.receipt for entry in await harness.use_cases.history(message_id))

    await eventually(answered, within=20)


@asynccontextmanager
async def locked(harness: Harness, table: str) -> AsyncIterator[None]:
    """Nobody can read the table meanwhile: what needs it takes its time."""
    async with harness.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"lock table {table} in access exclusive mode")
        yield


async def test_a_pause_is_not_answered_by_an_old_receipt_while_a_resume_is_pending(harness: Harness) -> None:
    message_id = await paused_in_mid_send(harness)
    left = len(harness.smtp.accepted())
    resumed = await harness.use_cases.resume(message_id, asked_by(), wait=NOT_WAITING)  # no worker: it waits
    paused = await harness.use_cases.pause(message_id, asked_by(), wait=NOT_WAITING)
    assert resumed.receipt is None
    assert paused.receipt is None
    async with harness.worker(lanes=1):
        await all_answered(harness, message_id)
    outcomes = [entry.receipt and entry.receipt.outcome for entry in await harness.use_cases.history(message_id)]
    assert outcomes[-2:] == [ReceiptOutcome.SUPERSEDED, ReceiptOutcome.DONE]
    assert await harness.status(message_id) is MessageStatus.PAUSED
    assert len(harness.smtp.accepted()) == left


async def test_a_pause_overtakes_a_resume_whose_audience_is_slow_to_read(harness: Harness) -> None:
    message_id = await paused_in_mid_send(harness)
    left = len(harness.smtp.accepted())
    async with harness.worker(lanes=1):
        async with locked(harness, "suppressions"):
            await harness.use_cases.resume(message_id, asked_by(), wait=NOT_WAITING)

            async def is_reading() -> bool:
                waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                return bool(await harness.pool.fetchval(f"{waiting} and datname = current_database()"))

            await eventually(is_reading)
            await harness.use_cases.pause(message_id, asked_by(), wait=NOT_WAITING)

            async def is_closed_for_it() -> bool:
                query = "select gate_number from messages where id = $1"
                return bool(await harness.pool.fetchval(query, message_id) == 3)

            await eventually(is_closed_for_it)
        await all_answered(harness, message_id)
        assert await harness.status(message_id) is MessageStatus.PAUSED
    assert len(harness.smtp.accepted()) == left


async def test_a_lost_resume_that_is_repeated_after_a_later_pause_opens_nothing(harness: Harness) -> None:
    message_id = await paused_in_mid_send(harness)
    left = len(harness.smtp.accepted())
    resume = Command(command_id="lost", verb=Verb.RESUME, actor="a", source="test", requested_at=datetime.now(UTC))
    await commands.ask(harness.pool, message_id, 1, resume)  # and its signal is lost
    async with harness.worker(lanes=1):
        later = asked_by(command_id="later")
        await harness.use_cases.pause(message_id, later)
        await Sweep(harness.pool, harness.workflows, lost_after=NOT_WAITING).once()
        await all_answered(harness, message_id)
    receipt = await commands.receipt(harness.pool, message_id, resume)
    assert receipt is not None
    assert receipt.outcome is ReceiptOutcome.SUPERSEDED
    assert await harness.status(message_id) is MessageStatus.PAUSED
    assert len(harness.smtp.accepted()) == left


async def test_a_pause_refused_under_the_hold_as_the_send_was_to_begin_changes_nothing(harness: Harness) -> None:
    await harness.add_contacts(200)
    message_id = await harness.draft()
    handle = harness.handle(message_id)

    async def gate_number() -> bool:
        return bool(await harness.pool.fetchval("select gate_number = 1 from messages where id = $1", message_id))

    async with harness.worker(lanes=1):
        async with harness.pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hold_lock())")  # somebody is putting the hold
            await connection.execute("insert into hold (actor, reason) values ('test', 'incident')")
            await harness.send(message_id)

            async def begins() -> bool:
                waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                return bool(await harness.pool.fetchval(waiting))

            await eventually(begins)
            await handle.signal("pause")
            await eventually(gate_number)
        await all_answered(harness, message_id)
        [pause] = [e for e in await harness.use_cases.history(message_id) if e.command is Verb.PAUSE]
        assert pause.receipt is not None
        assert pause.receipt.outcome is ReceiptOutcome.REFUSED
        await harness.pool.execute("delete from hold")
        await harness.workflows.wake(message_id, 1)
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)


async def test_a_gate_that_is_closed_without_a_command_leaves_the_send_paused(harness: Harness) -> None:
    """Closed in the database by hand, say: it is not opened again without being asked, and nothing runs in circles."""
    await harness.add_contacts(200)
    message_id = await harness.draft()
    await harness.send(message_id)
    await harness.pool.execute("update messages set gate_number = 0")  # as if a stop had come before the beginning
    async with harness.worker(lanes=1):
        await harness.until(message_id, MessageStatus.PAUSED)
        assert harness.smtp.accepted() == []
        [pause] = [e for e in await harness.use_cases.history(message_id) if e.command is Verb.PAUSE]
        assert pause.actor == "system"
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert (await harness.handle(message_id).describe()).history_length < 200


async def test_a_stop_waits_for_one_time_out_of_a_silent_next_hop_not_for_many(harness: Harness) -> None:
    """64 are claimed and 4 connections hang: those in the queue are given back, not tried one after the other."""
    await harness.add_contacts(64)
    message_id = await harness.draft()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        async with harness.worker(
            lanes=1,
            smtp_host="127.0.0.1",
            smtp_port=silent.getsockname()[1],
            smtp_connections=4,
            smtp_timeout=timedelta(seconds=2),
        ):
            await harness.send(message_id)

            async def claimed() -> bool:
                return (await harness.counts(message_id)).claimed == 64

            await eventually(claimed)
            result = await harness.use_cases.pause(message_id, asked_by(), wait=timedelta(seconds=60))
    assert result.receipt is not None
    assert result.receipt.effective_at is not None
    # 16 time-outs one after the other would be 32 s.
    assert result.receipt.effective_at - result.receipt.requested_at < timedelta(seconds=10)


async def test_a_workflow_that_somebody_made_by_hand_does_not_end_the_sweep(harness: Harness) -> None:
    by_hand = await harness.client.start_workflow(
        "BatchSendWorkflow", BatchSendState(message_id="x", generation=1), id="by-hand", task_queue="nobody"
    )
    await by_hand.terminate()
    sweep = Sweep(harness.pool, harness.workflows)

    async def is_listed() -> bool:
        return any([e.id == "by-hand" async for e in harness.client.list_workflows('ExecutionStatus = "Terminated"')])

    await eventually(is_listed)
    await sweep.once()


async def test_a_step_of_the_sweep_that_fails_keeps_no_other_from_its_turn(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.add_contacts(10)
    message_id = await harness.draft()
    await harness.send(message_id, at=datetime.now(UTC) + timedelta(days=1))
    await harness.pool.execute("update messages set generation = 9 where id = $1", message_id)  # its start is lost
    sweep = Sweep(harness.pool, harness.workflows, lost_after=NOT_WAITING)

    async def fails() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(sweep, "_repeat_commands", fails)
    with pytest.raises(RuntimeError, match="broken"):
        await sweep.once()
    assert (await harness.handle(message_id, 9).describe()).status is not None


async def test_many_slow_beginnings_do_not_keep_a_stop_waiting(harness: Harness) -> None:
    """Each beginning holds a connection for as long as its audience is large; the gate of another needs one, too."""
    await harness.add_contacts(2000)
    harness.smtp.set(delay_ms=5)
    message_id = await harness.draft()
    slow = [await harness.draft() for _ in range(25)]
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        await harness.until_left(20)
        harness.smtp.set(delay_ms=100)  # so that it outlasts the preparations
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        for each in slow:
            await harness.send(each, at=tomorrow)
        await harness.pool.execute(
            "update messages set next_slot_at = null, plan = null, adopted_at = null where id = any($1)", slow
        )
        for each in slow:
            await harness.workflows.terminate(each, 1, "to be started again, now")
        await harness.pool.execute(
            "update messages set schedule = '{}'::jsonb, generation = 2 where id = any($1)", slow
        )
        async with locked(harness, "lists"):
            for each in slow:
                await harness.workflows.start(each, 2, "slow")

            async def begin() -> bool:
                waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                return bool(await harness.pool.fetchval(f"{waiting} and datname = current_database()") >= 4)

            await eventually(begin)
            handle = harness.handle(message_id)
            await handle.signal("pause")
            await harness.until(message_id, MessageStatus.PAUSED)
    await asyncio.gather(*(harness.workflows.terminate(each, 2, "the test is over") for each in slow))
