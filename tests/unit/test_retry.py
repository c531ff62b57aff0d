"""When a deferred recipient is tried again: typed waits, and what holds of all rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.retry import RetryRule
from models.schedule import Schedule, check_schedule

NOON = datetime(2030, 1, 7, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

waits = st.timedeltas(timedelta(seconds=1), timedelta(days=366))
rules = st.builds(
    RetryRule, first_wait=waits, longest_wait=waits, max_age=waits, tries=st.integers(min_value=1, max_value=1000)
)


@pytest.mark.parametrize(
    ("tries", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (11, 60), (12, None)]
)
def test_waits_double_up_to_an_hour_and_the_twelfth_try_is_the_last(tries: int, minutes: int | None) -> None:
    expected = None if minutes is None else NOON + timedelta(minutes=minutes)
    assert RetryRule().next_try(tries, first_try_at=NOON, now=NOON) == expected


def test_no_try_begins_a_day_after_the_first() -> None:
    rule = RetryRule()
    assert rule.next_try(7, first_try_at=NOON, now=NOON + timedelta(hours=22, minutes=59)) is not None
    assert rule.next_try(7, first_try_at=NOON, now=NOON + timedelta(hours=23)) is None


@pytest.mark.parametrize(("age", "minutes"), [(0, 1), (4, 1), (8, 2), (40, 10), (240, 60), (600, 60)])
def test_while_the_next_hop_is_busy_tries_are_not_counted_and_the_wait_grows_with_the_age(
    age: int, minutes: int
) -> None:
    now = NOON + age * MINUTE
    assert RetryRule(tries=1).next_try(1, first_try_at=NOON, now=now, busy=True) == now + minutes * MINUTE


def test_a_next_hop_that_is_busy_for_a_day_is_given_up_on() -> None:
    assert RetryRule().next_try(1, first_try_at=NOON, now=NOON + 23 * HOUR, busy=True) is None


@given(rules, st.integers(min_value=1, max_value=1000), st.timedeltas(timedelta(0), timedelta(days=400)), st.booleans())
def test_a_next_try_is_later_within_the_age_and_no_longer_away_than_the_longest_wait(
    rule: RetryRule, tries: int, age: timedelta, busy: bool
) -> None:
    now = NOON + age
    then = rule.next_try(tries, first_try_at=NOON, now=now, busy=busy)
    if then is not None:
        assert now < then <= now + rule.longest_wait
        assert then - NOON < rule.max_age
        assert busy or tries < rule.tries


@pytest.mark.parametrize(
    ("retry", "sentence"),
    [
        ({"tries": 0}, "tries must be from 1 to 1,000, not 0."),
        ({"tries": 1001}, "tries must be from 1 to 1,000, not 1,001."),
        ({"first_wait": "0s"}, "first_wait must be from a second to 366 days, not 0:00:00."),
        ({"max_age": "400d"}, "max_age must be from a second to 366 days, not 400 days, 0:00:00."),
        ({"first_wait": "2h"}, "first_wait (2:00:00) is longer than longest_wait (1:00:00)."),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(retry: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_schedule(Schedule.model_validate({"retry": retry}), now=NOON)
    assert refused.value.message == sentence


@pytest.mark.parametrize("rate", [0.0, -1.0, 0.0001, 1e9, float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense_is_refused(rate: float) -> None:
    with pytest.raises(InvalidInput, match="emails_per_second must be from"):
        check_schedule(Schedule(emails_per_second=rate), now=NOON)
