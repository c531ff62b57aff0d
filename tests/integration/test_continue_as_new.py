"""A send whose workflow goes on as a new run again and again: no command is lost, none is obeyed twice."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle

from client.temporal import MESSAGE_ID, MESSAGE_NAME, STATUS, Workflows
from models.commands import HistoryEntry, Verb
from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness
from workflows.state import Knobs

BURSTS = 14
AT_ONCE = 9  # signals of a burst: odd, so that bursts that end with a pause and with a resume take turns
EVENTS = 25  # after so many a new run goes on; the server lets a second pass from run to run
FEWEST_RUNS = 10
RECIPIENTS = 2000
SLICE = timedelta(milliseconds=200)  # lanes come back soon: no run ends while one is out

Handle = WorkflowHandle[Any, Any]


@pytest.fixture
def short_runs(harness: Harness) -> Harness:
    """A Sendgate whose workflows go on as a new run after a few events, instead of thousands."""
    harness.workflows = Workflows(harness.client, knobs=Knobs(continue_after_events=EVENTS, slice_length=SLICE))
    return harness


async def signal(handle: Handle, verb: Verb, command_id: str) -> None:
    await handle.signal(verb.value, {"command_id": command_id, "actor": "operator", "reason": "again"})


async def commands(harness: Harness, message_id: str) -> list[HistoryEntry]:
    """What was asked by signal, in the order noted: all but the send itself."""
    return [entry for entry in await harness.use_cases.history(message_id) if entry.command is not Verb.SEND]


async def until_answered(harness: Harness, message_id: str, number: int) -> None:
    async def answered() -> bool:
        return sum(entry.receipt is not None for entry in await commands(harness, message_id)) >= number

    await eventually(answered, within=30)


async def until_next_run(handle: Handle, run_id: str | None) -> None:
    async def went_on() -> bool:
        return (await handle.describe()).run_id != run_id

    await eventually(went_on, within=30)


async def runs(handle: Handle) -> list[Handle]:
    """Every run of a workflow so far, the latest first."""
    found: list[Handle] = []
    run_id: str | None = (await handle.describe()).run_id
    while run_id:
        run: Handle = handle._client.get_workflow_handle(handle.id, run_id=run_id)
        found.append(run)
        first = (await anext(run.fetch_history_events(page_size=1))).workflow_execution_started_event_attributes
        run_id = first.continued_execution_run_id
    return found


async def settled_runs(handle: Handle) -> list[Handle]:
    """Every run, the latest first; none while the latest is not the one that answers, or has nothing to show yet."""
    number = (await handle.query("get_progress"))["runs"]
    every = await runs(handle)
    return every if len(every) == number and await current_details(every[0]) else []


async def obeyed(run: Handle) -> list[str]:
    """The activities of a run that are about a command."""
    scheduled = [e.activity_task_scheduled_event_attributes for e in (await run.fetch_history()).events]
    return [each.activity_type.name for each in scheduled if each.activity_type.name in ("stop", "resume", "answer")]


async def current_details(run: Handle) -> str:
    metadata: WorkflowMetadata = await run.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return metadata.current_details


async def test_every_command_is_answered_once_over_many_runs(short_runs: Harness) -> None:
    harness = short_runs
    await harness.add_contacts(RECIPIENTS)
    harness.smtp.set(delay_ms=10)
    message_id = await harness.draft(name="Many runs")
    handle: Handle = harness.handle(message_id)
    asked: dict[str, Verb] = {}
    async with harness.worker(lanes=1, smtp_connections=2):
        await harness.send(message_id)
        await harness.until_left(1)
        verbs = itertools.cycle((Verb.PAUSE, Verb.RESUME))
        for number in range(BURSTS):
            burst = dict(zip([f"command-{number}-{place}" for place in range(AT_ONCE)], verbs, strict=False))
            again = list(asked.items())[::7]  # some of every run so far
            asked |= burst
            run_id = (await handle.describe()).run_id
            await asyncio.gather(*(signal(handle, verb, command_id) for command_id, verb in [*burst.items(), *again]))
            await until_answered(harness, message_id, len(asked))
            if number % 4:  # else the next burst may meet the workflow while it goes over to its next run
                await until_next_run(handle, run_id)
        await signal(handle, Verb.PAUSE, "last pause")
        await until_answered(harness, message_id, len(asked) + 1)
        assert await harness.status(message_id) is MessageStatus.PAUSED

        every = await eventually(lambda: settled_runs(handle))
        assert len(every) >= FEWEST_RUNS
        for run in every[:FEWEST_RUNS]:
            assert (await current_details(run)).startswith(("**sending**", "**paused**"))
            attributes = (await run.describe()).typed_search_attributes
            assert attributes.get(MESSAGE_ID) == message_id
            assert attributes.get(MESSAGE_NAME) == "Many runs"
            assert attributes.get(STATUS) in ("sending", "paused")
        assert (await handle.describe()).typed_search_attributes.get(STATUS) == "paused"

        harness.smtp.set(delay_ms=0)
        await signal(handle, Verb.RESUME, "last resume")
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == RECIPIENTS
    answered = await commands(harness, message_id)
    assert sorted(entry.command_id for entry in answered) == sorted([*asked, "last pause", "last resume"])
    assert all(entry.receipt is not None for entry in answered)
    receipts = await harness.pool.fetchval("select count(*) from receipts where message_id = $1", message_id)
    assert receipts == len(answered) + 1  # the send's
    print(f"{len(every)} runs, {len(asked)} commands, each answered once")


async def test_a_command_sent_again_to_a_later_run_changes_nothing(short_runs: Harness) -> None:
    harness = short_runs
    await harness.add_contacts(3_000)
    harness.smtp.set(delay_ms=5)
    message_id = await harness.draft()
    handle: Handle = harness.handle(message_id)
    async with harness.worker(lanes=1, smtp_connections=2):
        await harness.send(message_id)
        await harness.until_left(1)
        await signal(handle, Verb.PAUSE, "pause")
        await until_answered(harness, message_id, 1)
        await signal(handle, Verb.RESUME, "resume")
        await until_answered(harness, message_id, 2)
        await until_next_run(handle, (await handle.describe()).run_id)
        await signal(handle, Verb.PAUSE, "pause")
        await signal(handle, Verb.RESUME, "resume")
        await signal(handle, Verb.RESUME, "behind them")  # answered, so those before it have been taken
        await until_answered(harness, message_id, 3)
        gate = await harness.pool.fetchrow(
            "select status, gate_open, gate_number from messages where id = $1", message_id
        )
        assert gate is not None
        assert tuple(gate) == ("sending", True, 2)  # as the resume, its second command, left it
        assert await obeyed(handle) == ["answer"]  # the one behind them; the run remembers those of the run before
        harness.smtp.set(delay_ms=0)
        await harness.until(message_id, MessageStatus.SENT)
    await harness.assert_once_each(message_id)
    assert [entry.command_id for entry in await commands(harness, message_id)] == ["pause", "resume", "behind them"]
