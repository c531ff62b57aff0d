"""A long throttle: the workflow goes on as a new run again and again, and nothing of it is lost."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from client.temporal import Workflows
from models.message import workflow_id
from tests.workflow.runs import runs_of
from tests.workflow.story import Story, deliveries, when
from tests.workflow.virtual import VirtualHarness
from workflows.state import Knobs

BATCHES = 100
MINUTE = timedelta(minutes=1)
EVENTS = 200  # after so many a new run goes on
LONGEST_STEP = 60  # events between two looks at the length of the history
FEWEST_RUNS = 10


async def test_a_hundred_batches_over_many_runs(virtual: VirtualHarness) -> None:
    virtual.workflows = Workflows(virtual.client, knobs=Knobs(continue_after_events=EVENTS))
    async with AsyncExitStack() as workers:
        story = Story(virtual, workers)
        throttle = {"batch_size": 2, "every": "1m"}
        await story.play({f"p1-p{2 * BATCHES}": None}, {"throttle": throttle}, ["10:00 send"])
    assert story.got == {
        when("10:00") + turn * MINUTE: {f"p{2 * turn + 1}", f"p{2 * turn + 2}"} for turn in range(BATCHES)
    }
    runs = await runs_of(virtual.client, workflow_id(story.message_id, 1))
    assert len(runs) >= FEWEST_RUNS
    assert max(run.events for run in runs) <= EVENTS + LONGEST_STEP
    assert [run.failed_tasks for run in runs] == [0] * len(runs)
    await story.assert_counts(story.got, {})


async def test_a_run_that_ends_between_two_turns_keeps_the_turn(virtual: VirtualHarness) -> None:
    """A turn waited for is not worked out anew by the next run, which would miss it when it begins late."""
    virtual.workflows = Workflows(virtual.client, knobs=Knobs(continue_after_events=20))
    async with AsyncExitStack() as workers:
        story = Story(virtual, workers)
        await story.play(
            {"p1-p10": None},
            {"throttle": {"batch_size": 3, "every": "15m"}},
            ["10:00 send", "10:20 pause", "10:25 resume"],
        )
    assert story.got == deliveries("10:00 p1-p3", "10:15 p4-p6", "10:30 p7-p9", "10:45 p10")
    assert len(await runs_of(virtual.client, workflow_id(story.message_id, 1))) >= FEWEST_RUNS // 2
