"""The plan as people read it: every contact once, what the clocks did to whom, and the throttle's batches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.plan import PlannedSlot, PlannedThrottle, SendPlan, describe_plan, list_batches
from models.schedule import PassedZones, Schedule
from models.slots import Plan, make_plan
from models.throttle import Batches, Forecast, Grid
from models.wall_clock import ClockChange
from tests.unit.throttle_simulation import simulate

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
#: 08:00 in Oslo, where 09:00 is still to come; in Tokyo it is 16:00, in Kathmandu 12:45.
MORNING = datetime(2026, 12, 1, 7, 0, tzinfo=UTC)

Audience = dict[str | None, int]
AUDIENCE: Audience = {
    "Europe/Oslo": 3,
    "Europe/Berlin": 5,
    "Asia/Tokyo": 2,
    "Asia/Kathmandu": 1,
    "Mars/Olympus": 6,
    None: 4,
}


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


def describe(schedule: dict[str, object], zones: Audience, *, accepted_at: datetime = NOW) -> SendPlan:
    checked = Schedule.model_validate(schedule)
    return describe_plan(checked, make_plan(checked, accepted_at=accepted_at), zones, accepted_at=accepted_at)


def by_zone(passed_zones: PassedZones = PassedZones.SEND, at: str = "2026-12-01T09:00") -> dict[str, object]:
    return {"at": at, "time_zone": "contact", "fallback_time_zone": "UTC", "passed_zones": passed_zones}


def rows(slots: list[PlannedSlot]) -> list[tuple[datetime, list[tuple[str, int]], PassedZones | None]]:
    return [(slot.due_at, [(zone.time_zone, zone.contacts) for zone in slot.zones], slot.passed) for slot in slots]


# -- who is due when ---------------------------------------------------------------------------------------------


def test_one_instant_for_everybody_is_one_slot_without_zones() -> None:
    plan = describe({"at": "2026-12-01T09:00+01:00"}, AUDIENCE)
    assert plan.slots == [PlannedSlot(due_at=read("2026-12-01T08:00Z"), contacts=21)]
    assert (plan.contacts, plan.without_time_zone, plan.invalid_time_zone, plan.skipped) == (21, 0, 0, 0)
    assert plan.invalid_time_zones == {}
    assert plan.first_due_at == plan.last_due_at == read("2026-12-01T08:00Z")
    assert plan.throttle is None
    assert plan.fallback_time_zone is None


def test_zones_of_one_instant_share_a_slot_the_largest_first() -> None:
    plan = describe(by_zone(), AUDIENCE)
    assert rows(plan.slots) == [
        (read("2026-12-01T00:00Z"), [("Asia/Tokyo", 2)], None),
        (read("2026-12-01T03:15Z"), [("Asia/Kathmandu", 1)], None),
        (read("2026-12-01T08:00Z"), [("Europe/Berlin", 5), ("Europe/Oslo", 3)], None),
        (read("2026-12-01T09:00Z"), [("UTC", 10)], None),  # four without a zone, six on Mars
    ]
    assert (plan.contacts, plan.without_time_zone, plan.invalid_time_zone, plan.skipped) == (21, 4, 6, 0)
    assert plan.invalid_time_zones == {"Mars/Olympus": 6}
    assert plan.fallback_time_zone == "UTC"
    assert plan.first_due_at == read("2026-12-01T00:00Z")
    assert plan.last_due_at == read("2026-12-01T09:00Z")


@pytest.mark.parametrize(
    ("passed_zones", "expected"),
    [
        (
            PassedZones.SEND,
            [
                ("2026-12-01T07:00Z", ["Asia/Tokyo", "Asia/Kathmandu"], PassedZones.SEND),
                ("2026-12-01T08:00Z", ["Europe/Berlin", "Europe/Oslo"], None),
                ("2026-12-01T09:00Z", ["UTC"], None),
            ],
        ),
        (
            PassedZones.NEXT_DAY,
            [
                ("2026-12-01T08:00Z", ["Europe/Berlin", "Europe/Oslo"], None),
                ("2026-12-01T09:00Z", ["UTC"], None),
                ("2026-12-02T00:00Z", ["Asia/Tokyo"], PassedZones.NEXT_DAY),
                ("2026-12-02T03:15Z", ["Asia/Kathmandu"], PassedZones.NEXT_DAY),
            ],
        ),
        (
            PassedZones.SKIP,
            [
                ("2026-12-01T08:00Z", ["Europe/Berlin", "Europe/Oslo"], None),
                ("2026-12-01T09:00Z", ["UTC"], None),
                ("2026-12-01T00:00Z", ["Asia/Tokyo"], PassedZones.SKIP),
                ("2026-12-01T03:15Z", ["Asia/Kathmandu"], PassedZones.SKIP),
            ],
        ),
    ],
)
def test_what_becomes_of_zones_that_have_passed(
    passed_zones: PassedZones, expected: list[tuple[str, list[str], PassedZones | None]]
) -> None:
    plan = describe(by_zone(passed_zones), AUDIENCE, accepted_at=MORNING)
    found = [(slot.due_at, [zone.time_zone for zone in slot.zones], slot.passed) for slot in plan.slots]
    assert found == [(read(due_at), zones, passed) for due_at, zones, passed in expected]
    assert plan.skipped == (3 if passed_zones is PassedZones.SKIP else 0)
    assert plan.first_due_at == read("2026-12-01T07:00Z" if passed_zones is PassedZones.SEND else "2026-12-01T08:00Z")
    is_next_day = passed_zones is PassedZones.NEXT_DAY
    assert plan.last_due_at == read("2026-12-02T03:15Z" if is_next_day else "2026-12-01T09:00Z")


def test_a_zone_whose_time_is_this_very_moment_has_not_passed() -> None:
    [slot] = describe(by_zone(), {"Europe/Oslo": 3}, accepted_at=read("2026-12-01T08:00Z")).slots
    assert slot.passed is None


def test_when_everybody_is_skipped_nobody_is_due() -> None:
    plan = describe(by_zone(PassedZones.SKIP), {"Asia/Tokyo": 2}, accepted_at=MORNING)
    assert (plan.contacts, plan.skipped, plan.first_due_at, plan.last_due_at) == (2, 2, None, None)


@pytest.mark.parametrize("schedule", [{}, by_zone()])
def test_a_plan_for_nobody_has_no_slots(schedule: dict[str, object]) -> None:
    plan = describe(schedule, {})
    assert (plan.slots, plan.contacts, plan.first_due_at, plan.last_due_at) == ([], 0, None, None)


def test_of_invalid_zones_the_commonest_fifty_are_named() -> None:
    plan = describe(by_zone(), {f"Mars/{number:02}": number + 1 for number in range(60)})
    assert plan.invalid_time_zone == 1830
    assert list(plan.invalid_time_zones.items()) == [(f"Mars/{number:02}", number + 1) for number in range(59, 9, -1)]


@pytest.mark.parametrize(
    ("at", "zone", "local_time", "change"),
    [
        ("2026-12-01T09:00", "Europe/Oslo", "2026-12-01T09:00+01:00", None),
        ("2027-03-28T02:30", "Europe/Oslo", "2027-03-28T03:30+02:00", ClockChange.MOVED_FORWARD),
        ("2027-10-31T02:30", "Europe/Oslo", "2027-10-31T02:30+02:00", ClockChange.FIRST_OF_TWO),
        ("2027-10-03T02:15", "Australia/Lord_Howe", "2027-10-03T02:45+11:00", ClockChange.MOVED_FORWARD),
        ("2027-04-04T01:45", "Australia/Lord_Howe", "2027-04-04T01:45+11:00", ClockChange.FIRST_OF_TWO),
        ("2027-03-28T02:30", "Asia/Kathmandu", "2027-03-28T02:30+05:45", None),
        ("2027-03-27T23:30", "America/Nuuk", "2027-03-28T00:30-01:00", ClockChange.MOVED_FORWARD),  # past midnight
        ("2027-10-31T02:30", "Pacific/Chatham", "2027-10-31T02:30+13:45", None),
    ],
)
def test_the_plan_says_what_the_clocks_did(at: str, zone: str, local_time: str, change: ClockChange | None) -> None:
    [slot] = describe(by_zone(at=at), {zone: 1}).slots
    [planned] = slot.zones
    assert planned.local_time.isoformat(timespec="minutes") == local_time
    assert planned.clock_change is change


def test_the_clocks_of_the_next_day_count_and_none_for_who_is_due_at_once() -> None:
    schedule = by_zone(PassedZones.NEXT_DAY, at="2027-03-27T02:30")
    accepted_at = read("2027-03-27T10:00Z")
    [slot] = describe(schedule, {"Europe/Oslo": 1}, accepted_at=accepted_at).slots
    assert (slot.due_at, slot.zones[0].clock_change) == (read("2027-03-28T01:30Z"), ClockChange.MOVED_FORWARD)
    schedule = by_zone(PassedZones.SEND, at="2027-03-28T02:30")
    [slot] = describe(schedule, {"Europe/Oslo": 1}, accepted_at=read("2027-03-28T01:31Z")).slots
    assert (slot.due_at, slot.zones[0].clock_change) == (read("2027-03-28T01:31Z"), None)


# -- the throttle ------------------------------------------------------------------------------------------------


def sizes(throttle: PlannedThrottle | None) -> list[tuple[int, str, int]]:
    assert throttle is not None
    return [(batch.turn, f"{batch.opens_at:%d %H:%M}", batch.size) for batch in throttle.listed]


def test_the_batches_of_a_send_by_zones() -> None:
    throttle = {"batch_size": 4, "every": "1h", "ends_at": "2026-12-01T11:00Z"}
    plan = describe(by_zone() | {"throttle": throttle}, AUDIENCE)
    assert sizes(plan.throttle) == [
        (0, "01 00:00", 2),
        (4, "01 04:00", 1),  # Kathmandu at 03:15 waits for a turn
        (8, "01 08:00", 4),
        (9, "01 09:00", 4),
        (10, "01 10:00", 4),  # four without a zone; at 11:00 it is over for those on Mars
    ]
    assert plan.throttle is not None
    assert (plan.throttle.batches, plan.throttle.expired) == (5, 6)
    assert plan.throttle.ends_at == read("2026-12-01T11:00Z")
    assert plan.last_due_at == plan.throttle.last_opens_at == read("2026-12-01T10:00Z")


def test_the_grid_starts_when_the_first_of_the_audience_is_due() -> None:
    throttle = {"batch_size": 1, "every": "1h"}
    plan = describe(by_zone(PassedZones.SKIP) | {"throttle": throttle}, AUDIENCE | {None: 0}, accepted_at=MORNING)
    assert sizes(plan.throttle)[0] == (0, "01 08:00", 1)
    assert plan.throttle is not None
    assert plan.throttle.batches == 14  # of 17: those in Tokyo and Kathmandu are skipped


def test_a_number_of_batches_is_spread_over_everybody() -> None:
    plan = describe({"throttle": {"max_batches": 4, "every": "15m"}}, {None: 10})
    assert sizes(plan.throttle) == [(0, "30 12:00", 3), (1, "30 12:15", 3), (2, "30 12:30", 2), (3, "30 12:45", 2)]


def test_a_throttle_without_anybody_has_no_batches() -> None:
    plan = describe({"throttle": {"batch_size": 4, "every": "15m", "ends_at": "2026-12-01T11:00Z"}}, {})
    assert plan.throttle == PlannedThrottle(
        batches=0, listed=[], last_opens_at=None, ends_at=read("2026-12-01T11:00Z"), expired=0
    )


def test_the_first_fifty_batches_are_listed() -> None:
    throttle = describe({"throttle": {"max_batches": 60, "every": "1m"}}, {None: 100}).throttle
    assert throttle is not None
    assert throttle.batches == 60
    assert [batch.turn for batch in throttle.listed] == list(range(50))
    assert [batch.size for batch in throttle.listed] == [2] * 40 + [1] * 10
    assert throttle.last_opens_at == read("2026-11-30T12:59Z")


def test_batches_behind_the_calendar_are_no_obstacle() -> None:
    throttle = describe({"throttle": {"batch_size": 1, "every": "366d"}}, {None: 10_000}).throttle
    assert throttle is not None
    assert throttle.batches == 10_000
    assert throttle.last_opens_at is not None


@pytest.mark.parametrize("most", [0, 1, 2, 3, 4, 9])
def test_a_list_of_batches_is_cut_where_it_is_long_enough(most: int) -> None:
    foretold = Forecast((Batches(0, 2, 5), Batches(4, 2, 3)), expired=0)
    listed = list_batches(Grid(start=NOW, every=timedelta(hours=1)), foretold, most=most)
    assert [(batch.turn, batch.size) for batch in listed] == [(0, 5), (1, 5), (4, 3), (5, 3)][:most]


# -- what holds for every plan -----------------------------------------------------------------------------------

PLANS = {
    each: (
        Schedule.model_validate(by_zone(each)),
        make_plan(Schedule.model_validate(by_zone(each)), accepted_at=MORNING),
    )
    for each in PassedZones
}
audiences = st.dictionaries(
    st.none()
    | st.sampled_from(["", "Mars/Olympus", "Asia/Tokyo", "Asia/Kathmandu", "Europe/Oslo", "Europe/Berlin", "UTC"])
    | st.sampled_from(["Pacific/Kiritimati", "Pacific/Honolulu", "America/New_York", "Asia/Kolkata"]),
    st.integers(1, 9),
)


@given(audiences, st.sampled_from(PassedZones))
def test_every_contact_is_in_the_plan_once(zones: Audience, passed_zones: PassedZones) -> None:
    schedule, worked_out = PLANS[passed_zones]
    plan = describe_plan(schedule, worked_out, zones, accepted_at=MORNING)
    assert plan.contacts == sum(zones.values()) == sum(slot.contacts for slot in plan.slots)
    assert all(slot.contacts == sum(zone.contacts for zone in slot.zones) for slot in plan.slots)
    named = [zone.time_zone for slot in plan.slots for zone in slot.zones]
    assert len(named) == len(set(named))
    assert plan.without_time_zone == zones.get(None, 0) + zones.get("", 0)
    assert plan.invalid_time_zone == zones.get("Mars/Olympus", 0)
    in_order = [(slot.passed is PassedZones.SKIP, slot.due_at) for slot in plan.slots]
    assert in_order == sorted(set(in_order))
    assert all((slot.due_at < MORNING) is (slot.passed is PassedZones.SKIP) for slot in plan.slots)
    assert plan.skipped == sum(slot.contacts for slot in plan.slots if slot.due_at < MORNING)


@given(
    audiences,
    st.sampled_from(PassedZones),
    st.integers(1, 7),
    st.sampled_from([timedelta(minutes=40), timedelta(hours=1), timedelta(hours=3)]),
    st.none() | st.integers(8, 60).map(lambda hours: MORNING + timedelta(hours=hours)),
)
def test_the_throttle_of_the_plan_is_the_send_turn_by_turn(
    zones: Audience, passed_zones: PassedZones, size: int, every: timedelta, ends_at: datetime | None
) -> None:
    schedule, worked_out = PLANS[passed_zones]
    throttle = {"batch_size": size, "every": every, "ends_at": ends_at}
    throttled = Schedule.model_validate(schedule.model_dump() | {"throttle": throttle})
    plan = describe_plan(throttled, worked_out, zones, accepted_at=MORNING)
    waiting = waiting_of(worked_out, zones)
    start = min((due_at for due_at, _ in waiting), default=MORNING)
    batches, left = simulate(waiting, start=start, every=every, batch_size=size, ends_at=ends_at)
    assert plan.throttle is not None
    assert [(batch.turn, batch.size) for batch in plan.throttle.listed] == batches[:50]
    assert [batch.opens_at for batch in plan.throttle.listed] == [start + turn * every for turn, _ in batches[:50]]
    assert (plan.throttle.batches, plan.throttle.expired) == (len(batches), left)
    assert plan.last_due_at == (start + batches[-1][0] * every if batches else None)


def waiting_of(plan: Plan, zones: Audience) -> list[tuple[datetime, int]]:
    """Return (due at, contacts) of those who are not skipped."""
    slots = [(plan.slot_of(zone), number) for zone, number in zones.items()]
    return [(slot.due_at, number) for slot, number in slots if slot is not None and not slot.skipped]
