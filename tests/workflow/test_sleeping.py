"""Sends in the far future, on the time-skipping server: the clock of the workflow decides, not ours."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType, IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from client.temporal import SEARCH_ATTRIBUTES
from models.message import MessageStatus
from storage.database import Pool
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.smtp_log_server import SmtpLogServer

IN_A_MONTH = timedelta(days=30)


@pytest.fixture(scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    environment = await WorkflowEnvironment.start_time_skipping(
        data_converter=pydantic_data_converter,
        test_server_existing_path=str(Path(sys.executable).with_name("temporal-test-server")),
    )
    async with environment:
        # It can add search attributes but not list them.
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=environment.client.namespace,
                search_attributes=dict.fromkeys(
                    (key.name for key in SEARCH_ATTRIBUTES), IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                ),
            )
        )
        yield environment


class SkippingHarness(Harness):
    async def prepare_server(self) -> None:
        """The server's fixture has done it."""


@pytest.fixture
def harness(pool: Pool, database_url: str, skipping: WorkflowEnvironment, smtp_server: SmtpLogServer) -> Harness:
    return SkippingHarness(pool, database_url, skipping.client, smtp_server)


async def at_rest(harness: Harness, message_id: str) -> None:
    """Wait until the workflow has nothing to do but wait: to skip time before would time its activities out."""
    handle = harness.handle(message_id)

    async def rests() -> bool:
        kinds = [event.event_type for event in (await handle.fetch_history()).events]
        busy = kinds.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) - kinds.count(
            EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        )
        return not busy and kinds[-1] in (
            EventType.EVENT_TYPE_TIMER_STARTED,
            EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        )

    await eventually(rests)


async def sent(harness: Harness, message_id: str) -> None:
    """Wait until the message is sent and its workflow over: one left at work keeps the server's clock locked."""
    await harness.until(message_id, MessageStatus.SENT)
    handle = harness.handle(message_id)

    async def is_over() -> bool:
        return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

    await eventually(is_over)


async def skip_to_just_before(skipping: WorkflowEnvironment, moment: datetime) -> None:
    """Skip to half a second before; what happens then happens in real time, with activities that take real time."""
    await skipping.sleep(moment - timedelta(seconds=0.5) - await skipping.get_current_time())


async def test_a_send_in_a_month_leaves_at_its_instant(harness: Harness, skipping: WorkflowEnvironment) -> None:
    await harness.add_contacts(100)
    message_id = await harness.draft()
    at = await skipping.get_current_time() + IN_A_MONTH
    async with harness.worker():
        await harness.send(message_id, at=at)
        await at_rest(harness, message_id)
        await skip_to_just_before(skipping, at)
        assert await harness.status(message_id) is MessageStatus.SCHEDULED
        assert harness.smtp.accepted() == []
        assert await skipping.get_current_time() < at
        await sent(harness, message_id)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == 100


async def test_unscheduled_before_its_instant_nothing_ever_leaves(
    harness: Harness, skipping: WorkflowEnvironment
) -> None:
    await harness.add_contacts(100)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id, at=await skipping.get_current_time() + IN_A_MONTH)
        await at_rest(harness, message_id)
        await skipping.sleep(IN_A_MONTH - timedelta(minutes=1))
        await harness.use_cases.unschedule(message_id, asked_by())
        await skipping.sleep(timedelta(days=2))
        description = await harness.handle(message_id).describe()
        assert description.status is WorkflowExecutionStatus.TERMINATED
    assert await harness.status(message_id) is MessageStatus.DRAFT
    assert harness.smtp.accepted() == []


async def test_a_pause_of_a_month_is_a_pause(harness: Harness, skipping: WorkflowEnvironment) -> None:
    """Nothing leaves while it is paused, however long that is; then everybody gets it once."""
    await harness.add_contacts(1000)
    harness.smtp.set(delay_ms=3)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id, at=await skipping.get_current_time())
        await harness.until_left(20)
        await harness.use_cases.pause(message_id, asked_by())
        await at_rest(harness, message_id)
        left = len(harness.smtp.accepted())
        await skipping.sleep(IN_A_MONTH)
        assert len(harness.smtp.accepted()) == left < 1000
        harness.smtp.set(delay_ms=0)
        await harness.use_cases.resume(message_id, asked_by())
        await sent(harness, message_id)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == 1000


async def test_refused_for_now_is_tried_again_in_a_minute_and_not_before(
    harness: Harness, skipping: WorkflowEnvironment
) -> None:
    await harness.add_contacts(50)
    harness.smtp.refuse("^c7@", "451 4.7.1 greylisted")
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id, at=await skipping.get_current_time())
        await harness.until_left(49)
        await at_rest(harness, message_id)
        assert (await harness.counts(message_id)).deferred == 1
        harness.smtp.set(refuse=[])
        next_try_at = await harness.pool.fetchval("select next_try_at from recipients where status = 'deferred'")
        assert next_try_at - await skipping.get_current_time() > timedelta(seconds=50)
        await skip_to_just_before(skipping, next_try_at)
        assert (await harness.counts(message_id)).deferred == 1
        await sent(harness, message_id)
    await harness.assert_once_each(message_id)
    assert len(harness.smtp.accepted()) == 50
