"""The one way to Temporal: connect, and start, signal, describe and terminate the workflows of messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from enum import Enum

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from models.commands import Command
from models.errors import Unreachable
from models.message import MessageStatus, workflow_id
from workflows.state import BatchSendState, Knobs

BOOKKEEPING_QUEUE = "batch-send"
WORKFLOW_TYPE = "BatchSendWorkflow"
MESSAGE_ID = SearchAttributeKey.for_keyword("SendgateMessageId")
STATUS = SearchAttributeKey.for_keyword("SendgateStatus")
MESSAGE_NAME = SearchAttributeKey.for_keyword("SendgateMessageName")
SEARCH_ATTRIBUTES = (MESSAGE_ID, STATUS, MESSAGE_NAME)

_CONNECT_WITHIN_SECONDS = 5.0
_CALL_WITHIN = timedelta(seconds=10)
_PING_WITHIN = timedelta(seconds=3)
_TASK_TIMEOUT = timedelta(seconds=5)
_LONGEST_KEYWORD = 255  # SQL visibility refuses longer ones


class Presence(Enum):
    """What Temporal knows of a workflow."""

    RUNNING = "running"
    CLOSED = "closed"
    UNKNOWN = "unknown"  # never started, or forgotten: its retention is over, or its database is lost


async def connect(address: str | None = None, namespace: str | None = None, *, alone: bool = False) -> Client:
    """Connect by Temporal's own environment variables and profile file; `address` and `namespace` go before them.

    `alone`: by these two and nothing else, since variables and file speak of another server. Raises Unreachable.
    """
    try:
        options = ClientConnectConfig() if alone else ClientConfig.load_client_connect_config()
        options.setdefault("target_host", "localhost:7233")
        if address:
            options["target_host"] = address
        if namespace:
            options["namespace"] = namespace
        async with asyncio.timeout(_CONNECT_WITHIN_SECONDS):
            return await Client.connect(**options, data_converter=pydantic_data_converter)
    except (RuntimeError, TimeoutError, RPCError, OSError, ValueError) as error:
        where = address or "its configured address"
        raise Unreachable(f"Temporal does not answer at {where}; is the server running?") from error


async def ensure_search_attributes(client: Client) -> None:
    """Create the search attributes that are missing, and wait for nothing. Repeating it is harmless.

    Raises Unreachable.
    """
    namespace, operator = client.namespace, client.operator_service
    try:
        listed = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
        missing = [key.name for key in SEARCH_ATTRIBUTES if key.name not in listed.custom_attributes]
        if missing:
            await operator.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=namespace,
                    search_attributes=dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
                )
            )
    except RPCError as error:
        raise _unreachable(error) from error


class Workflows:
    """The workflows of messages. Every call may be repeated. All raise Unreachable when Temporal does not answer."""

    def __init__(self, client: Client, *, knobs: Knobs | None = None) -> None:
        self._client = client
        self._knobs = knobs or Knobs()

    async def ping(self) -> None:
        """Ask whether Temporal is there."""
        try:
            await self._client.service_client.check_health(timeout=_PING_WITHIN)
        except RPCError as error:
            raise _unreachable(error) from error

    async def start(
        self, message_id: str, generation: int, name: str, status: MessageStatus = MessageStatus.SCHEDULED
    ) -> None:
        """Start the workflow of this generation; starting it twice is harmless, and so is starting it too late."""
        attributes = TypedSearchAttributes(
            [
                SearchAttributePair(MESSAGE_ID, message_id),
                SearchAttributePair(STATUS, status.value),
                SearchAttributePair(MESSAGE_NAME, name[:_LONGEST_KEYWORD]),
            ]
        )
        try:
            await self._client.start_workflow(
                WORKFLOW_TYPE,
                BatchSendState(message_id=message_id, generation=generation, status=status, knobs=self._knobs),
                id=workflow_id(message_id, generation),
                task_queue=BOOKKEEPING_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=attributes,
                static_summary=name[:200],
                # A task that a dying worker took is given to another after this: a stop waits no longer for it.
                task_timeout=_TASK_TIMEOUT,
                rpc_timeout=_CALL_WITHIN,
            )
        except WorkflowAlreadyStartedError:
            return
        except RPCError as error:
            raise _unreachable(error) from error

    async def signal(self, message_id: str, generation: int, command: Command) -> bool:
        """Signal a command; return False when there is no running workflow to hear it."""
        handle = self._client.get_workflow_handle(workflow_id(message_id, generation))
        argument = {
            "command_id": command.command_id,
            "actor": command.actor,
            "reason": command.reason,
            "source": command.source,
            "requested_at": command.requested_at.isoformat(),
        }
        try:
            await handle.signal(command.verb.value, argument, rpc_timeout=_CALL_WITHIN)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise _unreachable(error) from error
        return True

    async def wake(self, message_id: str, generation: int) -> None:
        """Tell a workflow that waits under the hold to look again."""
        try:
            handle = self._client.get_workflow_handle(workflow_id(message_id, generation))
            await handle.signal("wake", rpc_timeout=_CALL_WITHIN)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _unreachable(error) from error

    async def terminate(self, message_id: str, generation: int, reason: str) -> bool:
        """Terminate the workflow of this generation; return False when there was none running, which is success too."""
        try:
            handle = self._client.get_workflow_handle(workflow_id(message_id, generation))
            await handle.terminate(reason=reason, rpc_timeout=_CALL_WITHIN)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise _unreachable(error) from error
        return True

    async def presence(self, message_id: str, generation: int) -> Presence:
        """Ask Temporal itself, not its eventually consistent listing."""
        try:
            handle = self._client.get_workflow_handle(workflow_id(message_id, generation))
            description = await handle.describe(rpc_timeout=_CALL_WITHIN)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Presence.UNKNOWN
            raise _unreachable(error) from error
        running = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)
        return Presence.RUNNING if description.status in running else Presence.CLOSED

    async def closed_by_hand_since(self, since: datetime) -> AsyncIterator[tuple[str, int]]:
        """Yield (message id, generation) of workflows that somebody closed since: a hint, since listings lag behind."""
        query = (
            f'WorkflowType = "{WORKFLOW_TYPE}" AND CloseTime > "{since.isoformat()}" AND ExecutionStatus IN'
            ' ("Terminated", "Canceled", "Failed", "TimedOut")'
        )
        try:
            async for execution in self._client.list_workflows(query, rpc_timeout=_CALL_WITHIN):
                match execution.id.split("/"):
                    case ["batch-send", message_id, generation] if generation.isdigit():
                        yield message_id, int(generation)
        except RPCError as error:
            raise _unreachable(error) from error


def _unreachable(error: RPCError) -> Unreachable:
    return Unreachable(f"Temporal does not answer as it should: {error.message.rstrip('.')}.")
