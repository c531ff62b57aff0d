"""Commands given through Temporal itself: raw signals with any argument, its command line, its own cancel."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from models.message import MessageStatus, workflow_id
from tests.harness import Harness


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], ""),
        (["the page is down"], "the page is down"),
        ([42], "42"),
        ([["a", "b"]], "['a', 'b']"),
        ([{"reason": "r", "actor": "al"}], "r"),
        ([{"unknown": 1}], ""),
        ([{"reason": {"nested": True}, "command_id": 7}], "{'nested': True}"),
        (["one", "two", "three"], "one"),
        ([RawValue(Payload(metadata={"encoding": b"binary/encrypted"}, data=b"\xff\x00secret"))], "\ufffdsecret"),
    ],
    ids=["none", "text", "number", "list", "fields", "unknown field", "odd fields", "three", "undecodable"],
)
async def test_a_stop_is_never_lost_to_its_argument(harness: Harness, arguments: list[Any], reason: str) -> None:
    await harness.add_contacts(400)
    harness.smtp.set(delay_ms=5)
    message_id = await harness.draft()
    async with harness.worker(lanes=1, smtp_connections=2):
        await harness.send(message_id)
        await harness.until_left(1)
        handle = harness.handle(message_id)
        await handle.signal("pause", args=arguments)
        await harness.until(message_id, MessageStatus.PAUSED)
        entry = (await harness.use_cases.history(message_id))[-1]
        assert entry.receipt is not None
        assert entry.reason == reason
        assert entry.source == "temporal"


async def test_the_temporal_command_line_stops_a_send_by_id_and_by_query(harness: Harness) -> None:
    """As the operations page says it: no client of ours is needed for a stop."""
    await harness.add_contacts(400)
    harness.smtp.set(delay_ms=5)
    first, second = await harness.draft(), await harness.draft()

    async def signal(*options: str) -> None:
        address = harness.client.service_client.config.target_host
        temporal = str(Path(sys.executable).with_name("temporal"))
        process = await asyncio.create_subprocess_exec(
            *(temporal, "workflow", "signal", "--address", address, *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()

    async with harness.worker(lanes=1, smtp_connections=2):
        for message_id in (first, second):
            await harness.send(message_id)
        await harness.until_left(2)
        await signal("--workflow-id", workflow_id(first, 1), "--name", "pause", "--input", '"the page is down"')
        query = f'SendgateMessageId="{second}" AND ExecutionStatus="Running"'
        await signal("--query", query, "--name", "cancel", "--reason", "test", "--yes")
        await harness.until(first, MessageStatus.PAUSED)
        await harness.until(second, MessageStatus.CANCELED)
    assert (await harness.use_cases.history(first))[-1].reason == "the page is down"
    assert (await harness.use_cases.history(second))[-1].source == "temporal"


async def test_canceling_the_workflow_in_temporal_is_a_cancel(harness: Harness) -> None:
    await harness.add_contacts(1000)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        await harness.until_left(50)
        await harness.handle(message_id).cancel()
        await harness.until(message_id, MessageStatus.CANCELED)
    await harness.assert_once_each(message_id)
    assert (await harness.counts(message_id)).canceled > 0
