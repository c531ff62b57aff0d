"""A next hop that is away: each outage counts for itself, over all runs, and each try waits a little longer."""

from __future__ import annotations

from datetime import timedelta

from client.temporal import Workflows
from models.commands import Verb
from models.message import MessageStatus, workflow_id
from tests.workflow.runs import runs_of
from tests.workflow.story import Story, deliveries, when
from tests.workflow.virtual import VirtualHarness
from workflows.state import Knobs

STEPS = [
    "11:00 send",
    "11:59 next-hop leaves",
    "12:10 next-hop returns",
    "12:44 next-hop leaves",
    "12:55 next-hop returns",
]
NOON = "2040-06-04T12:00:00Z"
THROTTLE = {"batch_size": 3, "every": "45m"}
#: Of an outage of four minutes: twice as long each time, and never longer than a minute.
WAITS = [1, 2, 4, 8, 16, 32, 60, 60]


async def waits_for_the_server(virtual: VirtualHarness, message_id: str) -> list[float]:
    """Return the seconds of every wait for the next hop, in their order, from the timers of the workflow's history."""
    history = await virtual.handle(message_id).fetch_history()
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds()
        for event in history.events
        if b"no mail server: gone" in event.user_metadata.summary.data
    ]


async def test_two_short_outages_an_hour_apart_are_not_one_long_one(virtual: VirtualHarness, story: Story) -> None:
    """A server that is away for half an hour has the message paused; these were away for eleven minutes each."""
    await story.prepare({"p1-p6": None})
    await story.go(STEPS, {"at": NOON, "throttle": THROTTLE})
    await virtual.skipping.sleep(timedelta(days=1))
    await virtual.sent(story.message_id)
    assert [entry.command for entry in await virtual.use_cases.history(story.message_id)] == [Verb.SEND]
    assert story.got == deliveries("12:10 p1-p3", "12:55 p4-p6")


async def test_each_wait_is_twice_the_one_before_up_to_a_minute_and_each_outage_begins_anew(
    virtual: VirtualHarness, story: Story
) -> None:
    await story.prepare({"p1-p6": None})
    outages = ["11:59 next-hop leaves", "12:04 next-hop returns", "12:44 next-hop leaves", "12:49 next-hop returns"]
    await story.go(["11:00 send", *outages], {"at": NOON, "throttle": THROTTLE})
    await virtual.skipping.sleep(timedelta(days=1))
    await virtual.sent(story.message_id)
    waits = await waits_for_the_server(virtual, story.message_id)
    second = waits.index(1, 1)
    for outage in (waits[:second], waits[second:]):
        assert outage[: len(WAITS)] == WAITS
        assert set(outage[len(WAITS) :]) <= {60}


async def test_an_outage_goes_on_counting_when_a_new_run_goes_on(virtual: VirtualHarness, story: Story) -> None:
    """Each run is shorter than the half hour after which the message is paused; the outage is not."""
    virtual.workflows = Workflows(virtual.client, knobs=Knobs(continue_after_events=120))
    await story.prepare({"p1-p6": None})
    await story.go(["11:00 send", "11:59 next-hop leaves"], {"at": NOON})
    await virtual.skip_to(when("12:45"))
    await virtual.until(story.message_id, MessageStatus.PAUSED)
    assert len(await runs_of(virtual.client, workflow_id(story.message_id, 1))) >= 3
    [pause] = [e for e in await virtual.use_cases.history(story.message_id) if e.command is Verb.PAUSE]
    assert pause.actor == "system"
    assert "since 2040-06-04 12:00" in pause.reason
    assert when("12:30") <= pause.requested_at <= when("12:32")
