"""Wall-clock times and the instants they are: what the clocks of the world do to them. Instants are typed by hand."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import wall_clock
from models.contact import time_zones
from models.wall_clock import ClockChange, clock_change, day_after, in_zone

#: Wall-clock time, zone, instant.
ORDINARY = [
    ("2026-12-01T09:00", "UTC", "2026-12-01T09:00Z"),
    ("2026-12-01T09:00", "Europe/Oslo", "2026-12-01T08:00Z"),
    ("2027-07-01T09:00", "Europe/Oslo", "2027-07-01T07:00Z"),
    ("2026-12-01T09:00", "America/New_York", "2026-12-01T14:00Z"),
    ("2026-12-01T09:00", "Asia/Kolkata", "2026-12-01T03:30Z"),
    ("2026-12-01T09:00", "Asia/Kathmandu", "2026-12-01T03:15Z"),
    ("2026-12-01T09:00", "Pacific/Chatham", "2026-11-30T19:15Z"),  # summer: +13:45
    ("2027-07-01T09:00", "Pacific/Chatham", "2027-06-30T20:15Z"),  # winter: +12:45
    ("2026-12-01T09:00", "Australia/Lord_Howe", "2026-11-30T22:00Z"),  # summer: +11
    ("2027-07-01T09:00", "Australia/Lord_Howe", "2027-06-30T22:30Z"),  # winter: +10:30
    ("2026-12-01T09:00", "Pacific/Kiritimati", "2026-11-30T19:00Z"),  # the first to have a day: +14
    ("2026-12-01T09:00", "Etc/GMT+12", "2026-12-01T21:00Z"),  # the last, 26 hours later: -12
]
#: Wall-clock times that do not exist.
IN_A_GAP = [
    ("2027-03-28T02:30", "Europe/Oslo", "2027-03-28T01:30Z", "2027-03-28T03:30"),
    ("2027-03-14T02:30", "America/New_York", "2027-03-14T07:30Z", "2027-03-14T03:30"),
    ("2027-10-03T02:15", "Australia/Lord_Howe", "2027-10-02T15:45Z", "2027-10-03T02:45"),  # a gap of half an hour
    ("2027-09-26T03:00", "Pacific/Chatham", "2027-09-25T14:15Z", "2027-09-26T04:00"),
    ("2027-03-27T23:30", "America/Nuuk", "2027-03-28T01:30Z", "2027-03-28T00:30"),  # into the next day
    ("2011-12-30T09:00", "Pacific/Apia", "2011-12-30T19:00Z", "2011-12-31T09:00"),  # the day that Samoa left out
]
#: Wall-clock times that exist twice, with the first of the two instants.
TWICE = [
    ("2027-10-31T02:30", "Europe/Oslo", "2027-10-31T00:30Z"),
    ("2027-11-07T01:30", "America/New_York", "2027-11-07T05:30Z"),
    ("2027-04-04T01:45", "Australia/Lord_Howe", "2027-04-03T14:45Z"),  # half an hour twice
    ("2027-04-04T03:00", "Pacific/Chatham", "2027-04-03T13:15Z"),
]
#: The last moment before a change, its two ends, and the first moment behind it.
AROUND_A_CHANGE = [
    ("2027-03-28T01:59", "Europe/Oslo", "2027-03-28T00:59Z"),
    ("2027-03-28T03:00", "Europe/Oslo", "2027-03-28T01:00Z"),
    ("2027-10-31T01:59", "Europe/Oslo", "2027-10-30T23:59Z"),
    ("2027-10-31T03:00", "Europe/Oslo", "2027-10-31T02:00Z"),
    ("2027-10-03T01:59", "Australia/Lord_Howe", "2027-10-02T15:29Z"),
    ("2027-10-03T02:30", "Australia/Lord_Howe", "2027-10-02T15:30Z"),
    ("2027-04-04T01:29", "Australia/Lord_Howe", "2027-04-03T14:29Z"),
    ("2027-04-04T02:00", "Australia/Lord_Howe", "2027-04-03T15:30Z"),
    ("2011-12-29T09:00", "Pacific/Apia", "2011-12-29T19:00Z"),
    ("2011-12-31T09:00", "Pacific/Apia", "2011-12-30T19:00Z"),
]


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(("wall_clock", "zone", "instant"), [*ORDINARY, *AROUND_A_CHANGE])
def test_a_wall_clock_time_is_the_instant_of_the_zone(wall_clock: str, zone: str, instant: str) -> None:
    assert in_zone(read(wall_clock), zone) == read(instant)
    assert in_zone(read(wall_clock), zone).tzinfo is UTC
    assert clock_change(read(wall_clock), zone) is None


@pytest.mark.parametrize(("wall_clock", "zone", "instant", "moved_to"), IN_A_GAP)
def test_a_time_that_does_not_exist_moves_forward_by_the_gap(
    wall_clock: str, zone: str, instant: str, moved_to: str
) -> None:
    moved = in_zone(read(wall_clock), zone)
    assert moved == read(instant)
    assert moved.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == read(moved_to)
    assert clock_change(read(wall_clock), zone) is ClockChange.MOVED_FORWARD


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize(("wall_clock", "zone", "instant"), TWICE)
def test_a_time_that_exists_twice_is_the_first(wall_clock: str, zone: str, instant: str, fold: int) -> None:
    assert in_zone(read(wall_clock).replace(fold=fold), zone) == read(instant)
    assert clock_change(read(wall_clock), zone) is ClockChange.FIRST_OF_TWO


def test_an_instant_stays_what_it_is_in_any_zone() -> None:
    assert in_zone(read("2026-12-01T09:00+01:00"), "Asia/Tokyo") == read("2026-12-01T08:00Z")
    assert in_zone(read("2026-12-01T09:00+01:00"), None) == read("2026-12-01T08:00Z")


@pytest.mark.parametrize(
    ("wall_clock", "zone", "now", "expected"),
    [
        ("2026-12-01T09:00", "Europe/Oslo", "2026-11-01T12:00Z", "2026-12-01T09:00"),  # not passed: the day meant
        ("2026-12-01T09:00", "Europe/Oslo", "2026-12-01T08:00Z", "2026-12-01T09:00"),  # this very moment
        ("2026-12-01T09:00", "Europe/Oslo", "2026-12-01T08:00:00.000001Z", "2026-12-02T09:00"),
        ("2026-12-01T09:00", "Europe/Oslo", "2026-12-04T07:59Z", "2026-12-04T09:00"),
        ("2026-12-01T09:00", "Europe/Oslo", "2026-12-04T08:01Z", "2026-12-05T09:00"),
        # On the clocks of the zone it is tomorrow already, or yesterday still.
        ("2026-12-01T09:00", "Pacific/Kiritimati", "2026-12-01T18:00Z", "2026-12-02T09:00"),
        ("2026-12-01T09:00", "Pacific/Kiritimati", "2026-12-01T19:30Z", "2026-12-03T09:00"),
        ("2026-12-01T09:00", "Etc/GMT+12", "2026-12-02T20:00Z", "2026-12-02T09:00"),
        # Between the two 02:30 the first has passed.
        ("2027-10-30T02:30", "Europe/Oslo", "2027-10-31T00:30Z", "2027-10-31T02:30"),
        ("2027-10-30T02:30", "Europe/Oslo", "2027-10-31T00:45Z", "2027-11-01T02:30"),
        ("2027-10-30T02:30", "Europe/Oslo", "2027-10-31T01:15Z", "2027-11-01T02:30"),
        # 02:30 does not exist that day and is 03:30; at 03:10 it has not passed.
        ("2027-03-27T02:30", "Europe/Oslo", "2027-03-28T01:10Z", "2027-03-28T02:30"),
        ("2027-03-27T02:30", "Europe/Oslo", "2027-03-28T01:31Z", "2027-03-29T02:30"),
    ],
)
def test_the_next_day_is_the_first_on_which_the_time_has_not_passed(
    wall_clock: str, zone: str, now: str, expected: str
) -> None:
    assert day_after(read(wall_clock), zone, read(now)) == read(expected)


zones = st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime", "Factory"}))
wall_clocks = st.datetimes(datetime(2024, 1, 1), datetime(2037, 1, 1))  # noqa: DTZ001  # wall-clock times


@given(wall_clocks, zones)
def test_the_clocks_of_the_zone_show_the_time_at_its_instant(wall_clock: datetime, zone: str) -> None:
    shown = in_zone(wall_clock, zone).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if clock_change(wall_clock, zone) is ClockChange.MOVED_FORWARD:
        assert wall_clock < shown <= wall_clock + timedelta(hours=2)  # Antarctica/Troll moves by two hours
    else:
        assert shown == wall_clock


@given(wall_clocks, zones, st.timedeltas(timedelta(days=-3), timedelta(days=40)))
def test_the_next_day_has_not_passed_and_the_day_before_has(wall_clock: datetime, zone: str, since: timedelta) -> None:
    now = (wall_clock + since).replace(tzinfo=UTC)
    later = day_after(wall_clock, zone, now)
    assert in_zone(later, zone) >= now
    assert later.time() == wall_clock.time()
    assert later == wall_clock or in_zone(later - timedelta(days=1), zone) < now


def test_no_zone_is_read_from_disk_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def reading(name: str) -> ZoneInfo:
        read.append(name)
        return ZoneInfo(name)

    monkeypatch.setattr(wall_clock, "ZoneInfo", reading)
    for _ in range(2):
        for zone in time_zones():
            in_zone(datetime.fromisoformat("2027-01-01T09:00"), zone)
    assert len(read) == len(set(read))
