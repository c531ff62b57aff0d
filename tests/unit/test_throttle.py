"""The grid of turns, and the forecast, which is held against a send played turn by turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.throttle import Batches, Forecast, Grid, ThrottleRule, forecast
from tests.unit.throttle_simulation import simulate

START = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
GRID = Grid(start=START, every=QUARTER)
MOMENT = timedelta(microseconds=1)
CENTURY = timedelta(days=36525)


def every_quarter(**size: int) -> ThrottleRule:
    return ThrottleRule(every=QUARTER, **size)


def at(text: str) -> datetime:
    """Return the instant of a time on the day of the send, in UTC."""
    return datetime.fromisoformat(f"2026-12-01T{text}Z")


# -- the grid ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("turn", "instant"), [(0, "09:00"), (1, "09:15"), (4, "10:00"), (59, "23:45")])
def test_turns_are_the_start_and_multiples_of_the_interval(turn: int, instant: str) -> None:
    assert GRID.at(turn) == at(instant)


@pytest.mark.parametrize(
    ("moment", "latest", "following"),
    [
        ("08:00", 0, 0),  # nobody is due before the start
        ("08:59:59.999999", 0, 0),
        ("09:00", 0, 0),
        ("09:00:00.000001", 0, 1),
        ("09:14:59.999999", 0, 1),
        ("09:15", 1, 1),
        ("09:15:00.000001", 1, 2),
        ("10:07", 4, 5),
    ],
)
def test_the_turn_that_has_come_and_the_turn_to_come(moment: str, latest: int, following: int) -> None:
    assert GRID.latest(at(moment)) == latest
    assert GRID.next(at(moment)) == following


def test_a_turn_is_taken_once() -> None:
    assert GRID.next(at("09:30"), after=1) == 2
    assert GRID.next(at("09:30"), after=2) == 3
    assert GRID.next(at("09:30"), after=7) == 8
    assert GRID.next(at("09:31"), after=0) == 3


def test_the_grid_crosses_a_change_of_the_clocks_in_real_hours() -> None:
    oslo = datetime.fromisoformat("2027-03-28T01:30+01:00")
    assert Grid(start=oslo, every=timedelta(hours=1)).at(1) == datetime.fromisoformat("2027-03-28T03:30+02:00")


def test_a_turn_behind_the_calendar_is_told_as_the_last_on_it() -> None:
    yearly = Grid(start=START, every=timedelta(days=366))
    assert yearly.at(2_000_000_000).year == 8999
    assert yearly.at(2_000_000_000) == yearly.at(1_999_999_999)
    assert yearly.at(6000) > yearly.at(5999)


intervals = st.sampled_from([timedelta(minutes=7), QUARTER, timedelta(hours=1, seconds=0.5)])
moments = st.tuples(
    st.integers(-2, 20), st.sampled_from([-MOMENT, timedelta(0), MOMENT]) | st.timedeltas(-QUARTER, QUARTER)
)


@given(intervals, moments)
def test_the_latest_and_the_next_turn_are_what_their_names_say(every: timedelta, moment: tuple[int, timedelta]) -> None:
    grid, now = Grid(start=START, every=every), START + moment[0] * every + moment[1]
    turns = range(40)
    assert grid.latest(now) == max((turn for turn in turns if START + turn * every <= now), default=0)
    assert grid.next(now) == min(turn for turn in turns if START + turn * every >= now)


@given(intervals, moments, st.integers(0, 20))
def test_the_next_turn_is_behind_the_one_that_was_taken(
    every: timedelta, moment: tuple[int, timedelta], after: int
) -> None:
    grid, now = Grid(start=START, every=every), START + moment[0] * every + moment[1]
    expected = min(turn for turn in range(after + 1, 40) if START + turn * every >= now)
    assert grid.next(now, after=after) == expected


# -- the forecast ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waiting", "rule", "turn", "opened", "ends_at", "batches", "expired"),
    [
        ([("09:00", 7)], every_quarter(batch_size=3), 0, 0, None, [(0, 3), (1, 3), (2, 1)], 0),
        ([("09:00", 6)], every_quarter(batch_size=3), 0, 0, None, [(0, 3), (1, 3)], 0),
        ([("09:00", 7)], every_quarter(batch_size=3), 5, 2, None, [(5, 3), (6, 3), (7, 1)], 0),
        ([("09:00", 10)], every_quarter(max_batches=4), 0, 0, None, [(0, 3), (1, 3), (2, 2), (3, 2)], 0),
        ([("09:00", 7)], every_quarter(max_batches=4), 6, 1, None, [(6, 3), (7, 2), (8, 2)], 0),
        ([("09:00", 5)], every_quarter(max_batches=4), 9, 4, None, [(9, 5)], 0),  # all opened: one more
        # Two zones: the second joins the queue of the first, and fills no batch that has opened.
        ([("09:00", 4), ("09:15", 4)], every_quarter(batch_size=3), 0, 0, None, [(0, 3), (1, 3), (2, 2)], 0),
        ([("09:00", 1), ("09:01", 1)], every_quarter(batch_size=3), 0, 0, None, [(0, 1), (1, 1)], 0),
        ([("09:00", 1), ("09:30", 4)], every_quarter(batch_size=3), 0, 0, None, [(0, 1), (2, 3), (3, 1)], 0),
        ([("09:30", 1), ("09:00", 1)], every_quarter(batch_size=3), 0, 0, None, [(0, 1), (2, 1)], 0),
        # The end is no time for a batch; a moment before it is.
        ([("09:00", 7)], every_quarter(batch_size=3), 0, 0, "09:30", [(0, 3), (1, 3)], 1),
        ([("09:00", 7)], every_quarter(batch_size=3), 0, 0, "09:30:00.000001", [(0, 3), (1, 3), (2, 1)], 0),
        ([("09:00", 7)], every_quarter(batch_size=3), 0, 0, "09:00", [], 7),
        ([("09:00", 7)], every_quarter(batch_size=3), 0, 0, "08:00", [], 7),
        ([("09:00", 10)], every_quarter(max_batches=4), 0, 0, "09:45", [(0, 3), (1, 3), (2, 2)], 2),
        ([("09:00", 0)], every_quarter(batch_size=3), 0, 0, None, [], 0),
        ([], every_quarter(max_batches=3), 4, 0, None, [], 0),
    ],
)
def test_the_forecast_of_a_throttled_send(
    waiting: list[tuple[str, int]],
    rule: ThrottleRule,
    turn: int,
    opened: int,
    ends_at: str | None,
    batches: list[tuple[int, int]],
    expired: int,
) -> None:
    foretold = forecast(
        [(at(time), number) for time, number in waiting],
        GRID,
        rule,
        turn=turn,
        opened=opened,
        ends_at=at(ends_at) if ends_at else None,
    )
    assert one_by_one(foretold) == batches
    assert foretold.expired == expired
    assert foretold.number == len(batches)
    assert foretold.last_turn == (batches[-1][0] if batches else None)


def test_a_forecast_of_two_billion_batches_costs_what_one_of_two_costs() -> None:
    waiting = [(START, 2_000_000_000), (START + CENTURY, 5)]
    foretold = forecast(waiting, GRID, every_quarter(batch_size=1), turn=0, opened=0)
    assert foretold.number == 2_000_000_005
    assert len(foretold.batches) == 2
    assert forecast(waiting[:1], GRID, every_quarter(max_batches=1_500_000_000), turn=0, opened=0).batches == (
        Batches(turn=0, number=500_000_000, size=2),
        Batches(turn=500_000_000, number=1_000_000_000, size=1),
    )


def one_by_one(foretold: Forecast) -> list[tuple[int, int]]:
    """Return turn and size of every batch."""
    return [(batches.turn + index, batches.size) for batches in foretold.batches for index in range(batches.number)]


minutes = st.integers(0, 240).map(lambda number: START + timedelta(minutes=number))
#: Often on a turn of the grid, where the rules meet.
instants = minutes | st.integers(0, 16).map(lambda turn: START + turn * QUARTER)
arrivals = st.lists(st.tuples(instants, st.integers(0, 12)), max_size=5)
ends = st.none() | instants | st.just(START - QUARTER)


@given(arrivals, st.integers(1, 7), st.integers(0, 10), st.integers(0, 5), ends)
def test_batches_of_a_size_come_as_they_do_turn_by_turn(
    waiting: list[tuple[datetime, int]], size: int, turn: int, opened: int, ends_at: datetime | None
) -> None:
    foretold = forecast(waiting, GRID, every_quarter(batch_size=size), turn=turn, opened=opened, ends_at=ends_at)
    batches, left = simulate(
        waiting, start=START, every=QUARTER, batch_size=size, turn=turn, opened=opened, ends_at=ends_at
    )
    assert one_by_one(foretold) == batches
    assert foretold.expired == left
    assert foretold.number == len(batches)
    assert foretold.last_turn == (batches[-1][0] if batches else None)


@given(instants, st.integers(0, 60), st.integers(1, 12), st.integers(0, 10), st.integers(0, 14), ends)
def test_a_number_of_batches_comes_as_it_does_turn_by_turn(
    due_at: datetime, recipients: int, most: int, turn: int, opened: int, ends_at: datetime | None
) -> None:
    waiting, rule = [(due_at, recipients)], every_quarter(max_batches=most)
    foretold = forecast(waiting, GRID, rule, turn=turn, opened=opened, ends_at=ends_at)
    batches, left = simulate(
        waiting, start=START, every=QUARTER, max_batches=most, turn=turn, opened=opened, ends_at=ends_at
    )
    assert one_by_one(foretold) == batches
    assert foretold.expired == left
    sizes = [size for _, size in batches]
    assert len(sizes) <= max(most - opened, 1)
    assert not sizes or max(sizes) - min(sizes) <= 1


@given(arrivals, st.integers(1, 7), st.integers(0, 10), ends)
def test_nobody_is_lost_or_counted_twice(
    waiting: list[tuple[datetime, int]], size: int, turn: int, ends_at: datetime | None
) -> None:
    foretold = forecast(waiting, GRID, every_quarter(batch_size=size), turn=turn, opened=0, ends_at=ends_at)
    batches = one_by_one(foretold)
    assert sum(number for _, number in batches) + foretold.expired == sum(number for _, number in waiting)
    assert all(0 < number <= size for _, number in batches)
    turns = [each for each, _ in batches]
    assert turns == sorted(set(turns))
    assert all(each >= turn for each in turns)
    assert ends_at is None or all(GRID.at(each) < ends_at for each in turns)
