"""A whole Sendgate on the time-skipping server, whose deliveries are recorded with the instant on its clock."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType, IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.ports import Email, OneByOne, Permit
from client.batch_messages import BatchMessages
from client.temporal import SEARCH_ATTRIBUTES
from models.message import MessageStatus
from models.recipient import Outcome, Verdict
from storage.database import Pool
from tests.eventually import eventually
from tests.harness import Harness
from tests.smtp_log_server import SmtpLogServer
from worker import make_workers, running
from workflows.state import Knobs


@asynccontextmanager
async def time_skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose clock stands still but when it is told to skip; it begins now."""
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


class RecordingTransport(OneByOne):
    """A next hop that takes everything, and writes down whom it took at which instant of the server's clock."""

    def __init__(self, skipping: WorkflowEnvironment) -> None:
        self._skipping = skipping
        self.taken: list[tuple[datetime, str]] = []
        self.refused: list[tuple[datetime, str]] = []
        self.is_away = False
        self.bounces = False  # everybody, for as long as it is set
        self.refusals: dict[str, list[int]] = {}  # by address: the replies to come before one that takes it
        self._until_taken: int | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether it has taken as many as `stick_after` said, and lets the others wait."""
        return self._until_taken is not None and len(self.taken) >= self._until_taken

    def stick_after(self, number: int) -> None:
        """Take so many more, then let whoever comes wait until the lane is stopped."""
        self._until_taken = len(self.taken) + number

    def go_on(self) -> None:
        self._until_taken = None

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        if self.is_away:
            return Outcome(Verdict.NO_SERVER, reply="gone")
        if self.bounces:
            return Outcome(Verdict.BOUNCED, smtp_code=550, reply="no such user")
        if codes := self.refusals.get(email.recipient):
            self.refused.append((await self._skipping.get_current_time(), email.recipient))
            return Outcome(Verdict.DEFERRED, smtp_code=codes.pop(0), reply="not now")
        await eventually(lambda: not self.is_stuck or not permit.may_start(), within=60)
        if not permit.may_start() or not permit.may_write_body():
            return Outcome(Verdict.NOT_HANDED_OVER)
        # Before it waits for the answer: who comes next must see how many there are.
        place = len(self.taken)
        self.taken.append((datetime.max.replace(tzinfo=UTC), email.recipient))
        self.taken[place] = (await self._skipping.get_current_time(), email.recipient)
        return Outcome(Verdict.SENT, handed_over_at=datetime.now(UTC), smtp_code=250, reply="ok")


class VirtualHarness(Harness):
    """A Harness whose schedules, workflows and deliveries live on the server's clock."""

    def __init__(
        self,
        pool: Pool,
        database_url: str,
        skipping: WorkflowEnvironment,
        smtp: SmtpLogServer,
        knobs: Knobs | None = None,
    ) -> None:
        super().__init__(pool, database_url, skipping.client, smtp, knobs)
        self.skipping = skipping
        self.next_hop = RecordingTransport(skipping)
        self.use_cases = BatchMessages(pool, self._connected, self._transport, clock=skipping.get_current_time)

    async def prepare_server(self) -> None:
        """The server has been prepared where it was started."""

    @asynccontextmanager
    async def recording_worker(self, **changes: Any) -> AsyncIterator[None]:
        """A worker in this process that hands over to the recorder; drained at the end."""
        async with running(make_workers(self.client, self.pool, self.settings(**changes), self.next_hop)):
            yield

    async def skip_to(self, moment: datetime) -> None:
        """Let the time up to `moment` pass, with everything that happens in it. Not back: it is no error."""
        await self.skipping.sleep(max(moment - await self.skipping.get_current_time(), timedelta(0)))

    async def at_rest(self, message_id: str) -> None:
        """Wait until the workflow has nothing to do but wait."""
        handle = self.handle(message_id)

        async def rests() -> bool:
            description = await handle.describe()
            if description.status is not WorkflowExecutionStatus.RUNNING:
                return True
            kinds = [event.event_type for event in (await handle.fetch_history()).events]
            busy = kinds.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) - sum(
                kinds.count(kind)
                for kind in (
                    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
                    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
                    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
                )
            )
            return not busy and kinds[-1] in (
                EventType.EVENT_TYPE_TIMER_STARTED,
                EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
            )

        await eventually(rests)

    async def sent(self, message_id: str) -> None:
        """Wait until the message is sent and its workflow over: one left at work keeps the server's clock locked."""
        await self.until(message_id, MessageStatus.SENT)
        handle = self.handle(message_id)

        async def is_over() -> bool:
            return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

        await eventually(is_over)
