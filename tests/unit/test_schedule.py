"""Schedules, durations and the retry schedule: pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.durations import parse_duration
from models.errors import InvalidInput
from models.retry import MOST_TRIES, wait_before_next_try
from models.schedule import Schedule, check_schedule, make_plan, parse_instant

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def test_an_instant_keeps_its_offset() -> None:
    assert parse_instant("2026-12-01T09:00+01:00") == datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
    assert parse_instant(" 2026-12-01 09:00Z ") == NOW


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T09:00Z", "09:00Z", "2026-12-01T09:00", "2026-12-01"])
def test_an_instant_that_cannot_be_told_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_instant(text)
    assert "\n" not in refused.value.message


def test_a_naive_time_is_no_instant() -> None:
    with pytest.raises(ValidationError):
        Schedule(at=datetime(2026, 12, 1, 9, 0))  # noqa: DTZ001  # that is the point


def test_the_past_is_refused_after_a_minute() -> None:
    check_schedule(Schedule(at=NOW - timedelta(seconds=60)), now=NOW)
    with pytest.raises(InvalidInput) as refused:
        check_schedule(Schedule(at=NOW - timedelta(seconds=61)), now=NOW)
    assert refused.value.code == "at_in_past"


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


@given(st.integers(min_value=1, max_value=MOST_TRIES - 1))
def test_waits_between_tries_grow_up_to_an_hour(tries: int) -> None:
    wait = wait_before_next_try(tries)
    assert wait is not None
    assert timedelta(minutes=1) <= wait <= timedelta(hours=1)
    assert tries == 1 or wait >= (wait_before_next_try(tries - 1) or timedelta.max)


def test_after_the_last_try_there_is_none() -> None:
    assert wait_before_next_try(MOST_TRIES) is None
