"""The plan of a send: which zone is due at which instant. Instants are typed by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contact import time_zones
from models.errors import InvalidInput
from models.schedule import PassedZones, Schedule
from models.slots import Plan, Slot, check_plan, make_plan, zone_meant

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


def by_zone(at: str, passed_zones: PassedZones = PassedZones.SEND, **others: object) -> Schedule:
    """Return a schedule at a wall-clock time in each contact's own zone."""
    return Schedule.model_validate({"at": at, "time_zone": "contact", "passed_zones": passed_zones, **others})


def plan_of(at: str, passed_zones: PassedZones = PassedZones.SEND, *, accepted_at: datetime = NOW) -> Plan:
    return make_plan(by_zone(at, passed_zones), accepted_at=accepted_at)


def due_at(plan: Plan, zone: str | None) -> datetime:
    slot = plan.slot_of(zone)
    assert slot is not None
    return slot.due_at


# -- a send to everybody at one instant ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "first"),
    [
        (Schedule(), NOW),
        (Schedule(at=read("2026-12-01T09:00+05:45")), read("2026-12-01T03:15Z")),
        (Schedule(at=read("2026-12-01T09:00"), time_zone="Asia/Kathmandu"), read("2026-12-01T03:15Z")),
        (Schedule(at=read("2027-03-28T02:30"), time_zone="Europe/Oslo"), read("2027-03-28T01:30Z")),
        (Schedule(at=read("2027-10-31T02:30"), time_zone="Europe/Oslo"), read("2027-10-31T00:30Z")),
    ],
)
def test_everybody_is_due_at_one_instant(schedule: Schedule, first: datetime) -> None:
    plan = make_plan(schedule, accepted_at=NOW)
    assert plan == Plan(first_due_at=first)
    assert plan.slot_of("Europe/Oslo") is None
    assert plan.next_instant(NOW - DAY) is None


# -- a send in each contact's own zone ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "instant"),
    [
        ("Pacific/Kiritimati", "2026-11-30T19:00Z"),
        ("Pacific/Chatham", "2026-11-30T19:15Z"),
        ("Australia/Lord_Howe", "2026-11-30T22:00Z"),
        ("Asia/Tokyo", "2026-12-01T00:00Z"),
        ("Asia/Kathmandu", "2026-12-01T03:15Z"),
        ("Asia/Kolkata", "2026-12-01T03:30Z"),
        ("Europe/Oslo", "2026-12-01T08:00Z"),
        ("America/New_York", "2026-12-01T14:00Z"),
        ("Pacific/Honolulu", "2026-12-01T19:00Z"),
        ("Etc/GMT+12", "2026-12-01T21:00Z"),
    ],
)
def test_nine_in_the_morning_goes_round_the_world_in_26_hours(zone: str, instant: str) -> None:
    plan = plan_of("2026-12-01T09:00")
    assert due_at(plan, zone) == read(instant)
    assert plan.first_due_at == plan.slots[0].due_at == read("2026-11-30T19:00Z")
    assert plan.slots[-1].due_at == read("2026-12-01T21:00Z")


@pytest.mark.parametrize(
    ("at", "zone", "instant"),
    [
        ("2027-03-28T02:30", "Europe/Oslo", "2027-03-28T01:30Z"),
        ("2027-10-03T02:15", "Australia/Lord_Howe", "2027-10-02T15:45Z"),
        ("2027-04-04T01:45", "Australia/Lord_Howe", "2027-04-03T14:45Z"),
        ("2027-11-07T01:30", "America/New_York", "2027-11-07T05:30Z"),
        ("2027-03-29T09:00", "Europe/Oslo", "2027-03-29T07:00Z"),  # the clocks change between schedule and send
    ],
)
def test_a_change_of_the_clocks_counts_on_the_day_of_the_send(at: str, zone: str, instant: str) -> None:
    assert due_at(plan_of(at, accepted_at=read("2027-01-20T12:00Z")), zone) == read(instant)


def test_zones_with_the_same_instant_share_a_slot() -> None:
    plan = plan_of("2026-12-01T09:00")
    slot = plan.slot_of("Europe/Oslo")
    assert slot is not None
    assert {"Europe/Oslo", "Europe/Berlin", "Africa/Lagos"} <= set(slot.zones)
    assert plan.slot_of("Africa/Lagos") == slot
    assert plan.slot_of("Europe/London") != slot


@pytest.mark.parametrize("zone", [None, "", "Mars/Olympus", "europe/oslo", "contact"])
def test_without_a_valid_zone_the_fallback_counts(zone: str | None) -> None:
    plan = make_plan(by_zone("2026-12-01T09:00", fallback_time_zone="Asia/Tokyo"), accepted_at=NOW)
    assert due_at(plan, zone) == read("2026-12-01T00:00Z")
    assert zone_meant(plan, zone) == "Asia/Tokyo"
    assert zone_meant(plan, "Europe/Oslo") == "Europe/Oslo"


def test_without_a_fallback_utc_counts() -> None:
    plan = plan_of("2026-12-01T09:00")
    assert due_at(plan, None) == read("2026-12-01T09:00Z")
    assert zone_meant(plan, None) == "UTC"


def test_the_next_instant_is_behind_a_moment() -> None:
    plan = plan_of("2026-12-01T09:00")
    assert plan.next_instant(read("2026-11-30T18:59Z")) == read("2026-11-30T19:00Z")
    assert plan.next_instant(read("2026-11-30T19:00Z")) == read("2026-11-30T19:15Z")
    assert plan.next_instant(read("2026-12-01T21:00Z")) is None


# -- zones whose time has passed ----------------------------------------------------------------------------------

#: 08:00 in Oslo, where 09:00 is still to come; in Tokyo it is 16:00.
MORNING = datetime(2026, 12, 1, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("passed_zones", "tokyo", "skipped", "first"),
    [
        (PassedZones.SEND, "2026-12-01T07:00Z", False, "2026-12-01T07:00Z"),
        (PassedZones.NEXT_DAY, "2026-12-02T00:00Z", False, "2026-12-01T07:00Z"),
        (PassedZones.SKIP, "2026-12-01T00:00Z", True, "2026-12-01T07:00Z"),
    ],
)
def test_a_zone_that_has_passed(passed_zones: PassedZones, tokyo: str, skipped: bool, first: str) -> None:
    plan = plan_of("2026-12-01T09:00", passed_zones, accepted_at=MORNING)
    slot = plan.slot_of("Asia/Tokyo")
    assert slot is not None
    assert (slot.due_at, slot.skipped) == (read(tokyo), skipped)
    assert plan.first_due_at == read(first)
    assert due_at(plan, "Europe/Oslo") == read("2026-12-01T08:00Z")


@pytest.mark.parametrize("passed_zones", PassedZones)
def test_a_zone_whose_time_is_this_very_moment_has_not_passed(passed_zones: PassedZones) -> None:
    at_eight = read("2026-12-01T08:00Z")
    plan = plan_of("2026-12-01T09:00", passed_zones, accepted_at=at_eight)
    slot = plan.slot_of("Europe/Oslo")
    assert slot is not None
    assert (slot.due_at, slot.skipped) == (at_eight, False)
    a_moment_later = at_eight + timedelta(microseconds=1)
    assert plan_of("2026-12-01T09:00", passed_zones, accepted_at=a_moment_later).slot_of("Europe/Oslo") != slot


def test_the_next_day_of_one_zone_may_be_the_day_of_another() -> None:
    plan = plan_of("2026-12-01T09:00", PassedZones.NEXT_DAY, accepted_at=MORNING)
    slot = plan.slot_of("Pacific/Kiritimati")  # a day ahead of Honolulu
    assert slot == plan.slot_of("Pacific/Honolulu")
    assert slot is not None
    assert slot.due_at == read("2026-12-01T19:00Z")


def test_the_next_day_is_23_hours_later_when_the_clocks_go_forward() -> None:
    plan = plan_of("2027-03-27T09:00", PassedZones.NEXT_DAY, accepted_at=read("2027-03-27T10:00Z"))
    assert due_at(plan, "Europe/Oslo") == read("2027-03-28T07:00Z")


def test_a_plan_in_which_every_zone_is_skipped_begins_when_it_was_accepted() -> None:
    plan = plan_of("2026-12-01T09:00", PassedZones.SKIP, accepted_at=read("2026-12-01T22:00Z"))
    assert all(slot.skipped for slot in plan.slots)
    assert plan.first_due_at == read("2026-12-01T22:00Z")
    assert plan.next_instant(NOW) is None


# -- what holds for every plan ------------------------------------------------------------------------------------

wall_clocks = st.datetimes(datetime(2026, 1, 1), datetime(2036, 1, 1))  # noqa: DTZ001  # wall-clock times
#: Also days on which clocks change, and the seconds at which zones are due.
interesting = st.sampled_from(
    [read(f"2027-{day}") for day in ("03-14T02:30", "03-28T02:30", "04-04T01:45", "10-03T02:15", "10-31T02:30")]
)
since = st.timedeltas(timedelta(days=-2), timedelta(days=3)) | st.integers(-30, 70).map(lambda h: timedelta(hours=h))
#: A plan is 600 zones: some examples are enough, and the first look at a zone reads a file.
some = settings(max_examples=20)


def instants_of(wall_clock: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the instants at which the clocks of a zone show a time: found by trying the offsets around it."""
    around = (wall_clock.replace(tzinfo=UTC) + distance for distance in (-DAY, DAY))
    for offset in {moment.astimezone(zone).utcoffset() for moment in around}:
        assert offset is not None
        instant = (wall_clock - offset).replace(tzinfo=UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == wall_clock:
            yield instant


def instant_of(wall_clock: datetime, zone: ZoneInfo) -> datetime:
    """Return the first of them; where there is none, the time by the offset that held the day before."""
    before = (wall_clock.replace(tzinfo=UTC) - DAY).astimezone(zone).utcoffset()
    assert before is not None
    return min(instants_of(wall_clock, zone), default=(wall_clock - before).replace(tzinfo=UTC))


@some
@given(wall_clocks | interesting, since, st.sampled_from(PassedZones))
def test_every_plan_has_each_zone_once_in_the_order_of_instants(
    wall_clock: datetime, late: timedelta, passed_zones: PassedZones
) -> None:
    accepted_at = wall_clock.replace(tzinfo=UTC) + late
    plan = plan_of(wall_clock.isoformat(), passed_zones, accepted_at=accepted_at)
    assert Counter(zone for slot in plan.slots for zone in slot.zones) == Counter(time_zones())
    for skipped in (False, True):
        instants = [slot.due_at for slot in plan.slots if slot.skipped is skipped]
        assert instants == sorted(set(instants))
    everywhere = [slot.due_at for slot in plan.slots]
    assert everywhere == sorted(everywhere)
    assert all((slot.due_at < accepted_at) is slot.skipped for slot in plan.slots)
    assert plan.first_due_at == min((slot.due_at for slot in plan.slots if not slot.skipped), default=accepted_at)


@some
@given(wall_clocks | interesting, since, st.sampled_from(PassedZones), st.integers(0, 9))
def test_every_zone_is_due_at_its_time_or_as_passed_zones_says(
    wall_clock: datetime, late: timedelta, passed_zones: PassedZones, start: int
) -> None:
    accepted_at = wall_clock.replace(tzinfo=UTC) + late
    plan = plan_of(wall_clock.isoformat(), passed_zones, accepted_at=accepted_at)
    slot_of = {zone: slot for slot in plan.slots for zone in slot.zones}
    for zone in sorted(slot_of)[start::10]:
        found = (slot_of[zone].due_at, slot_of[zone].skipped)
        assert found == expected_slot(wall_clock, ZoneInfo(zone), passed_zones, accepted_at)


def expected_slot(
    wall_clock: datetime, zone: ZoneInfo, passed_zones: PassedZones, accepted_at: datetime
) -> tuple[datetime, bool]:
    instant = instant_of(wall_clock, zone)
    if instant >= accepted_at or passed_zones is PassedZones.SKIP:
        return instant, instant < accepted_at
    if passed_zones is PassedZones.SEND:
        return accepted_at, False
    while instant < accepted_at:  # day by day, to the first on which it has not passed
        wall_clock += DAY
        instant = instant_of(wall_clock, zone)
    return instant, False


@given(
    st.dictionaries(
        st.none() | st.sampled_from(["", "Mars/Olympus", "Europe/Oslo", "Asia/Tokyo", "Pacific/Apia"]),
        st.integers(0, 9),
    ),
    st.sampled_from(PassedZones),
)
def test_every_contact_is_in_exactly_one_slot(zones: dict[str | None, int], passed_zones: PassedZones) -> None:
    plan = PLANS[passed_zones]
    in_slots: Counter[Slot] = Counter()
    for zone, contacts in zones.items():
        meant = zone_meant(plan, zone)
        assert [slot for slot in plan.slots if meant in slot.zones] == [plan.slot_of(zone)]
        in_slots[next(slot for slot in plan.slots if meant in slot.zones)] += contacts
    assert in_slots.total() == sum(zones.values())


PLANS = {each: plan_of("2026-12-01T09:00", each, accepted_at=MORNING) for each in PassedZones}


def test_a_plan_is_read_as_it_was_stored() -> None:
    for plan in [*PLANS.values(), make_plan(Schedule(), accepted_at=NOW)]:
        assert Plan.model_validate(plan.model_dump(mode="json")) == plan


# -- what is refused for an audience ------------------------------------------------------------------------------

OSLO: Mapping[str | None, int] = {"Europe/Oslo": 3}
OSLO_AND_TOKYO: Mapping[str | None, int] = {"Europe/Oslo": 3, "Asia/Tokyo": 2}


def check(schedule: Schedule, zones: Mapping[str | None, int], accepted_at: str) -> None:
    now = read(accepted_at)
    check_plan(schedule, make_plan(schedule, accepted_at=now), zones, accepted_at=now)


@pytest.mark.parametrize(
    ("passed_zones", "zones", "accepted_at"),
    [
        # At nine in Oslo it is 08:00Z, in Tokyo 00:00Z.
        (PassedZones.SEND, OSLO, "2026-12-01T08:01:00.000001Z"),
        (PassedZones.SKIP, OSLO, "2026-12-01T08:00:00.000001Z"),
        (PassedZones.SEND, OSLO_AND_TOKYO, "2026-12-01T08:01:00.000001Z"),
        (PassedZones.SKIP, OSLO_AND_TOKYO, "2026-12-01T08:00:00.000001Z"),
        (PassedZones.SKIP, {"Asia/Tokyo": 1}, "2026-12-01T07:00Z"),
        (PassedZones.SEND, {None: 1}, "2026-12-01T09:01:01Z"),  # the fallback: UTC
        (PassedZones.SEND, {"Mars/Olympus": 1}, "2026-12-01T09:01:01Z"),
        (PassedZones.SKIP, {}, "2026-12-01T09:00:01Z"),  # an empty audience is taken for one without zones
    ],
)
def test_a_time_that_has_passed_in_every_zone_of_the_audience_is_refused(
    passed_zones: PassedZones, zones: Mapping[str | None, int], accepted_at: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check(by_zone("2026-12-01T09:00", passed_zones), zones, accepted_at)
    assert (refused.value.code, refused.value.field) == ("at_in_past", "at")
    assert refused.value.message == (
        'at is in the past (2026-12-01 09:00 in every time zone of the audience); leave out "at" to send now.'
    )


@pytest.mark.parametrize(
    ("passed_zones", "zones", "accepted_at"),
    [
        (PassedZones.SEND, OSLO, "2026-12-01T08:01Z"),  # a minute of slow typing
        (PassedZones.SKIP, OSLO, "2026-12-01T08:00Z"),
        (PassedZones.SEND, OSLO_AND_TOKYO, "2026-12-01T07:00Z"),  # passed in one of two
        (PassedZones.SKIP, OSLO_AND_TOKYO, "2026-12-01T07:00Z"),
        (PassedZones.NEXT_DAY, OSLO_AND_TOKYO, "2026-12-01T07:00Z"),
        (PassedZones.NEXT_DAY, OSLO, "2026-12-05T20:00Z"),  # passed in all of them, and there is a next day
        (PassedZones.SEND, {None: 1}, "2026-12-01T09:00:59Z"),
        (PassedZones.SEND, {}, "2026-12-01T09:00:59Z"),
    ],
)
def test_a_time_that_is_to_come_for_somebody_passes(
    passed_zones: PassedZones, zones: Mapping[str | None, int], accepted_at: str
) -> None:
    check(by_zone("2026-12-01T09:00", passed_zones), zones, accepted_at)


def throttled(ends_at: str, **schedule: object) -> Schedule:
    throttle = {"batch_size": 10, "every": "15m", "ends_at": ends_at}
    return Schedule.model_validate({"throttle": throttle, **schedule})


@pytest.mark.parametrize(
    ("schedule", "zones"),
    [
        (throttled("2026-11-30T12:00Z"), {None: 1}),  # exactly at the start, which is now
        (throttled("2026-11-30T11:59Z"), {None: 1}),
        (throttled("2026-11-30T13:00", time_zone="Europe/Oslo"), {None: 1}),
        (throttled("2026-12-01T09:00+01:00", at="2026-12-01T08:00Z"), {None: 1}),
        (throttled("2026-12-01T09:00", at="2026-12-01T09:00", time_zone="Europe/Oslo"), {None: 1}),
        (throttled("2026-11-30T11:59:50Z", at="2026-11-30T11:59:30Z"), {None: 1}),  # behind `at`, yet over
        # By zones the first of the audience counts, and not the first of the world.
        (throttled("2026-12-01T00:00Z", at="2026-12-01T09:00", time_zone="contact"), OSLO_AND_TOKYO),
        (throttled("2026-12-01T08:00Z", at="2026-12-01T09:00", time_zone="contact"), OSLO),
        (throttled("2026-12-01T09:00Z", at="2026-12-01T09:00", time_zone="contact"), {}),
    ],
)
def test_an_end_that_is_not_after_the_start_is_refused(schedule: Schedule, zones: Mapping[str | None, int]) -> None:
    with pytest.raises(InvalidInput, match=r"^ends_at \(.+ UTC\) is not after the start \(.+ UTC\)") as refused:
        check(schedule, zones, "2026-11-30T12:00Z")
    assert (refused.value.code, refused.value.field) == ("invalid_input", "throttle.ends_at")


@pytest.mark.parametrize(
    ("schedule", "zones"),
    [
        (throttled("2026-11-30T12:00:00.000001Z"), {None: 1}),
        (throttled("2026-11-30T13:01", time_zone="Europe/Oslo"), {None: 1}),
        (throttled("2026-12-01T09:01", at="2026-12-01T09:00", time_zone="Europe/Oslo"), {None: 1}),
        (throttled("2026-12-01T00:01Z", at="2026-12-01T09:00", time_zone="contact"), OSLO_AND_TOKYO),
        (throttled("2026-12-01T08:01Z", at="2026-12-01T09:00", time_zone="contact"), OSLO),
    ],
)
def test_an_end_after_the_start_passes(schedule: Schedule, zones: Mapping[str | None, int]) -> None:
    check(schedule, zones, "2026-11-30T12:00Z")


def test_the_start_of_skipped_zones_is_no_start() -> None:
    schedule = throttled("2026-12-01T08:00Z", at="2026-12-01T09:00", time_zone="contact", passed_zones="skip")
    with pytest.raises(InvalidInput, match="not after the start"):
        check(schedule, OSLO_AND_TOKYO, "2026-12-01T07:00Z")


@pytest.mark.parametrize("zone", [None, "contact"])
def test_a_wall_clock_end_without_a_single_zone_is_refused(zone: str | None) -> None:
    at = {"at": "2026-12-01T09:00", "time_zone": zone} if zone else {}
    with pytest.raises(InvalidInput, match=r"^ends_at: 2026-12-02T09:00 has no offset") as refused:
        check(throttled("2026-12-02T09:00", **at), {None: 1}, "2026-11-30T12:00Z")
    assert refused.value.field == "throttle.ends_at"
