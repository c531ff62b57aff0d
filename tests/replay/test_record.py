"""Record histories for the replay tests: `make test PYTEST_ARGS="tests/replay --record-histories"`.

To be done when a change of the workflow is meant to be incompatible with sends that are under way: never lightly.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from client.temporal import Workflows
from models.message import MessageStatus as S
from models.message import workflow_id
from models.schedule import Schedule
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.replay.test_replay import HISTORIES
from workflows.state import Knobs

SOON = timedelta(days=1)
#: On which machine a history was recorded is nobody's business.
_WHERE = re.compile(r'"\d+@[^"]*"')


async def sent_now(harness: Harness) -> str:
    message_id = await harness.draft()
    await harness.send(message_id)
    await harness.until(message_id, S.SENT)
    return message_id


async def sent_at_an_instant(harness: Harness) -> str:
    message_id = await harness.draft()
    await harness.send(message_id, at=datetime.now(UTC) + timedelta(seconds=2))
    await harness.until(message_id, S.SENT)
    return message_id


async def in_mid_send(harness: Harness) -> str:
    message_id = await harness.draft()
    harness.smtp.set(delay_ms=3)
    await harness.send(message_id)
    await harness.until_left(20)
    return message_id


async def paused_and_resumed(harness: Harness) -> str:
    message_id = await in_mid_send(harness)
    await harness.use_cases.pause(message_id, asked_by("the page is down"))
    await harness.use_cases.resume(message_id, asked_by())
    await harness.until(message_id, S.SENT)
    return message_id


async def canceled_in_mid_send(harness: Harness) -> str:
    message_id = await in_mid_send(harness)
    await harness.use_cases.cancel(message_id, asked_by())
    return message_id


async def stopped_in_one_step(harness: Harness) -> str:
    message_id = await in_mid_send(harness)
    await harness.use_cases.pause(message_id, asked_by())
    await harness.use_cases.resume(message_id, asked_by())
    await harness.use_cases.cancel(message_id, asked_by())
    return message_id


async def canceled_while_paused(harness: Harness) -> str:
    message_id = await in_mid_send(harness)
    await harness.use_cases.pause(message_id, asked_by())
    await harness.use_cases.cancel(message_id, asked_by())
    return message_id


async def canceled_while_scheduled(harness: Harness) -> str:
    message_id = await harness.draft()
    await harness.send(message_id, at=datetime.now(UTC) + SOON)
    await harness.use_cases.cancel(message_id, asked_by())
    return message_id


async def canceled_in_temporal(harness: Harness) -> str:
    message_id = await in_mid_send(harness)
    await harness.handle(message_id).cancel()
    await harness.until(message_id, S.CANCELED)
    return message_id


async def crossing_commands(harness: Harness) -> str:
    message_id = await in_mid_send(harness)
    handle = harness.handle(message_id)
    for name in ("resume", "pause", "pause", "resume", "pause", "resume", "cancel", "resume"):
        await handle.signal(name, "in a hurry")
    await harness.until(message_id, S.CANCELED)
    return message_id


async def held_and_woken(harness: Harness) -> str:
    await harness.pool.execute("insert into hold (actor, reason) values ('somebody', 'incident')")
    message_id = await harness.draft()
    await harness.send(message_id)
    await harness.until_asleep(message_id)
    await harness.pool.execute("delete from hold")
    await harness.workflows.wake(message_id, 1)
    await harness.until(message_id, S.SENT)
    return message_id


async def begun_too_late(harness: Harness) -> str:
    message_id = await harness.draft()
    async with harness.pool.acquire() as connection, connection.transaction():
        # Before its workflow can look: the row is ours until the commit.
        await harness.use_cases.send(message_id, Schedule(), asked_by())
        await harness.pool.execute("update messages set accepted_at = accepted_at - interval '13 hours'")
    await harness.until(message_id, S.PAUSED)
    await harness.use_cases.resume(message_id, asked_by())
    await harness.until(message_id, S.SENT)
    return message_id


async def no_server_for_a_while(harness: Harness) -> str:
    harness.smtp.stop()
    message_id = await harness.draft()
    await harness.send(message_id)
    handle = harness.handle(message_id)

    async def says_so() -> bool:
        return bool((await handle.query("get_progress"))["no_server"])

    await eventually(says_so, within=20)
    harness.smtp.start()
    await harness.until(message_id, S.SENT)
    return message_id


async def superseded(harness: Harness) -> str:
    """Its start arrives after the message was unscheduled."""
    message_id = await harness.draft()
    await harness.send(message_id, at=datetime.now(UTC) + SOON)
    await harness.use_cases.unschedule(message_id, asked_by())
    await harness.pool.execute("update messages set generation = 7 where id = $1", message_id)
    await harness.workflows.start(message_id, 7, "News")
    await harness.handle(message_id, 7).result()
    return message_id


async def continued_as_new(harness: Harness) -> str:
    harness.workflows = Workflows(harness.client, knobs=Knobs(continue_after_events=60))
    message_id = await in_mid_send(harness)
    for _ in range(4):
        await harness.use_cases.pause(message_id, asked_by())
        await harness.use_cases.resume(message_id, asked_by())
    await harness.until(message_id, S.SENT)
    return message_id


async def throttled(harness: Harness) -> str:
    message_id = await harness.draft()
    await harness.send(message_id, throttle={"batch_size": 150, "every": "1s"})
    await harness.until(message_id, S.SENT)
    return message_id


async def throttled_paused_and_resumed_to_another_end(harness: Harness) -> str:
    message_id = await harness.draft()
    end = datetime.now(UTC) + SOON
    await harness.send(message_id, throttle={"batch_size": 150, "every": "2s", "ends_at": end})
    await harness.until_left(150)
    await harness.use_cases.pause(message_id, asked_by())
    soon = datetime.now(UTC) + timedelta(seconds=5)
    await harness.use_cases.resume(message_id, asked_by(), ends_at=soon)
    await harness.until(message_id, S.SENT)
    return message_id


async def throttled_under_a_hold(harness: Harness) -> str:
    message_id = await harness.draft()
    await harness.send(message_id, throttle={"batch_size": 250, "every": "2s"})
    await harness.until_left(250)
    await harness.pool.execute("insert into hold (actor, reason) values ('somebody', 'incident')")
    await eventually(lambda: _waits_for_wake(harness, message_id))
    await harness.pool.execute("delete from hold")
    await harness.workflows.wake(message_id, 1)
    await harness.until(message_id, S.SENT)
    return message_id


async def _waits_for_wake(harness: Harness, message_id: str) -> bool:
    summaries = (
        event.user_metadata.summary.data for event in (await harness.handle(message_id).fetch_history()).events
    )
    return any(b"held" in summary for summary in summaries)


async def by_the_contacts_zones(harness: Harness) -> str:
    """One zone that has passed, and goes at once; others with nobody in them; and one in a few seconds."""
    await harness.pool.execute("update contacts set time_zone = 'Asia/Tokyo' where id % 2 = 0")
    message_id = await harness.draft()
    at = (datetime.now(UTC) + timedelta(seconds=3)).replace(tzinfo=None)
    await harness.send(message_id, at=at, time_zone="contact")
    await harness.until(message_id, S.SENT)
    return message_id


async def paused_by_the_system_as_many_fail(harness: Harness) -> str:
    await harness.add_contacts(800, prefix="d")
    harness.smtp.refuse("", "550 5.7.1 no")
    message_id = await harness.draft()
    await harness.send(message_id)
    await harness.until(message_id, S.PAUSED)
    harness.smtp.set(refuse=[])
    await harness.use_cases.resume(message_id, asked_by())
    await harness.until(message_id, S.SENT)
    return message_id


async def woken_while_it_waits_for_a_batch(harness: Harness) -> str:
    message_id = await harness.draft()
    await harness.send(message_id, throttle={"batch_size": 200, "every": "6s"})
    await harness.until_left(200)
    await harness.until_asleep(message_id)
    await harness.workflows.wake(message_id, 1)
    await harness.until(message_id, S.SENT)
    return message_id


async def paused_while_a_batch_opens(harness: Harness) -> str:
    message_id = await harness.draft()
    async with harness.pool.acquire() as connection:
        await harness.send(message_id, throttle={"batch_size": 200, "every": "3s"})
        await harness.until_left(200)
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtextextended('batches/' || $1, 5))", message_id)

            async def waits() -> bool:
                return bool(await harness.pool.fetchval("select exists (select from pg_locks where not granted)"))

            await eventually(waits)
            await harness.use_cases.pause(message_id, asked_by())
    await harness.use_cases.resume(message_id, asked_by())
    await harness.until(message_id, S.SENT)
    return message_id


async def one_id_for_every_verb(harness: Harness) -> str:
    """A version before dropped all but the first of them: `dropped_for_its_id`, which no scenario records any more."""
    message_id = await in_mid_send(harness)
    for verb, after in (("pause", S.PAUSED), ("resume", S.SENDING), ("cancel", S.CANCELED)):
        await harness.handle(message_id).signal(verb, {"command_id": "one"})
        await harness.until(message_id, after)
    return message_id


SCENARIOS: list[Callable[[Harness], Awaitable[str]]] = [
    sent_now,
    sent_at_an_instant,
    paused_and_resumed,
    canceled_in_mid_send,
    stopped_in_one_step,
    canceled_while_paused,
    canceled_while_scheduled,
    canceled_in_temporal,
    crossing_commands,
    held_and_woken,
    begun_too_late,
    no_server_for_a_while,
    superseded,
    continued_as_new,
    throttled,
    throttled_paused_and_resumed_to_another_end,
    throttled_under_a_hold,
    by_the_contacts_zones,
    paused_by_the_system_as_many_fail,
    woken_while_it_waits_for_a_batch,
    paused_while_a_batch_opens,
    one_id_for_every_verb,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_record(
    scenario: Callable[[Harness], Awaitable[str]], harness: Harness, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--record-histories"):
        pytest.skip("records only with --record-histories")
    await harness.add_contacts(400)
    async with harness.worker(lanes=2, smtp_connections=4):
        message_id = await scenario(harness)
        generation = await harness.pool.fetchval("select generation from messages where id = $1", message_id)
        first = harness.handle(message_id, generation)
        await eventually(lambda: _is_closed(first))
    runs = [
        execution
        async for execution in harness.client.list_workflows(f'WorkflowId = "{workflow_id(message_id, generation)}"')
    ]
    for old in HISTORIES.glob(f"{scenario.__name__}*.json"):
        old.unlink()
    for number, execution in enumerate(reversed(runs), start=1):
        handle = harness.client.get_workflow_handle(execution.id, run_id=execution.run_id)
        name = scenario.__name__ + (f"_{number}" if len(runs) > 1 else "")
        recorded = _WHERE.sub('"recorded"', (await handle.fetch_history()).to_json())
        (HISTORIES / f"{name}.json").write_text(recorded + "\n", encoding="utf-8")


async def _is_closed(handle: WorkflowHandle[Any, Any]) -> bool:
    return (await handle.describe()).close_time is not None
