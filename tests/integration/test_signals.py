"""Commands given through Temporal itself: raw signals with any argument, its command line, its own cancel."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from models.commands import Command, HistoryEntry, ReceiptOutcome, Verb
from models.message import MessageStatus, workflow_id
from storage import commands
from storage.sending import Sending
from tests.eventually import eventually
from tests.harness import Harness, asked_by


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
    harness.smtp.set(delay_ms=50)
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
    harness.smtp.set(delay_ms=50)
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


# -- one id for several commands


async def sending_side_by_side(harness: Harness, number: int) -> list[str]:
    """Messages that are all in mid-send, each to people of its own. Needs a worker."""
    harness.smtp.set(delay_ms=15)  # a window settles within seconds, and the whole does not
    made = []
    for place in range(number):
        await harness.add_contacts(400, list_name=f"list{place}", prefix=f"m{place}x")
        made.append(await harness.draft(lists=(f"list{place}",)))
    for message_id in made:
        await harness.send(message_id)

    async def all_send() -> bool:
        return all([(await harness.counts(message_id)).sent for message_id in made])

    await eventually(all_send)
    return made


async def answers(harness: Harness, message_id: str, verb: Verb) -> list[HistoryEntry]:
    """The message's commands of this verb, once all of its commands are answered and one of this verb is there."""

    async def answered() -> bool:
        history = await harness.use_cases.history(message_id)
        return all(entry.receipt for entry in history) and any(entry.command is verb for entry in history)

    await eventually(answered)
    return [entry for entry in await harness.use_cases.history(message_id) if entry.command is verb]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(("verb", "after"), [(Verb.PAUSE, MessageStatus.PAUSED), (Verb.CANCEL, MessageStatus.CANCELED)])
@pytest.mark.parametrize("source", [None, "cli"], ids=["no source", "a source of ours"])
async def test_one_stop_with_one_id_to_many_messages_stops_each_of_them(
    harness: Harness, number: int, verb: Verb, after: MessageStatus, source: str | None
) -> None:
    """As a signal by a query does: it carries one argument for all of them."""
    async with harness.worker(lanes=1, smtp_connections=2 * number):
        messages = await sending_side_by_side(harness, number)
        argument = {"command_id": "inc-42", "actor": "al", "reason": "the page is down"}
        argument |= {"source": source} if source else {}
        for _ in range(2):  # the second time changes nothing
            for message_id in messages:
                await harness.handle(message_id).signal(verb.value, argument)
        stopped_at = {}
        for message_id in messages:
            await harness.until(message_id, after)
            [entry] = await answers(harness, message_id, verb)
            assert (entry.actor, entry.reason) == ("al", "the page is down")
            assert entry.command_id in ("inc-42", f"inc-42/{message_id}")
            assert entry.receipt is not None
            assert entry.receipt.outcome is ReceiptOutcome.DONE
            assert entry.receipt.status_after == after
            assert entry.receipt.effective_at is not None
            stopped_at[message_id] = entry.receipt.effective_at.timestamp()
            assert (await harness.use_cases.message(message_id)).pending_command is None
        ids = {(await answers(harness, message_id, verb))[0].command_id for message_id in messages}
        assert len(ids) == number
        assert "inc-42" in ids
    for place, message_id in enumerate(messages):
        mine = [email for email in harness.smtp.accepted() if email.recipient.startswith(f"m{place}x")]
        assert 0 < len(mine) < 400
        assert all(email.at <= stopped_at[message_id] for email in mine), "emails left after the receipt"


async def test_an_id_that_a_message_had_with_another_verb_stops_it_all_the_same(harness: Harness) -> None:
    async with harness.worker(lanes=1, smtp_connections=2):
        [message_id] = await sending_side_by_side(harness, 1)
        handle = harness.handle(message_id)
        for verb, after in (
            (Verb.PAUSE, MessageStatus.PAUSED),
            (Verb.RESUME, MessageStatus.SENDING),
            (Verb.CANCEL, MessageStatus.CANCELED),
        ):
            await handle.signal(verb.value, {"command_id": "inc-42"})
            await harness.until(message_id, after)
            [entry] = await answers(harness, message_id, verb)
            assert entry.receipt is not None
            assert (entry.receipt.outcome, entry.receipt.status_after) == (ReceiptOutcome.DONE, after)
            assert entry.command_id == ("inc-42" if verb is Verb.PAUSE else f"inc-42/{verb}")
    await harness.assert_once_each(message_id)


async def test_a_stop_that_was_signaled_can_be_asked_for_again_at_a_door(harness: Harness) -> None:
    """By the id that it was given, and by the one that the history shows: either acts once, and says what was done."""
    async with harness.worker(lanes=1, smtp_connections=4):
        first, second = await sending_side_by_side(harness, 2)
        for message_id in (first, second):
            await harness.handle(message_id).signal("pause", {"command_id": "inc-42"})
            await harness.until(message_id, MessageStatus.PAUSED)
        for command_id in ("inc-42", f"inc-42/{second}"):
            again = await harness.use_cases.pause(second, asked_by(command_id=command_id))
            assert again.receipt is not None
            assert again.receipt.command_id == f"inc-42/{second}"
        assert len(await answers(harness, second, Verb.PAUSE)) == 1


async def test_a_stop_is_confirmed_by_its_own_receipt_alone(harness: Harness) -> None:
    """Another message's may be written, under the same id, between the two looks of a stop."""
    async with harness.worker(lanes=1, smtp_connections=4):
        first, second = await sending_side_by_side(harness, 2)
        sending = Sending(harness.pool, max_late=timedelta.max)
        stop = Command(
            command_id="inc-42", verb=Verb.PAUSE, actor="al", source="temporal", requested_at=datetime.now(UTC)
        )
        await sending.close_gate(second, 1, stop, 1)
        await sending.close_gate(first, 1, stop, 1)

        async def confirmed(message_id: str) -> bool:
            return await sending.confirm_stop(message_id, 1, stop, 1) is MessageStatus.PAUSED

        await eventually(lambda: confirmed(first))
        assert await commands.receipt(harness.pool, second, stop) is None
        await eventually(lambda: confirmed(second))
        assert await commands.receipt(harness.pool, second, stop) is not None
        assert await harness.status(second) is MessageStatus.PAUSED


async def test_canceling_the_workflow_in_temporal_is_a_cancel(harness: Harness) -> None:
    await harness.add_contacts(1000)
    message_id = await harness.draft()
    async with harness.worker(lanes=1):
        await harness.send(message_id)
        await harness.until_in_mid_send(50)
        await harness.handle(message_id).cancel()
        await harness.until(message_id, MessageStatus.CANCELED)
    await harness.assert_once_each(message_id)
    assert (await harness.counts(message_id)).canceled > 0
