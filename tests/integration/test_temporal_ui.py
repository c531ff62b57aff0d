"""What an operator sees in the Temporal UI, read through its API in every state; and what is not there: addresses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.json_format import MessageToJson
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle

from client.temporal import MESSAGE_ID, MESSAGE_NAME, STATUS, Workflows
from models.message import MessageStatus, workflow_id
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from workflows.state import Knobs


async def details_of(handle: WorkflowHandle[Any, Any]) -> str:
    """The current details, asked the way the Temporal UI asks for them."""
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return str(metadata.current_details)


async def summaries_of(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """Summaries of timers and activities, in the order of the history."""
    events = (await handle.fetch_history()).events
    return [json.loads(e.user_metadata.summary.data) for e in events if e.user_metadata.summary.data]


async def status_attribute(handle: WorkflowHandle[Any, Any]) -> str | None:
    return (await handle.describe()).typed_search_attributes.get(STATUS)


async def test_every_state_can_be_read(harness: Harness) -> None:
    await harness.add_contacts(1000)
    canceled, message_id = [await harness.draft(name="Spring sale") for _ in range(2)]
    scheduled, handle = harness.handle(canceled), harness.handle(message_id)
    async with harness.worker(lanes=1):
        at = datetime.now(UTC) + timedelta(days=1)
        await harness.send(canceled, at=at)

        async def sleeps() -> bool:
            return any("Spring sale: to be sent at" in summary for summary in await summaries_of(scheduled))

        await eventually(sleeps)
        attributes = (await scheduled.describe()).typed_search_attributes
        assert attributes.get(MESSAGE_ID) == canceled
        assert attributes.get(MESSAGE_NAME) == "Spring sale"
        assert attributes.get(STATUS) == MessageStatus.SCHEDULED
        assert f"**scheduled** · Spring sale: to be sent at {at:%Y-%m-%d %H:%M:%S} UTC" in await details_of(scheduled)
        await harness.use_cases.cancel(canceled, asked_by())
        await scheduled.result()
        assert await status_attribute(scheduled) == MessageStatus.CANCELED

        await harness.send(message_id)
        await harness.until_in_mid_send(50)
        assert await status_attribute(handle) == MessageStatus.SENDING
        assert "**sending**" in await details_of(handle)

        await harness.use_cases.pause(message_id, asked_by("the link\nis broken"))

        async def says_paused() -> bool:
            said = "**paused** · by operator: the link is broken · nothing leaves until it is resumed"
            return said in await details_of(handle)

        await eventually(says_paused)
        assert await status_attribute(handle) == MessageStatus.PAUSED
        counts = await harness.counts(message_id)
        details = await details_of(handle)
        assert f"| sent | {counts.sent:,} |" in details
        assert f"| pending | {counts.pending:,} |" in details
        assert "| **total** | **1,000** |" in details

        harness.smtp.set(delay_ms=0)
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
        assert (await handle.result())["status"] == MessageStatus.SENT
        assert await status_attribute(handle) == MessageStatus.SENT
        assert "| sent | 1,000 |" in await details_of(handle)

    said = await summaries_of(handle)
    for expected in (
        "take the message on",
        "look at the ledger",
        "lane 1 of 1, 1,000 recipients to go",
        "pause: close the gate, wait until nothing is in flight",
    ):
        assert expected in said


async def test_messages_are_found_by_their_search_attributes(harness: Harness) -> None:
    """The query of the operations page: every message that is sending, to be paused by one command."""
    await harness.add_contacts(1)
    message_id = await harness.draft(name="Findable")
    async with harness.worker():
        await harness.send(message_id, at=datetime.now(UTC) + timedelta(days=1))

        async def found() -> list[str]:
            query = (
                f'SendgateMessageId = "{message_id}" AND SendgateMessageName = "Findable"'
                ' AND SendgateStatus = "scheduled" AND ExecutionStatus = "Running"'
            )
            return [execution.id async for execution in harness.client.list_workflows(query)]

        assert await eventually(found) == [workflow_id(message_id, 1)]


async def test_slots_have_a_bar_each_and_the_next_is_named_on_the_timer(harness: Harness) -> None:
    await harness.add_contacts(200, prefix="t", time_zone="Asia/Tokyo")
    await harness.add_contacts(100, prefix="u", time_zone="UTC")
    message_id = await harness.draft()
    handle = harness.handle(message_id)
    in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).replace(second=0, microsecond=0)
    async with harness.worker():
        # It has passed in Tokyo, which goes at once.
        await harness.send(message_id, at=in_an_hour.replace(tzinfo=None), time_zone="contact")
        next_one = f"{in_an_hour:%H:%M} UTC, 100 recipients at {in_an_hour:%Y-%m-%d %H:%M:%S} UTC"

        async def sleeps() -> bool:
            return next_one in await summaries_of(handle)

        await eventually(sleeps)
        details = (await details_of(handle)).replace("\u00a0", "")
    assert f"**sending** · {next_one}" in details
    assert " Asia/Tokyo |▰▰▰▰▰▰▰▰▰▰| 200 of 200 |" in details
    assert f"| {in_an_hour:%H:%M} UTC |▱▱▱▱▱▱▱▱▱▱| 0 of 100 |" in details


async def test_throttle_batches_have_a_bar_each_and_the_next_is_on_the_timer(harness: Harness) -> None:
    await harness.add_contacts(300)
    message_id = await harness.draft()
    handle = harness.handle(message_id)
    async with harness.worker():
        await harness.send(message_id, throttle={"batch_size": 100, "every": "1h"})

        async def sleeps() -> bool:
            return any(
                "the next throttle batch, 200 recipients in none yet at" in s for s in await summaries_of(handle)
            )

        await eventually(sleeps)
        details = (await details_of(handle)).replace("\u00a0", "")
    assert "UTC |▰▰▰▰▰▰▰▰▰▰| 100 of 100 |" in details
    assert "| in no batch yet |▱▱▱▱▱▱▱▱▱▱| 0 of 200 |" in details


async def test_details_are_set_again_after_continue_as_new(harness: Harness) -> None:
    harness.workflows = Workflows(harness.client, knobs=Knobs(continue_after_events=30))
    await harness.add_contacts(300)
    message_id = await harness.draft()
    handle = harness.handle(message_id)
    async with harness.worker(lanes=1):
        await harness.send(message_id, at=datetime.now(UTC) + timedelta(days=1))
        for _ in range(12):
            await handle.signal("resume")

        async def continued() -> bool:
            return bool((await handle.query("get_progress"))["runs"] >= 2)

        await eventually(continued)

        async def says_so() -> bool:
            return "**scheduled** · News: to be sent at" in await details_of(handle)

        await eventually(says_so)
        assert (await handle.describe()).typed_search_attributes.get(STATUS) == MessageStatus.SCHEDULED


async def test_no_address_and_no_text_is_in_the_history(harness: Harness) -> None:
    """One history with everything in it: refusals, deferrals, a missing server, commands; searched as raw JSON."""
    await harness.add_contacts(300, prefix="secretperson")
    harness.smtp.refuse("secretperson7@", "421 4.3.2 <secretperson7@example.com> come back later")
    message_id = await harness.draft(subject="Unmistakable subject", text="Unmistakable text")
    handle = harness.handle(message_id)
    async with harness.worker(lanes=2):
        await harness.send(message_id)
        await harness.until_left(100)
        await harness.use_cases.pause(message_id, asked_by())
        harness.smtp.set(refuse=[])
        if await harness.status(message_id) is MessageStatus.PAUSED:
            await harness.use_cases.resume(message_id, asked_by())

        async def nearly_over() -> bool:
            counts = await harness.counts(message_id)
            return counts.sent + counts.deferred == 300

        await eventually(nearly_over, within=30)
        history = await handle.fetch_history()
    # Payloads are base64 in the JSON; decode every one of them.
    raw = "".join(MessageToJson(event) for event in history.events)
    payloads = b"".join(payload for event in history.events for payload in _payloads(event))
    for secret in ("secretperson", "@example.com", "Unmistakable"):
        assert secret not in raw
        assert secret.encode() not in payloads


def _payloads(message: Any) -> list[bytes]:
    """Every bytes field of a protobuf message, however deep."""
    found: list[bytes] = []
    for descriptor, value in message.ListFields():
        values = value.values() if hasattr(value, "values") else value if _is_repeated(value) else [value]
        for each in values:
            if isinstance(each, bytes):
                found.append(each)
            elif hasattr(each, "ListFields"):
                found += _payloads(each)
        del descriptor
    return found


def _is_repeated(value: Any) -> bool:
    return hasattr(value, "append") and not isinstance(value, bytes)
