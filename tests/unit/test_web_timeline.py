"""The picture of a send's slots: where each stands, how it looks, and what the axis says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from client.interface import Progress
from client.web.timeline import MOST_DRAWN, Look, Timeline, planned, timeline
from client.web.words import Clock
from models.message import Counts, Message, MessageStatus
from models.plan import describe_plan
from models.progress import BatchProgress, SlotProgress, ThrottleProgress
from models.schedule import CONTACT, PassedZones, Schedule, Throttle
from models.slots import make_plan

START = datetime(2031, 3, 1, 9, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DONE, OPEN = Counts(total=10, sent=10), Counts(total=10, sent=4, pending=6)


def message(status: MessageStatus, every: timedelta | None = None) -> Message:
    throttle = Throttle(batch_size=10, every=every) if every else None
    return Message(
        id="m",
        name="News",
        from_address="a@example.com",
        subject="s",
        status=status,
        schedule=Schedule(throttle=throttle),
        created_at=START,
        updated_at=START,
    )


def progress(status: MessageStatus, **fields: Any) -> Progress:
    nothing: dict[str, Any] = dict.fromkeys(
        ("pending_command", "rate_per_second", "eta", "began_at", "finished_at", "next_slot_at")
    )
    return Progress(**nothing | {"id": "m", "status": status, "counts": Counts(), "in_flight": 0} | fields)


def by_zone(*slots: tuple[timedelta, Counts], status: MessageStatus = MessageStatus.SENDING, now: datetime) -> Timeline:
    shown = [
        SlotProgress(due_at=START + after, label=f"slot {n}", zones=[], counts=counts)
        for n, (after, counts) in enumerate(slots)
    ]
    drawn = timeline(message(status), progress(status, slots=shown), Clock("UTC"), now=now)
    assert drawn is not None
    return drawn


def throttled(turns: list[int], *, status: MessageStatus, now: datetime, to_come: int, waiting: int) -> Timeline:
    batches = [
        BatchProgress(turn=turn, turn_at=START + turn * HOUR, opened_at=START + turn * HOUR, size=10, counts=DONE)
        for turn in turns
    ]
    following = START + (max(0, -((START - now) // HOUR)) or 1) * HOUR
    throttle = ThrottleProgress(
        opened=len(turns),
        batches=batches,
        waiting=waiting,
        to_come=to_come,
        next_opens_at=following if to_come else None,
        last_opens_at=None,
        ends_at=None,
        will_expire=0,
    )
    drawn = timeline(message(status, HOUR), progress(status, throttle=throttle), Clock("UTC"), now=now)
    assert drawn is not None
    return drawn


def test_everybody_at_one_instant_is_no_picture() -> None:
    drawn = timeline(message(MessageStatus.SENDING), progress(MessageStatus.SENDING), Clock("UTC"), now=START)
    assert drawn is None


def test_slots_are_past_running_stopped_missed_or_to_come() -> None:
    gone = Counts(total=10, expired=10)
    slots = ((timedelta(0), DONE), (HOUR, gone), (2 * HOUR, OPEN), (5 * HOUR, Counts(total=10, pending=10)))
    now = START + 3 * HOUR
    expected = [Look.PAST, Look.MISSED, Look.RUNNING, Look.TO_COME]
    assert [bar.look for bar in by_zone(*slots, now=now).bars] == expected
    stopped = by_zone(*slots, status=MessageStatus.PAUSED, now=now)
    assert [bar.look for bar in stopped.bars] == [Look.PAST, Look.MISSED, Look.STOPPED, Look.TO_COME]
    assert stopped.summary == "4 in all: 1 past, 1 stopped in its midst, 1 to come, 1 missed"
    assert [bar.done for bar in stopped.bars][2] == 40


def test_a_few_zones_stand_on_an_axis_of_26_hours() -> None:
    drawn = by_zone((timedelta(0), DONE), (13 * HOUR, OPEN), now=START)
    assert round(drawn.bars[1].left - drawn.bars[0].left) == round(13 / 26 / 1.1 * 100)


def test_turns_at_which_nothing_opened_are_missed_between_batches_and_in_a_pause() -> None:
    drawn = throttled([0, 1, 4], status=MessageStatus.SENDING, now=START + 4.5 * HOUR, to_come=2, waiting=20)
    looks = [bar.look for bar in drawn.bars]
    assert looks == [Look.PAST, Look.PAST, Look.MISSED, Look.MISSED, Look.PAST, Look.TO_COME, Look.TO_COME]
    paused = throttled([0, 1], status=MessageStatus.PAUSED, now=START + 3.5 * HOUR, to_come=1, waiting=10)
    assert [bar.look for bar in paused.bars] == [Look.PAST, Look.PAST, Look.MISSED, Look.MISSED, Look.TO_COME]
    assert [bar.label for bar in paused.bars if bar.look is Look.TO_COME] == ["batch 3"]


def test_of_many_batches_to_come_the_rest_is_a_number() -> None:
    drawn = throttled([0], status=MessageStatus.SENDING, now=START + MINUTE, to_come=1_000, waiting=10_000)
    assert len(drawn.bars) == 1 + MOST_DRAWN
    assert drawn.more == 1_000 - MOST_DRAWN


def test_a_plan_has_all_to_come_but_the_zones_that_are_skipped() -> None:
    schedule = Schedule(
        at=datetime(2031, 3, 1, 9),  # noqa: DTZ001  # wall-clock
        time_zone=CONTACT,
        fallback_time_zone="UTC",
        passed_zones=PassedZones.SKIP,
    )
    zones: dict[str | None, int] = {"Asia/Tokyo": 5, "UTC": 10, "America/New_York": 2}
    plan = describe_plan(schedule, make_plan(schedule, accepted_at=START - HOUR), zones, accepted_at=START - HOUR)
    drawn = planned(plan, schedule, Clock("UTC"), now=START - HOUR)
    assert drawn is not None
    assert [(bar.label, bar.look, bar.size) for bar in drawn.bars] == [
        ("09:00 Asia/Tokyo", Look.MISSED, 5),
        ("09:00 UTC", Look.TO_COME, 10),
        ("09:00 America/New_York", Look.TO_COME, 2),
    ]
    assert round(drawn.bars[2].left - drawn.bars[1].left) == round(5 / 26 / 1.1 * 100), "on the axis of 26 hours"
    assert (drawn.counted_at, drawn.in_batches) == (START - HOUR, False)


def test_of_a_plan_of_many_batches_the_rest_is_a_number() -> None:
    schedule = Schedule(throttle=Throttle(batch_size=10, every=HOUR))
    plan = describe_plan(schedule, make_plan(schedule, accepted_at=START), {None: 9_995}, accepted_at=START)
    drawn = planned(plan, schedule, Clock("UTC"), now=START)
    assert drawn is not None
    assert drawn.more + len(drawn.bars) == 1_000
    assert (drawn.bars[1].at, drawn.bars[1].label, drawn.in_batches) == (START + HOUR, "batch 2", True)


@given(
    st.lists(st.integers(0, 60 * 24 * 30), min_size=1, max_size=60, unique=True),
    st.integers(-60 * 24 * 40, 60 * 24 * 40),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York"]),
)
def test_everything_is_inside_the_picture_and_in_order(minutes: list[int], now: int, zone: str) -> None:
    shown = [
        SlotProgress(due_at=START + minute * MINUTE, label="slot", zones=[], counts=OPEN) for minute in sorted(minutes)
    ]
    drawn = timeline(
        message(MessageStatus.SENDING),
        progress(MessageStatus.SENDING, slots=shown),
        Clock(zone),
        now=START + now * MINUTE,
    )
    assert drawn is not None
    lefts = [bar.left for bar in drawn.bars]
    assert lefts == sorted(lefts)
    assert min(lefts) - drawn.width / 2 >= 0
    assert max(lefts) + drawn.width / 2 <= 100
    assert all(0 < bar.height <= 100 for bar in drawn.bars)
    assert drawn.now is None or 0 <= drawn.now <= 100
    assert 1 <= len(drawn.ticks) <= 9
    assert all(0 < tick.left < 100 for tick in drawn.ticks)
