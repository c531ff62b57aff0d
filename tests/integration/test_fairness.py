"""Many messages share a worker: a small one is not stuck behind a big one. And one message shares all workers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from models.message import MessageStatus, workflow_id
from tests.eventually import eventually
from tests.harness import Harness


async def test_a_small_message_is_done_while_big_ones_go_on(harness: Harness) -> None:
    await harness.add_contacts(6_000)
    await harness.add_contacts(30, list_name="few", prefix="f")
    harness.smtp.set(delay_ms=5)
    async with harness.worker(smtp_connections=8):
        big = [await harness.draft() for _ in range(7)]  # more lanes than one message may have
        for message_id in big:
            await harness.send(message_id)
        await harness.until_left(300)
        small = await harness.draft(lists=("few",))
        await harness.send(small)
        await harness.until(small, MessageStatus.SENT)
        counts = [await harness.counts(message_id) for message_id in big]
        assert all(each.pending > 3_000 for each in counts)
        assert all(each.sent + each.claimed > 0 for each in counts)  # they all take turns
        harness.smtp.set(delay_ms=0)
        for message_id in big:
            await harness.until(message_id, MessageStatus.SENT, within=120)
    assert len(harness.smtp.accepted()) == 7 * 6_000 + 30


async def test_lanes_of_a_message_spread_over_the_workers(harness: Harness, tmp_path: Path) -> None:
    """A worker that asks for several lanes at once gets three of four mostly, and all four now and then."""
    await harness.prepare_server()
    await harness.add_contacts(400)
    harness.smtp.set(delay_ms=5)  # no lane is over before the others are taken
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    with harness.worker_process(logs[0]), harness.worker_process(logs[1]):
        await eventually(lambda: all("working on" in log.read_text() for log in logs), within=60)
        spread = []
        for _ in range(20):
            message_id = await harness.draft()
            await harness.send(message_id)
            await harness.until(message_id, MessageStatus.SENT)
            spread.append(await lanes_by_worker(harness, message_id))
    evenly = [lanes for lanes in spread if sorted(lanes.values()) == [2, 2]]
    assert len(evenly) > len(spread) / 2, spread


async def lanes_by_worker(harness: Harness, message_id: str) -> Counter[str]:
    """Return how many of the first four lanes each worker had."""
    handle = harness.client.get_workflow_handle(workflow_id(message_id, 1))
    lanes: set[int] = set()
    taken: list[str] = []
    async for event in handle.fetch_history_events():
        started = event.activity_task_started_event_attributes
        if event.activity_task_scheduled_event_attributes.activity_type.name == "deliver":
            lanes.add(event.event_id)
        elif started.scheduled_event_id in lanes:
            taken.append(started.identity)
    return Counter(taken[:4])
