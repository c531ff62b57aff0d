"""What is said beforehand is what comes: the plan, the progress and the preview of a resume, in typed numbers."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType

from models.schedule import PassedZones, Schedule
from models.wall_clock import ClockChange
from tests.workflow.story import Story, deliveries, when
from tests.workflow.virtual import VirtualHarness

THREES = {"batch_size": 3, "every": "15m"}
NINE_O_CLOCK: dict[str, Any] = {"at": "2040-06-05T09:00", "time_zone": "contact"}


async def test_the_plan_says_who_is_due_when_and_stores_nothing(virtual: VirtualHarness, story: Story) -> None:
    await virtual.skip_to(when("2040-03-20T10:00"))
    await story.prepare({"o1-o3": "Europe/Oslo", "t1-t2": "Asia/Tokyo", "m1": "Mars/Olympus", "z1-z2": None})
    schedule = Schedule.model_validate({"at": "2040-03-25T02:30", "time_zone": "contact"})
    preview = await virtual.use_cases.plan(story.message_id, schedule)
    plan = preview.plan
    assert [(slot.due_at, slot.contacts) for slot in plan.slots] == [
        (when("2040-03-24T17:30"), 2),
        (when("2040-03-25T01:30"), 3),
        (when("2040-03-25T02:30"), 3),
    ]
    oslo = plan.slots[1].zones[0]
    assert (oslo.time_zone, f"{oslo.local_time:%H:%M}", oslo.clock_change) == (
        "Europe/Oslo",
        "03:30",
        ClockChange.MOVED_FORWARD,
    )
    assert (plan.without_time_zone, plan.invalid_time_zone, plan.invalid_time_zones) == (2, 1, {"Mars/Olympus": 1})
    assert preview.schedule.fallback_time_zone == plan.fallback_time_zone == "UTC"
    assert await virtual.pool.fetchval("select status from messages") == "draft"
    assert await virtual.pool.fetchval("select count(*) from recipients") == 0


async def test_the_planned_batches_are_those_that_come(virtual: VirtualHarness, story: Story) -> None:
    await virtual.skip_to(when("10:00"))
    await story.prepare({"t1-t5": "Asia/Tokyo", "o1-o2": "Europe/Oslo", "n1-n4": "America/New_York"})
    schedule = NINE_O_CLOCK | {"throttle": THREES | {"ends_at": "2040-06-05T13:10:00Z"}}
    throttle = (await virtual.use_cases.plan(story.message_id, Schedule.model_validate(schedule))).plan.throttle
    assert throttle is not None
    await story.go(["10:00 send"], schedule)
    await virtual.skipping.sleep(timedelta(days=3))
    assert {batch.opens_at: batch.size for batch in throttle.listed} == {
        moment: len(names) for moment, names in story.got.items()
    }
    assert throttle.expired == 1 == (await virtual.counts(story.message_id)).expired


async def test_passed_zones_are_marked_in_the_plan(virtual: VirtualHarness, story: Story) -> None:
    await virtual.skip_to(when("10:00"))
    await story.prepare({"t1-t2": "Asia/Tokyo", "n1": "America/New_York"})
    for passed, due_at in (
        (PassedZones.SEND, when("10:00")),
        (PassedZones.NEXT_DAY, when("+1d 03:00")),
        (PassedZones.SKIP, when("03:00")),
    ):
        schedule = Schedule.model_validate({"at": "2040-06-04T12:00", "time_zone": "contact", "passed_zones": passed})
        plan = (await virtual.use_cases.plan(story.message_id, schedule)).plan
        slot = next(slot for slot in plan.slots if slot.zones[0].time_zone == "Asia/Tokyo")
        assert (slot.passed, slot.due_at.replace(second=0, microsecond=0)) == (passed, due_at)
        assert plan.skipped == (2 if passed is PassedZones.SKIP else 0)


async def test_progress_tells_slot_by_slot(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"t1-t2": "Asia/Tokyo", "e1": "Asia/Seoul", "o1-o3": "Europe/Oslo", "n1": "America/New_York"})
    await story.go(["10:00 send", "+1d 08:00 suppress n1"], NINE_O_CLOCK)
    progress = await virtual.use_cases.progress(story.message_id)
    assert [(slot.due_at, slot.label, slot.counts.sent, slot.counts.pending) for slot in progress.slots] == [
        (when("+1d 00:00"), "09:00 Asia/Tokyo and 1 more", 3, 0),
        (when("+1d 07:00"), "09:00 Europe/Oslo", 3, 0),
        (when("+1d 13:00"), "09:00 America/New_York", 0, 1),
    ]
    assert progress.slots[0].zones == ["Asia/Tokyo", "Asia/Seoul"]
    assert progress.next_slot_at == progress.eta == when("+1d 13:00")
    assert progress.rate_per_second is None  # nothing leaves between two slots
    assert sum(slot.counts.total for slot in progress.slots) == progress.counts.total == 7


async def test_progress_of_a_throttle_knows_the_grid(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"p1-p10": None})
    await story.go(["10:00 send", "10:20 look"], {"throttle": THREES})
    progress = await virtual.use_cases.progress(story.message_id)
    throttle = progress.throttle
    assert throttle is not None
    assert [(batch.turn, batch.size, batch.counts.sent) for batch in throttle.batches] == [(0, 3, 3), (1, 3, 3)]
    assert (throttle.waiting, throttle.to_come, throttle.will_expire) == (4, 2, 0)
    start = throttle.batches[0].turn_at
    assert start.replace(second=0, microsecond=0) == when("10:00")
    assert throttle.next_opens_at == progress.next_slot_at == start + timedelta(minutes=30)
    assert throttle.last_opens_at == progress.eta == start + timedelta(minutes=45)


async def test_the_preview_of_a_resume_in_an_interrupted_batch(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"p1-p10": None})
    await story.go(
        ["10:00 send", "10:15 pause after 1", "10:20 join j1-j2", "10:21 leave p9", "10:22 suppress p8", "10:50 look"],
        {"throttle": THREES | {"ends_at": "2040-06-04T11:10:00Z"}},
    )
    preview = await virtual.use_cases.resume_preview(story.message_id)
    assert (preview.joiners, preview.leavers, preview.suppressed) == (2, 1, 1)
    assert (preview.at_once, preview.batch_rest) == (2, 2)  # p5 and p6
    assert preview.turns_missed == 2  # 10:30 and 10:45
    assert preview.next_begins_at is not None
    assert preview.next_begins_at.replace(second=0, microsecond=0) == when("11:00")
    assert preview.finishes_at == preview.next_begins_at
    assert (preview.batches_to_come, preview.expired, preview.will_expire) == (1, 0, 1)  # p7, p10 and j1; j2 expires
    assert preview.to_send == 5
    later = await virtual.use_cases.resume_preview(story.message_id, ends_at=when("12:00"))
    assert (later.batches_to_come, later.will_expire, later.to_send) == (2, 0, 6)
    # And so it comes; nothing of the previews was stored.
    await story.go(["10:51 resume"])
    await virtual.skipping.sleep(timedelta(days=1))
    assert story.got == deliveries("10:00 p1-p3", "10:15 p4", "10:51 p5-p6", "11:00 p7 p10 j1")
    counts = await virtual.counts(story.message_id)
    assert (counts.expired, counts.withdrawn, counts.suppressed) == (1, 1, 1)


async def test_the_preview_behind_the_end_date_says_who_expires_and_nothing_expires_before(
    virtual: VirtualHarness, story: Story
) -> None:
    await story.prepare({"p1-p10": None})
    await story.go(
        ["10:00 send", "10:15 pause after 1", "11:20 look"], {"throttle": THREES | {"ends_at": "2040-06-04T11:00:00Z"}}
    )
    assert (await virtual.counts(story.message_id)).expired == 0
    preview = await virtual.use_cases.resume_preview(story.message_id)
    assert (preview.expired, preview.batch_rest, preview.to_send, preview.batches_to_come) == (4, 2, 2, 0)
    assert preview.next_begins_at is None
    later = await virtual.use_cases.resume_preview(story.message_id, ends_at=when("12:00"))
    assert (later.expired, later.to_send, later.batches_to_come) == (0, 6, 2)


async def test_the_preview_names_the_zones_that_go_at_once(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare(
        {"t1": "Asia/Tokyo", "k1-k2": "Asia/Kathmandu", "o1": "Europe/Oslo", "n1-n3": "America/New_York"}
    )
    await story.go(["10:00 send", "+1d 01:00 pause", "+1d 01:05 move n3 to Asia/Tokyo", "+1d 08:00 look"], NINE_O_CLOCK)
    preview = await virtual.use_cases.resume_preview(story.message_id)
    labels = [(slot.label, slot.recipients) for slot in preview.slots_at_once]
    assert labels[:2] == [("09:00 Asia/Kathmandu", 2), ("09:00 Europe/Oslo", 1)]
    assert preview.moved == 1
    assert preview.at_once == 4
    assert preview.next_begins_at == preview.finishes_at == when("+1d 13:00")
    assert preview.to_send == 6


async def test_a_slot_that_is_there_because_a_zone_was_edited_has_its_name(
    virtual: VirtualHarness, story: Story
) -> None:
    await story.prepare({"o1-o3": "Europe/Oslo", "n1-n2": "America/New_York"})
    await story.go(["10:00 send", "+1d 07:05 pause", "+1d 07:06 move n1 to America/Chicago"], NINE_O_CLOCK)
    await story.go(["+1d 07:10 resume"])
    slots = (await virtual.use_cases.progress(story.message_id)).slots
    assert [(slot.due_at, slot.label, slot.counts.total) for slot in slots] == [
        (when("+1d 07:00"), "09:00 Europe/Oslo", 3),
        (when("+1d 13:00"), "09:00 America/New_York", 1),
        (when("+1d 14:00"), "09:00 America/Chicago", 1),
    ]


async def test_a_timer_says_what_it_is_for(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"a1-a3": "Pacific/Auckland"})
    await story.go(["10:00 send", "22:00 look"], NINE_O_CLOCK)
    history = await virtual.handle(story.message_id).fetch_history()
    summaries = [
        json.loads(event.user_metadata.summary.data)
        for event in history.events
        if event.event_type is EventType.EVENT_TYPE_TIMER_STARTED
    ]
    looks = [
        f"News: look whether somebody is due at 2040-06-04 {time} UTC" for time in ("19:00:00", "20:00:00", "20:15:00")
    ]
    assert summaries == [*looks, "News: to be sent at 2040-06-04 21:00:00 UTC"]
