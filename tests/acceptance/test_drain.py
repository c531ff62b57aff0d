"""A worker that is told to end at a bad moment: in the middle of its first sweep, or with all lanes of a send."""

from __future__ import annotations

import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

from temporalio.api.enums.v1 import EventType

from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness

LANES = 4


async def test_a_worker_that_is_told_to_end_as_it_starts_ends_within_the_grace_time(
    harness: Harness, tmp_path: Path
) -> None:
    await harness.prepare_server()
    for number in range(8):  # a cancellation that the database's driver swallowed kept one in four of them for ever
        await ended_as_it_starts(harness, tmp_path / f"{number}.log")


async def ended_as_it_starts(harness: Harness, log: Path) -> None:
    def said(text: str) -> bool:
        return text in log.read_text()

    with harness.worker_process(log) as process:
        await eventually(lambda: said("working on"), within=60, every=0.002)
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None, within=60)
        assert process.returncode == 0
        assert not said("Traceback")


async def test_others_go_on_at_once_when_the_worker_of_all_lanes_ends(harness: Harness, tmp_path: Path) -> None:
    """Temporal waits five seconds for a workflow task that an ending worker took and dropped."""
    await harness.prepare_server()
    await harness.add_contacts(400)
    with ExitStack() as stack:
        process = stack.enter_context(harness.worker_process(tmp_path / "first.log"))
        for number in range(4):
            process = await replaced_in_mid_send(harness, process, tmp_path / f"{number}.log", stack)


async def replaced_in_mid_send(
    harness: Harness, process: subprocess.Popen[bytes], log: Path, stack: ExitStack
) -> subprocess.Popen[bytes]:
    """Send, end the only worker in the middle of it when there is another one, and return that."""
    harness.smtp.set(delay_ms=20)
    left = len(harness.smtp.accepted())
    message_id = await harness.draft()
    await harness.send(message_id)
    await harness.until_left(left + 50)
    other = stack.enter_context(harness.worker_process(log))
    await eventually(lambda: "working on" in log.read_text(), within=60)
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None, within=60)
    assert process.returncode == 0
    harness.smtp.set(delay_ms=0)
    await harness.until(message_id, MessageStatus.SENT)
    events = (await harness.handle(message_id).fetch_history()).events
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT not in {event.event_type for event in events}
    assert (await harness.counts(message_id)).sent == 400
    return other


async def test_others_take_over_the_lanes_of_a_worker_that_ends_before_their_slice_is_over(
    harness: Harness, tmp_path: Path
) -> None:
    await harness.prepare_server()
    await harness.add_contacts(3_000)
    harness.smtp.set(delay_ms=100)  # so that the send goes on for long
    message_id = await harness.draft()

    async def lanes_of(process: subprocess.Popen[bytes]) -> int:
        pending = (await harness.handle(message_id).describe()).raw_description.pending_activities
        return sum(int(lane.last_worker_identity.split("@")[0] or 0) == process.pid for lane in pending)

    with (
        harness.worker_process(tmp_path / "1.log") as first,
        harness.worker_process(tmp_path / "2.log") as second,
    ):
        await eventually(lambda: "working on" in (tmp_path / "1.log").read_text(), within=60)
        await eventually(lambda: "working on" in (tmp_path / "2.log").read_text(), within=60)
        await harness.send(message_id)

        async def are_spread() -> list[int] | None:
            spread = [await lanes_of(first), await lanes_of(second)]
            return spread if sum(spread) == LANES else None

        spread = await eventually(are_spread, within=60)
        assert spread is not None
        ending, staying = (first, second) if spread[0] else (second, first)
        ending.send_signal(signal.SIGTERM)

        async def have_gone_over() -> bool:
            return await lanes_of(staying) == LANES

        await eventually(have_gone_over, within=30)  # their slice lasts a minute
        counts = await harness.counts(message_id)
        assert counts.pending > 0
        assert counts.in_doubt == 0
        harness.smtp.set(delay_ms=0)
        await harness.until(message_id, MessageStatus.SENT, within=60)
    await harness.assert_once_each(message_id)
