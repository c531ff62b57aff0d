"""Where a send stands: every view of the kept counts adds up, and says what is to come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.message import Counts
from models.progress import (
    UNBATCHED,
    SlotTable,
    foretell,
    last_begins_at,
    next_begins_at,
    slot_label,
    slots_of,
    throttle_progress,
    turns_missed,
)
from models.recipient import RecipientStatus
from models.schedule import Throttle
from tests.unit.throttle_simulation import simulate

START = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
THROTTLE = Throttle(batch_size=10, every=QUARTER)


def at(text: str) -> datetime:
    """Return the instant of a time on the day of the send, in UTC."""
    return datetime.fromisoformat(f"2026-12-01T{text}Z")


def counts(**parts: int) -> Counts:
    return Counts(**parts, total=sum(parts.values()))


# -- slots -------------------------------------------------------------------------------------------------------

#: A send at nine in each zone: Tokyo is done but for two, Oslo goes now, New York waits.
BY_ZONE = SlotTable(
    counts={
        (at("08:00"), 0): counts(sent=3, pending=4, claimed=2),
        (at("00:00"), 0): counts(sent=5, deferred=1, bounced=1),
        (at("14:00"), 0): counts(pending=6, suppressed=1),
    },
    zones={
        at("00:00"): ["Asia/Tokyo"],
        at("08:00"): ["Europe/Oslo", "Europe/Berlin", "Africa/Lagos"],
        at("14:00"): ["America/New_York", "America/Toronto"],
        at("17:00"): ["America/Los_Angeles"],  # whoever was due there is so no more
    },
)


def test_slots_are_shown_in_their_order_with_what_people_call_them() -> None:
    assert [(slot.due_at, slot.label, slot.counts) for slot in slots_of(BY_ZONE)] == [
        (at("00:00"), "09:00 Asia/Tokyo", counts(sent=5, deferred=1, bounced=1)),
        (at("08:00"), "09:00 Europe/Oslo and 2 more", counts(sent=3, pending=4, claimed=2)),
        (at("14:00"), "09:00 America/New_York and 1 more", counts(pending=6, suppressed=1)),
    ]
    assert [slot.zones for slot in slots_of(BY_ZONE)][1] == ["Europe/Oslo", "Europe/Berlin", "Africa/Lagos"]


def test_the_batches_of_one_slot_are_one_slot() -> None:
    table = SlotTable(
        counts={
            (START, 0): counts(sent=3),
            (START, UNBATCHED): counts(pending=4),
            (START, 7): counts(),
            (START + QUARTER, 0): counts(),  # nobody is left in it
        },
        zones={START: ["UTC"]},
    )
    assert [(slot.due_at, slot.counts) for slot in slots_of(table)] == [(START, counts(sent=3, pending=4))]
    assert table.of_slot(START) == counts(sent=3, pending=4)
    assert table.of_batch(0) == counts(sent=3)
    assert table.of_batch(UNBATCHED) == counts(pending=4)


def test_a_send_at_one_instant_has_no_slots_to_show() -> None:
    assert slots_of(SlotTable(counts={(START, 0): counts(pending=3)})) == []


@pytest.mark.parametrize(
    ("due_at", "zones", "label"),
    [
        ("00:00", ["Asia/Tokyo"], "09:00 Asia/Tokyo"),
        ("03:15", ["Asia/Kathmandu", "Asia/Katmandu"], "09:00 Asia/Kathmandu and 1 more"),
        ("08:00", ["Europe/Oslo", "Europe/Berlin", "Africa/Lagos"], "09:00 Europe/Oslo and 2 more"),
        ("08:00", [], "2026-12-01 08:00 UTC"),
    ],
)
def test_a_slot_is_called_by_the_clocks_of_its_largest_zone(due_at: str, zones: list[str], label: str) -> None:
    assert slot_label(at(due_at), zones) == label


@pytest.mark.parametrize(
    ("now", "due", "begun", "following", "last"),
    [
        ("07:59", 2, "00:00", "08:00", "14:00"),
        ("08:00", 6, "08:00", "14:00", "14:00"),
        ("13:59:59.999999", 6, "08:00", "14:00", "14:00"),
        ("14:00", 12, "14:00", None, None),
    ],
)
def test_what_is_due_what_has_begun_and_what_is_to_come(
    now: str, due: int, begun: str, following: str | None, last: str | None
) -> None:
    assert BY_ZONE.due(as_of=at(now)) == due
    assert BY_ZONE.latest_begun(as_of=at(now)) == (at(begun), BY_ZONE.of_slot(at(begun)))
    assert next_begins_at(BY_ZONE, None, as_of=at(now)) == (at(following) if following else None)
    assert last_begins_at(BY_ZONE, None, as_of=at(now)) == (at(last) if last else None)


def test_a_slot_in_which_nobody_waits_is_none_to_come() -> None:
    table = SlotTable(
        counts={
            (at("10:00"), 0): counts(withdrawn=3),
            (at("11:00"), 0): counts(pending=1),
            (at("12:00"), 0): counts(sent=1),
        }
    )
    assert next_begins_at(table, None, as_of=START) == last_begins_at(table, None, as_of=START) == at("11:00")


def test_before_the_send_begins_there_is_nothing() -> None:
    table = SlotTable()
    assert table.latest_turn is None
    assert table.due(as_of=START) == 0
    assert table.latest_begun(as_of=START) == (None, Counts())
    assert slots_of(table) == []
    assert throttle_progress(table, THROTTLE, as_of=START) is None
    assert turns_missed(table, THROTTLE, as_of=START) == 0
    for throttle in (None, THROTTLE):
        assert next_begins_at(table, throttle, as_of=START) is None
        assert last_begins_at(table, throttle, as_of=START) is None


# -- throttle batches --------------------------------------------------------------------------------------------


def throttled(
    waiting: Iterable[tuple[str, int]] = (("09:00", 25),),
    *,
    latest: int | None = 0,
    ends_at: str | None = None,
) -> SlotTable:
    """Return a send from nine on in batches of ten: one of them is opened, and some recipients wait."""
    in_none = {(at(due_at), UNBATCHED): counts(pending=number) for due_at, number in waiting}
    opened = {} if latest is None else {(START, latest): counts(sent=6, claimed=1, pending=3)}
    return SlotTable(
        counts=opened | in_none,
        batches=() if latest is None else ((latest, START + latest * QUARTER + timedelta(seconds=1), 10),),
        first_turn_at=START,
        ends_at=at(ends_at) if ends_at else None,
    )


def test_the_throttle_of_a_send_under_way() -> None:
    progress = throttle_progress(throttled(ends_at="09:40"), THROTTLE, as_of=at("09:05"))
    assert progress is not None
    assert (progress.opened, progress.waiting, progress.to_come, progress.will_expire) == (1, 25, 2, 5)
    assert (progress.next_opens_at, progress.last_opens_at) == (at("09:15"), at("09:30"))
    assert progress.ends_at == at("09:40")
    [batch] = progress.batches
    assert (batch.turn, batch.turn_at, batch.opened_at, batch.size) == (0, START, at("09:00:01"), 10)
    assert batch.counts == counts(sent=6, claimed=1, pending=3)


def test_who_waits_for_a_batch_is_not_due() -> None:
    table = throttled()
    assert table.due(as_of=at("12:00")) == 4
    assert table.waiting() == [(START, 25)]
    assert table.latest_turn == 0
    assert table.latest_begun(as_of=at("12:00")) == (at("09:00:01"), counts(sent=6, claimed=1, pending=3))


def test_those_who_wait_are_told_in_the_order_of_their_instants() -> None:
    table = throttled([("11:00", 2), ("09:30", 3), ("10:00", 0)])
    assert table.waiting() == [(at("09:30"), 3), (at("11:00"), 2)]


@pytest.mark.parametrize(
    ("now", "waiting", "following", "last"),
    [
        ("09:05", [("09:00", 25)], "09:15", "09:45"),
        ("09:15", [("09:00", 25)], "09:15", "09:45"),  # this very moment is to come
        ("09:16", [("09:00", 25)], "09:30", "10:00"),
        ("09:05", [("09:31", 5)], "09:45", "09:45"),
        ("09:05", [("09:00", 5), ("11:00", 5)], "09:15", "11:00"),
        ("09:05", [], None, None),
    ],
)
def test_the_next_and_the_last_batch_to_come(
    now: str, waiting: list[tuple[str, int]], following: str | None, last: str | None
) -> None:
    table = throttled(waiting)
    assert next_begins_at(table, THROTTLE, as_of=at(now)) == (at(following) if following else None)
    assert last_begins_at(table, THROTTLE, as_of=at(now)) == (at(last) if last else None)


def test_when_the_end_has_passed_no_batch_is_to_come() -> None:
    table = throttled(ends_at="09:15")
    assert next_begins_at(table, THROTTLE, as_of=at("09:05")) is None
    assert last_begins_at(table, THROTTLE, as_of=at("09:05")) is None
    progress = throttle_progress(table, THROTTLE, as_of=at("09:05"))
    assert progress is not None
    assert (progress.to_come, progress.will_expire, progress.next_opens_at) == (0, 25, None)


def test_the_last_fifty_batches_are_shown() -> None:
    table = SlotTable(
        counts={(START, turn): counts(sent=turn + 1) for turn in range(60)},
        batches=tuple((turn, START + turn * QUARTER, turn + 1) for turn in range(60)),
        first_turn_at=START,
    )
    progress = throttle_progress(table, THROTTLE, as_of=at("23:59"))
    assert progress is not None
    assert progress.opened == 60
    assert [batch.turn for batch in progress.batches] == list(range(10, 60))
    assert all(batch.counts.sent == batch.size for batch in progress.batches)
    assert table.latest_turn == 59


def test_a_number_of_batches_counts_those_that_are_open() -> None:
    foretold = foretell(throttled([("09:00", 7)]), Throttle(max_batches=4, every=QUARTER), as_of=at("09:05"))
    assert foretold is not None
    assert [(batches.turn, batches.number, batches.size) for batches in foretold[1].batches] == [(1, 1, 3), (2, 2, 2)]


@pytest.mark.parametrize(
    ("now", "table", "missed"),
    [
        ("09:00", throttled(), 0),
        ("09:14", throttled(), 0),
        ("09:15", throttled(), 0),  # this very moment is to come
        ("09:16", throttled(), 1),
        ("10:01", throttled(), 4),
        ("10:01", throttled(latest=3), 1),
        ("10:01", throttled(latest=9), 0),
        ("10:01", throttled([]), 0),  # nobody waited
        ("10:01", throttled([("09:31", 5)]), 2),  # at 09:45 and 10:00
        ("10:01", throttled([("09:31", 5), ("09:10", 1)]), 4),
        ("10:01", throttled([("11:00", 5)]), 0),
        ("10:01", throttled(ends_at="09:45"), 2),  # from the end on there are no turns
        ("10:01", throttled(ends_at="09:45:01"), 3),
        ("10:01", throttled(ends_at="12:00"), 4),
        ("10:01", throttled(ends_at="08:00"), 0),
        ("08:00", throttled(latest=None), 0),
        ("10:01", throttled(latest=None), 5),
    ],
)
def test_turns_that_passed_while_somebody_waited_are_missed(now: str, table: SlotTable, missed: int) -> None:
    assert turns_missed(table, THROTTLE, as_of=at(now)) == missed


# -- what holds for every send -----------------------------------------------------------------------------------

minutes = st.integers(0, 240).map(lambda number: START + timedelta(minutes=number))
instants = minutes | st.integers(0, 16).map(lambda turn: START + turn * QUARTER)
some_counts = st.dictionaries(st.sampled_from([each.value for each in RecipientStatus]), st.integers(0, 9)).map(
    lambda parts: counts(**parts)
)
waiting_counts = st.integers(0, 20).map(lambda number: counts(pending=number))


@st.composite
def tables(draw: st.DrawFn) -> SlotTable:
    """Draw a throttled send: some batches, and some who wait."""
    turns = draw(st.lists(st.integers(0, 12), unique=True, max_size=5).map(sorted))
    kept = {(draw(instants), turn): draw(some_counts) for turn in turns}
    kept |= {(draw(instants), UNBATCHED): draw(waiting_counts) for _ in range(draw(st.integers(0, 4)))}
    return SlotTable(
        counts=kept,
        zones={due_at: ["UTC"] for due_at, _ in kept},
        batches=tuple((turn, START + turn * QUARTER, 10) for turn in turns),
        first_turn_at=START,
        ends_at=draw(st.none() | instants),
    )


def added(several: Iterable[Counts]) -> dict[str, int]:
    dumped = [each.model_dump() for each in several]
    return {name: sum(each[name] for each in dumped) for name in Counts.model_fields}


@given(tables())
def test_every_view_adds_up(table: SlotTable) -> None:
    everybody = added(table.counts.values())
    assert everybody == added(slot.counts for slot in slots_of(table))
    assert all(slot.counts.parts == slot.counts.total > 0 for slot in slots_of(table))
    batches = [turn for turn, _, _ in table.batches]
    assert everybody == added(table.of_batch(turn) for turn in [UNBATCHED, *batches])
    assert everybody == added(table.of_slot(due_at) for due_at in {due_at for due_at, _ in table.counts})
    progress = throttle_progress(table, THROTTLE, as_of=START)
    assert progress is not None
    assert everybody["pending"] == progress.waiting + sum(batch.counts.pending for batch in progress.batches)
    assert everybody["claimed"] <= table.due(as_of=START) <= everybody["claimed"] + everybody["pending"]


@given(tables(), instants)
def test_what_is_to_come_is_the_send_turn_by_turn(table: SlotTable, now: datetime) -> None:
    opened = [turn for turn, _, _ in table.batches]
    first = min(turn for turn in range(40) if START + turn * QUARTER >= now and turn > max(opened, default=-1))
    batches, left = simulate(
        table.waiting(), start=START, every=QUARTER, batch_size=10, turn=first, ends_at=table.ends_at
    )
    progress = throttle_progress(table, THROTTLE, as_of=now)
    assert progress is not None
    assert (progress.to_come, progress.will_expire) == (len(batches), left)
    assert progress.waiting == sum(size for _, size in batches) + left
    turns_at = [START + turn * QUARTER for turn, _ in batches]
    assert progress.next_opens_at == next_begins_at(table, THROTTLE, as_of=now) == (turns_at[0] if batches else None)
    assert progress.last_opens_at == last_begins_at(table, THROTTLE, as_of=now) == (turns_at[-1] if batches else None)


@given(tables(), instants)
def test_turns_missed_are_those_at_which_a_batch_would_have_opened_and_none_did(
    table: SlotTable, now: datetime
) -> None:
    behind_the_latest = 0 if table.latest_turn is None else table.latest_turn + 1
    first_due_at = min((due_at for due_at, _ in table.waiting()), default=None)
    missed = [
        turn
        for turn in range(behind_the_latest, 40)
        if first_due_at is not None
        and first_due_at <= START + turn * QUARTER < now
        and (table.ends_at is None or START + turn * QUARTER < table.ends_at)
    ]
    assert turns_missed(table, THROTTLE, as_of=now) == len(missed)
