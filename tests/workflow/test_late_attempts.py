"""The database is away when something is to happen, and back much later: what is tried again knows what time it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest

from models.commands import Verb
from models.message import MessageStatus
from tests.workflow.story import Story, deliveries, when
from tests.workflow.virtual import VirtualHarness

UNTIL_TWENTY_PAST = {"batch_size": 3, "every": "15m", "ends_at": "2040-06-04T12:20:00Z"}
NOON = "2040-06-04T12:00:00Z"


@pytest.fixture
async def story(virtual: VirtualHarness) -> AsyncIterator[Story]:
    async with AsyncExitStack() as workers:
        yield Story(virtual, workers)


@asynccontextmanager
async def away(virtual: VirtualHarness, kind: str, name: str) -> AsyncIterator[None]:
    """Whatever needs it fails, and is tried again for ever."""
    await virtual.pool.execute(f"alter {kind} {name} rename to {name}_away")
    yield
    await virtual.pool.execute(f"alter {kind} {name}_away rename to {name}")


async def to_the_end(virtual: VirtualHarness, story: Story) -> None:
    await virtual.skipping.sleep(timedelta(days=1))
    await virtual.sent(story.message_id)


async def test_a_beginning_over_the_end_date_sends_nothing(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"p1-p10": None})
    await story.go(["10:00 send", "11:59 look"], {"at": NOON, "throttle": UNTIL_TWENTY_PAST})
    async with away(virtual, "table", "list_members"):
        await virtual.skip_to(when("12:30"))
    await to_the_end(virtual, story)
    assert story.got == {}
    await story.assert_counts({}, {"expired": 10})


async def test_an_opening_over_the_end_date_opens_nothing(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"p1-p10": None})
    await story.go(["10:00 send", "12:14 look"], {"at": NOON, "throttle": UNTIL_TWENTY_PAST})
    async with away(virtual, "function", "fill_batch"):
        await virtual.skip_to(when("12:30"))
    await to_the_end(virtual, story)
    got = deliveries("12:00 p1-p3")
    assert story.got == got
    await story.assert_counts(got, {"expired": 7})


async def test_a_beginning_that_comes_too_late_begins_paused(virtual: VirtualHarness, story: Story) -> None:
    await story.join("p1-p4", None)
    async with virtual.recording_worker(lanes=1, max_late=timedelta(minutes=10)):
        story.message_id = await virtual.draft()
        await story.go(["10:00 send", "11:59 look"], {"at": NOON})
        async with away(virtual, "table", "list_members"):
            await virtual.skip_to(when("12:25"))
        await virtual.until(story.message_id, MessageStatus.PAUSED)
        [pause] = [e for e in await virtual.use_cases.history(story.message_id) if e.command is Verb.PAUSE]
        assert pause.actor == "system"
        await story.go(["12:40 resume"])
        await to_the_end(virtual, story)
    assert story.got == deliveries("12:40 p1-p4")


async def test_a_lane_that_is_tried_again_reckons_the_next_try_from_when_it_was_refused(
    virtual: VirtualHarness, story: Story
) -> None:
    """Not from when the lane was asked for: that would be over, and the next try would follow at once."""
    await story.prepare({"p1-p2": None})
    virtual.next_hop.refusals = {"p1@example.com": [450]}
    async with away(virtual, "function", "claim_window"):
        await story.go(["11:59 send"], {"at": NOON, "retry": {"first_wait": "10m"}})
        await virtual.skip_to(when("12:30"))
    await to_the_end(virtual, story)
    [(refused_at, _)] = virtual.next_hop.refused
    [sent_at] = [moment for moment, address in virtual.next_hop.taken if address == "p1@example.com"]
    assert refused_at >= when("12:29")
    assert sent_at - refused_at >= timedelta(minutes=9)
