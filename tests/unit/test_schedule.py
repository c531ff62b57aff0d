"""Schedules, durations and the retry schedule: pure rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.durations import iso_duration, parse_duration
from models.errors import InvalidInput
from models.schedule import MOST, PassedZones, Schedule, Throttle, check_new_end, check_schedule, end_of, parse_time
from models.slots import make_plan

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def test_an_instant_keeps_its_offset() -> None:
    assert parse_time("2026-12-01T09:00+01:00") == datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
    assert parse_time(" 2026-12-01 09:00Z ") == NOW


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T09:00Z", "09:00Z", "2026-12-01"])
def test_an_instant_that_cannot_be_told_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^ends_at: ") as refused:
        parse_time(text, field="ends_at")
    assert "\n" not in refused.value.message
    assert refused.value.field == "ends_at"


@pytest.mark.parametrize("text", ["0001-01-01T00:00Z", "1899-12-31T23:59", "9000-01-01T00:00Z", "9999-12-31T23:59"])
def test_a_year_that_no_send_is_in_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^at: .+ is out of range; is the year right") as refused:
        parse_time(text)
    assert refused.value.field == "at"
    with pytest.raises(ValidationError):
        Schedule.model_validate({"at": text, "time_zone": None if text.endswith("Z") else "Europe/Oslo"})


def test_a_time_without_an_offset_is_wall_clock_time() -> None:
    assert parse_time("2026-12-01 09:00") == datetime(2026, 12, 1, 9, 0)  # noqa: DTZ001  # that is the point


@pytest.mark.parametrize(
    "at", [1_796_115_600, 1_796_115_600.5, True, "1796115600", "2026-12-01", ["2026-12-01T09:00Z"]]
)
@pytest.mark.parametrize("place", ["at", "ends_at"])
def test_what_is_no_date_with_a_time_is_none_in_a_schedule(at: object, place: str) -> None:
    throttle = {"batch_size": 1, "every": "1m", "ends_at": at}
    with pytest.raises(ValidationError, match="write it as 2026-12-01T09:00:00"):
        Schedule.model_validate({"at": at} if place == "at" else {"throttle": throttle})


# -- schedules that contradict themselves, are over, or too far away ------------------------------------------------

OSLO: dict[str, object] = {"at": "2026-12-02T09:00", "time_zone": "Europe/Oslo"}
CONTACT: dict[str, object] = {"at": "2026-12-02T09:00", "time_zone": "contact"}


def throttled(**changes: object) -> dict[str, object]:
    return {"throttle": {"batch_size": 10, "every": "15m"} | changes}


#: A schedule, the field that is to blame, and how the sentence begins.
WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"at": "2026-12-02T09:00+01:00", "time_zone": "Europe/Oslo"}, "time_zone", "at has an offset"),
    ({"at": "2026-12-02T09:00Z", "time_zone": "contact"}, "time_zone", "at has an offset"),
    ({"at": "2026-12-02T09:00"}, "at", "at: 2026-12-02T09:00 has no offset"),
    ({"time_zone": "contact"}, "at", "time_zone contact needs a wall-clock time"),
    ({"time_zone": "Europe/Oslo"}, "time_zone", "time_zone is for a wall-clock time, and none is given"),
    ({"time_zone": "Europe/Oslo", **throttled(ends_at="2026-12-02T09:00Z")}, "time_zone", "time_zone is for a wall"),
    (OSLO | {"time_zone": "Europe/Olso"}, "time_zone", "time_zone: 'Europe/Olso' is not an IANA time zone"),
    (OSLO | {"time_zone": "CONTACT"}, "time_zone", "time_zone: 'CONTACT' is not an IANA time zone"),
    (OSLO | {"time_zone": ""}, "time_zone", "time_zone: '' is not an IANA time zone"),
    (CONTACT | {"fallback_time_zone": "Oslo"}, "fallback_time_zone", "fallback_time_zone: 'Oslo' is not an IANA"),
    (CONTACT | {"fallback_time_zone": "contact"}, "fallback_time_zone", "fallback_time_zone: 'contact' is not"),
    (throttled(max_batches=4), "throttle", "batch_size and max_batches exclude each other"),
    (throttled(batch_size=None), "throttle.batch_size", "A throttle needs a batch_size, or else max_batches"),
    (throttled(batch_size=0), "throttle.batch_size", "batch_size must be from 1 to 2,000,000,000, not 0"),
    (throttled(batch_size=-1), "throttle.batch_size", "batch_size must be from 1 to"),
    (throttled(batch_size=MOST + 1), "throttle.batch_size", "batch_size must be from 1 to"),
    (throttled(batch_size=None, max_batches=0), "throttle.max_batches", "max_batches must be from 1 to"),
    (throttled(batch_size=None, max_batches=MOST + 1), "throttle.max_batches", "max_batches must be from 1 to"),
    (CONTACT | throttled(batch_size=None, max_batches=4), "throttle.max_batches", "max_batches does not go with"),
    (throttled(every="0s"), "throttle.every", "every must be from a second to 366 days"),
    (throttled(every="999ms"), "throttle.every", "every must be from a second to 366 days"),
    (throttled(every=-60), "throttle.every", "every must be from a second to 366 days"),
    (throttled(every="8785h"), "throttle.every", "every must be from a second to 366 days"),
    ({"at": "2036-12-02T09:00Z"}, "at", "at is more than ten years away (2036-12-02 09:00 UTC)"),
    ({"at": "8999-12-31T23:59Z"}, "at", "at is more than ten years away"),
    (OSLO | {"at": "2206-12-02T09:00"}, "at", "at is more than ten years away"),
    (CONTACT | {"at": "2206-12-02T09:00"}, "at", "at is more than ten years away"),
    (CONTACT | {"at": "1999-12-02T09:00", "passed_zones": "next_day"}, "at", "at is more than ten years away"),
]


@pytest.mark.parametrize(("schedule", "field", "beginning"), WRONG)
def test_a_wrong_schedule_is_refused_with_a_sentence(
    schedule: Mapping[str, object], field: str, beginning: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_schedule(Schedule.model_validate(schedule), now=NOW)
    assert refused.value.message.startswith(beginning)
    assert "\n" not in refused.value.message
    assert (refused.value.field, refused.value.code) == (field, "invalid_input")


@pytest.mark.parametrize(
    ("schedule", "shown"),
    [
        ({"at": "2026-12-01T08:58:59Z"}, "2026-12-01 08:58 UTC"),
        ({"at": "2026-12-01T09:58:59+01:00"}, "2026-12-01 09:58 UTC+01:00"),
        ({"at": "2026-12-01T09:58:59", "time_zone": "Europe/Oslo"}, "2026-12-01 09:58"),
        ({"at": "1926-12-01T09:00Z"}, "1926-12-01 09:00 UTC"),
        # Passed in every zone there is: nobody has to look at the audience.
        ({"at": "1999-12-01T09:00", "time_zone": "contact"}, "1999-12-01 09:00"),
        ({"at": "1999-12-01T09:00", "time_zone": "contact", "passed_zones": "skip"}, "1999-12-01 09:00"),
    ],
)
def test_a_time_that_is_over_is_refused_with_a_code_of_its_own(schedule: Mapping[str, object], shown: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_schedule(Schedule.model_validate(schedule), now=NOW)
    assert refused.value.message == f'at is in the past ({shown}); leave out "at" to send now.'
    assert (refused.value.field, refused.value.code) == ("at", "at_in_past")


@pytest.mark.parametrize(
    "schedule",
    [
        {},
        OSLO,
        CONTACT,
        CONTACT | {"fallback_time_zone": "Asia/Tokyo", "passed_zones": "next_day"},
        {"at": "2026-12-01T08:59:00Z"},  # a minute of slow typing
        {"at": "2026-12-01T09:59:00", "time_zone": "Europe/Oslo"},
        {"at": "2036-12-01T09:00:00Z"},
        CONTACT | {"at": "2026-11-01T09:00"},  # the zones of the audience decide, in check_plan
        throttled(),
        throttled(batch_size=MOST),
        throttled(batch_size=None, max_batches=1),
        throttled(batch_size=None, max_batches=MOST),
        throttled(every="1s"),
        throttled(every="366d"),
        throttled(ends_at="2026-12-02T09:00+01:00"),
        OSLO | throttled(batch_size=None, max_batches=4, ends_at="2026-12-03T09:00"),
        CONTACT | throttled(ends_at="2026-12-03T09:00Z"),
        {"time_zone": "Europe/Oslo", **throttled(ends_at="2026-12-02T09:00")},  # now, until nine in Oslo
    ],
)
def test_a_right_schedule_passes(schedule: Mapping[str, object]) -> None:
    check_schedule(Schedule.model_validate(schedule), now=NOW)


def test_spaces_around_a_zone_are_no_part_of_it() -> None:
    schedule = Schedule.model_validate({"at": "2026-12-02T09:00", "time_zone": " Europe/Oslo\n"})
    check_schedule(schedule, now=NOW)
    assert make_plan(schedule, accepted_at=NOW).first_due_at == datetime(2026, 12, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong", [{"atr": None}, {"passed_zones": "later"}, throttled(evry="1m"), throttled(every=None)]
)
def test_what_a_schedule_does_not_know_is_refused(wrong: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate(wrong)


# -- the end date ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "end"),
    [
        ({}, None),
        (throttled(), None),
        (throttled(ends_at="2026-12-02T09:00+01:00"), datetime(2026, 12, 2, 8, 0, tzinfo=UTC)),
        (CONTACT | throttled(ends_at="2026-12-02T09:00Z"), datetime(2026, 12, 2, 9, 0, tzinfo=UTC)),
        (OSLO | throttled(ends_at="2027-03-28T02:30"), datetime(2027, 3, 28, 1, 30, tzinfo=UTC)),  # in a gap
        (OSLO | throttled(ends_at="2027-10-31T02:30"), datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),  # the first of two
        (
            {"time_zone": "Asia/Kathmandu", **throttled(ends_at="2026-12-02T09:00")},
            datetime(2026, 12, 2, 3, 15, tzinfo=UTC),
        ),
    ],
)
def test_the_end_is_an_instant(schedule: Mapping[str, object], end: datetime | None) -> None:
    assert end_of(Schedule.model_validate(schedule)) == end


@pytest.mark.parametrize(
    ("ends_at", "schedule", "instant"),
    [
        ("2026-12-01T09:00:00.000001Z", throttled(), NOW + timedelta(microseconds=1)),
        ("2026-12-01T10:30+01:00", throttled(), datetime(2026, 12, 1, 9, 30, tzinfo=UTC)),
        ("2026-12-01T10:30", OSLO | throttled(), datetime(2026, 12, 1, 9, 30, tzinfo=UTC)),
        ("2026-12-01T10:30Z", CONTACT | throttled(), datetime(2026, 12, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_new_end_to_come_is_taken(ends_at: str, schedule: Mapping[str, object], instant: datetime) -> None:
    assert check_new_end(parse_time(ends_at), Schedule.model_validate(schedule), now=NOW) == instant


@pytest.mark.parametrize(
    ("ends_at", "schedule", "beginning"),
    [
        ("2026-12-02T09:00Z", None, "The message is not throttled, so it has no end date to move."),
        ("2026-12-02T09:00Z", {}, "The message is not throttled, so it has no end date to move."),
        ("2026-12-01T09:00Z", throttled(), "ends_at is in the past (2026-12-01 09:00 UTC)"),
        ("2026-12-01T10:00", OSLO | throttled(), "ends_at is in the past (2026-12-01 09:00 UTC)"),
        ("2026-12-02T09:00", throttled(), "ends_at: 2026-12-02T09:00 has no offset"),
        ("2026-12-02T09:00", CONTACT | throttled(), "ends_at: 2026-12-02T09:00 has no offset"),
        ("2036-12-02T09:00Z", throttled(), "ends_at is more than ten years away (2036-12-02 09:00 UTC)"),
        ("8999-12-31T23:59Z", throttled(), "ends_at is more than ten years away"),
    ],
)
def test_a_wrong_new_end_is_refused(ends_at: str, schedule: Mapping[str, object] | None, beginning: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_new_end(parse_time(ends_at), None if schedule is None else Schedule.model_validate(schedule), now=NOW)
    assert refused.value.message.startswith(beginning)
    assert "\n" not in refused.value.message
    assert (refused.value.field, refused.value.code) == ("ends_at", "invalid_input")


# -- what is stored is what was given ------------------------------------------------------------------------------

#: RFC 3339 has offsets of whole minutes.
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1900, 1, 1), datetime(8999, 12, 31), timezones=st.one_of(st.none(), offsets))  # noqa: DTZ001
throttles = st.builds(
    Throttle,
    batch_size=st.none() | st.integers(1, MOST),
    max_batches=st.none() | st.integers(1, MOST),
    every=st.timedeltas(timedelta(seconds=1), timedelta(days=366)),
    ends_at=st.none() | times,
)
schedules = st.builds(
    Schedule,
    at=st.none() | times,
    time_zone=st.sampled_from([None, "contact", "Europe/Oslo"]),
    fallback_time_zone=st.sampled_from([None, "Asia/Kathmandu"]),
    passed_zones=st.sampled_from(PassedZones),
    throttle=st.none() | throttles,
)


@given(schedules)
def test_a_schedule_is_read_as_it_was_stored(schedule: Schedule) -> None:
    read = Schedule.model_validate(schedule.model_dump(mode="json"))
    assert read == schedule
    assert read == Schedule.model_validate_json(schedule.model_dump_json())
    if schedule.at is not None and read.at is not None:
        assert read.at.utcoffset() == schedule.at.utcoffset()


# -- durations ---------------------------------------------------------------------------------------------------


def test_now_is_the_instant_of_acceptance() -> None:
    assert make_plan(Schedule(), accepted_at=NOW).first_due_at == NOW
    later = NOW + timedelta(days=1)
    assert make_plan(Schedule(at=later), accepted_at=NOW).first_due_at == later


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("30s", 30),
        ("15m", 900),
        ("1.5h", 5400),
        ("1d", 86400),
        ("250ms", 0.25),
        ("PT15M", 900),
        ("P1DT2H", 93600),
    ],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "-5m", "5 weeks", "P1M", "PT", "P", "1h30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_duration_longer_than_time_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("99999999999999d")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "PT0S"),
        (timedelta(seconds=30), "PT30S"),
        (timedelta(seconds=1.5), "PT1.5S"),
        (timedelta(microseconds=1), "PT0.000001S"),
        (timedelta(minutes=15), "PT15M"),
        (timedelta(hours=1, seconds=1), "PT1H1S"),
        (timedelta(days=1), "PT24H"),
    ],
)
def test_durations_as_they_are_written(duration: timedelta, text: str) -> None:
    assert iso_duration(duration) == text


@given(st.timedeltas(timedelta(0), timedelta(days=3660)))
def test_a_duration_is_read_as_it_was_written(duration: timedelta) -> None:
    assert parse_duration(iso_duration(duration)) == duration
