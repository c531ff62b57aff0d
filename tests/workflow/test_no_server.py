"""A next hop that is away more than once: each outage counts for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from models.commands import Verb
from tests.workflow.story import Story, deliveries
from tests.workflow.virtual import VirtualHarness

STEPS = [
    "11:00 send",
    "11:59 next-hop leaves",
    "12:10 next-hop returns",
    "12:44 next-hop leaves",
    "12:55 next-hop returns",
]


@pytest.fixture
async def story(virtual: VirtualHarness) -> AsyncIterator[Story]:
    async with AsyncExitStack() as workers:
        yield Story(virtual, workers)


async def test_two_short_outages_an_hour_apart_are_not_one_long_one(virtual: VirtualHarness, story: Story) -> None:
    """A server that is away for half an hour has the message paused; these were away for eleven minutes each."""
    await story.prepare({"p1-p6": None})
    throttle = {"batch_size": 3, "every": "45m"}
    await story.go(STEPS, {"at": "2040-06-04T12:00:00Z", "throttle": throttle})
    await virtual.skipping.sleep(timedelta(days=1))
    await virtual.sent(story.message_id)
    assert [entry.command for entry in await virtual.use_cases.history(story.message_id)] == [Verb.SEND]
    assert story.got == deliveries("12:10 p1-p3", "12:55 p4-p6")
