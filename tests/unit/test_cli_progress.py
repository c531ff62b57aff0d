"""`progress` and `watch`: a bar for each slot and batch around the present, in 24 lines of 80 columns; and one line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from client.cli.show_progress import pace, progress_line, progress_view
from client.interface import Progress
from models.message import Counts, MessageStatus
from models.progress import BatchProgress, SlotProgress, ThrottleProgress
from tests.unit.cli_fakes import NOW, CommandLine, a_progress, command_line_in_utc

HOUR = timedelta(hours=1)
LONGEST_ZONE = "America/Argentina/ComodRivadavia"
DONE = Counts(total=5000, sent=5000)
UNDER_WAY = Counts(total=5000, sent=1200, pending=3700, deferred=88, in_doubt=12)
TO_COME = Counts(total=5000, pending=5000)


@pytest.fixture(autouse=True)
def sendgate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Also for tests that ask the functions: times are shown in UTC."""
    yield from command_line_in_utc(capsys, monkeypatch, columns=80)


def slots(number: int, *, finished: int = 0, zone: str = "Asia/Tokyo") -> list[SlotProgress]:
    """Slots an hour apart, of which one, behind the finished ones, is due at NOW."""
    counts = [DONE] * finished + [UNDER_WAY] + [TO_COME] * number
    return [
        SlotProgress(
            due_at=NOW + (n - finished) * HOUR, label=f"{n:02}:00 {zone} and 2 more", zones=[zone], counts=counts[n]
        )
        for n in range(number)
    ]


def throttle(opened: int, **changes: object) -> ThrottleProgress:
    """A throttle whose batches are an hour apart, the last opened at NOW."""
    batches = [
        BatchProgress(
            turn=n,
            turn_at=NOW + (n + 1 - opened) * HOUR,
            opened_at=NOW + (n + 1 - opened) * HOUR,
            size=5000,
            counts=DONE if n < opened - 1 else UNDER_WAY,
        )
        for n in range(opened)
    ]
    made = ThrottleProgress(
        opened=opened,
        batches=batches[-50:],
        waiting=150_000,
        to_come=30,
        next_opens_at=NOW + HOUR,
        last_opens_at=NOW + 30 * HOUR,
        ends_at=None,
        will_expire=0,
    )
    return made.model_copy(update=changes)


def progress(**changes: object) -> Progress:
    return a_progress().model_copy(update=changes)


def shown(found: Progress, *, now: datetime = NOW) -> list[str]:
    console = Console(width=80, no_color=True)
    with console.capture() as capture:
        console.print(progress_view(found, now=now))
    return [line.rstrip() for line in capture.get().splitlines()]


# -- slots


def test_each_slot_has_its_bar_its_counts_and_its_state() -> None:
    lines = shown(progress(slots=slots(3, finished=1)))
    finished, under_way, to_come = (" ".join(line.replace("━", "").replace("╸", "").split()) for line in lines[-3:])
    assert finished == "00:00 Asia/Tokyo and 2 more 5,000 of 5,000 100 %"
    assert under_way.startswith("01:00 Asia/Tokyo and 2 more 1,212 of 5,000 24 %, 12 in doubt")
    assert to_come == "02:00 Asia/Tokyo and 2 more 0 of 5,000 2020-05-04 10:05"


def test_of_many_slots_those_around_the_present_are_shown_and_how_many_more() -> None:
    lines = shown(progress(slots=slots(38, finished=12)))
    first = lines.index("Slots before these: 10, finished")
    assert [line[:2] for line in lines[first + 1 : first + 9]] == [f"{n}" for n in range(10, 18)]
    assert lines[first + 9 :] == ["Slots behind these: 20, the last at 2020-05-05 10:05"]


@pytest.mark.parametrize(
    ("number", "finished", "names"), [(38, 0, range(8)), (38, 37, range(30, 38)), (3, 0, range(3))]
)
def test_at_the_ends_as_many_slots_are_shown(number: int, finished: int, names: range) -> None:
    lines = shown(progress(slots=slots(number, finished=finished)))
    assert [line[:5] for line in lines if "Asia/Tokyo" in line] == [f"{n:02}:00" for n in names]


def test_a_number_is_never_cut_and_long_zones_give_way() -> None:
    large = Counts(total=1_000_000, sent=999_999, pending=1)
    crowded = [slot.model_copy(update={"counts": large}) for slot in slots(2, zone=LONGEST_ZONE)]
    lines = shown(progress(slots=crowded))
    assert all("999,999 of 1,000,000" in line for line in lines[-2:])
    assert all("…" in line for line in lines[-2:])


def test_without_slots_or_a_throttle_there_is_the_sheet_alone() -> None:
    assert shown(progress())[-1].startswith("Began")


# -- batches


def test_the_last_batches_have_a_bar_each_and_what_is_to_come_is_told() -> None:
    ends_at = NOW + 20 * HOUR
    lines = shown(progress(throttle=throttle(120, ends_at=ends_at, will_expire=1200)))
    first = lines.index("Batches before these: 112")
    assert [line.split(",")[0] for line in lines[first + 1 : first + 9]] == [f"batch {n}" for n in range(113, 121)]
    assert lines[first + 8].startswith("batch 120, 05-04 09:05:12 ")
    assert lines[first + 9 :] == [
        "Batches to come: 30, next 2020-05-04 10:05:12, last 2020-05-05 15:05:12",
        "End date 2020-05-05 05:05: 1,200 will expire",
    ]


def test_an_end_date_that_costs_nobody_anything_says_so() -> None:
    assert shown(progress(throttle=throttle(1, ends_at=NOW + 50 * HOUR)))[-1] == (
        "End date 2020-05-06 11:05: everybody has a turn before"
    )


def test_of_a_paused_send_it_says_what_would_come() -> None:
    found = progress(
        status=MessageStatus.PAUSED, throttle=throttle(2, ends_at=NOW + 20 * HOUR, will_expire=12), rate_per_second=None
    )
    assert shown(found)[-2:] == [
        "Batches if resumed: 30, next 2020-05-04 10:05:12, last 2020-05-05 15:05:12",
        "End date 2020-05-05 05:05: 12 would expire",
    ]


def test_when_no_batch_is_to_come_none_is_told() -> None:
    none = {"waiting": 0, "to_come": 0, "next_opens_at": None, "last_opens_at": None, "ends_at": NOW}
    assert shown(progress(throttle=throttle(2, **none)))[-1].startswith("batch 2, ")


# -- the whole


@pytest.mark.parametrize("batches", [0, 1, 5, 120])
@pytest.mark.parametrize("number", [0, 1, 6, 38])
def test_it_fits_in_24_lines_of_80_columns(number: int, batches: int) -> None:
    large = Counts(total=12_000_000, pending=6_000_000, sent=5_000_000, deferred=1_000_000)
    opened = throttle(batches, to_come=10_000, ends_at=NOW + HOUR, will_expire=1_000_000) if batches else None
    found = progress(
        counts=large,
        slots=slots(number, finished=number // 2, zone=LONGEST_ZONE),
        throttle=opened,
        pending_command="pause",
        rate_per_second=None,
        next_slot_at=NOW + HOUR,
        eta=NOW + 9 * HOUR,
    )
    lines = shown(found)
    assert len(lines) <= 23  # and the line of the cursor
    assert max(map(len, lines)) <= 80


# -- pace, and one line


def test_the_pace_names_what_comes_next_when_nothing_is_leaving() -> None:
    waiting = {"rate_per_second": None, "next_slot_at": NOW + HOUR, "eta": NOW + 9 * HOUR}
    assert pace(progress(slots=slots(3), **waiting)) == (
        "nothing is leaving, next 01:00 Asia/Tokyo and 2 more at 2020-05-04 10:05:12 UTC, the last at 2020-05-04"
        " 18:05:12 UTC"
    )
    assert pace(progress(slots=slots(3), throttle=throttle(12), **waiting)).startswith(
        "nothing is leaving, next batch 13 at 2020-05-04 10:05:12 UTC, the last at "
    )
    assert pace(progress(**(waiting | {"eta": NOW + HOUR}))) == "nothing is leaving, next at 2020-05-04 10:05:12 UTC"
    assert pace(progress(rate_per_second=None)) == "nothing is leaving"


def test_what_comes_next_has_a_row_of_its_own_while_something_is_leaving() -> None:
    found = progress(throttle=throttle(12), next_slot_at=NOW + HOUR)
    lines = shown(found)
    assert any(line.split() == ["Next", "batch", "13", "at", "2020-05-04", "10:05:12", "UTC"] for line in lines)
    assert any(line.startswith("Pace") and "900 emails/s" in line for line in lines)


def test_the_plain_line_stays_one_line_and_names_the_next_turn() -> None:
    found = progress(
        slots=slots(38, finished=12), throttle=throttle(12), rate_per_second=None, next_slot_at=NOW + HOUR, eta=None
    )
    assert progress_line(found) == (
        "sending, 12 %: 1,204 sent, 0 in doubt, 8,796 not sent; nothing is leaving, next batch 13 at 2020-05-04"
        " 10:05:12 UTC"
    )
    assert "nothing" not in progress_line(progress(rate_per_second=None))


def test_progress_and_watch_show_the_slots(sendgate: CommandLine) -> None:
    found = progress(status=MessageStatus.SENT, slots=slots(38, finished=12), throttle=throttle(12))
    sendgate.use.estimates = [found]
    assert sendgate("progress", "m1") == 0
    assert "Slots before these: 11, finished" in sendgate.out
    assert "Batches before these: 8" in sendgate.out
    assert sendgate("watch", "m1") == 0
    assert sendgate.out.count("\n") == 1
