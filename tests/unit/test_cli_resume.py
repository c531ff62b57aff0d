"""`resume --preview` says all that a resume would do, and nothing that is zero; `--ends-at` is handed on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from client.interface import ResumePreview, SlotAtOnce
from tests.unit.cli_fakes import NOW, CommandLine, command_line_in_utc

LATER = NOW + timedelta(hours=3)
NOTHING = ResumePreview(to_send=0, joiners=0, leavers=0, suppressed=0, returning=0)


@pytest.fixture
def sendgate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    yield from command_line_in_utc(capsys, monkeypatch)


def previewed(sendgate: CommandLine, **would: object) -> list[str]:
    sendgate.use.would = NOTHING.model_copy(update=would)
    assert sendgate("resume", "m1", "--preview") == 0
    return sendgate.out.splitlines()


def at(label: str, recipients: int) -> SlotAtOnce:
    return SlotAtOnce(due_at=NOW, label=label, recipients=recipients)


def test_what_is_zero_is_not_said(sendgate: CommandLine) -> None:
    assert previewed(sendgate) == ["A resume would mail 0.", "Nothing was changed."]


def test_zones_whose_time_passed_go_at_once_and_the_others_at_theirs(sendgate: CommandLine) -> None:
    assert previewed(
        sendgate,
        to_send=9000,
        at_once=1204,
        slots_at_once=[at("09:00 Asia/Tokyo and 2 more", 1000), at("09:00 Asia/Kolkata", 204)],
        next_begins_at=NOW,
        finishes_at=LATER,
    ) == [
        "A resume would mail 9,000.",
        "At once: 1,204, whose time has passed (09:00 Asia/Tokyo and 2 more: 1,000; 09:00 Asia/Kolkata: 204).",
        "The next slot begins at 2020-05-04 09:05:12 UTC, the last at 2020-05-04 12:05:12 UTC.",
        "Nothing was changed.",
    ]


def test_many_zones_at_once_are_summed_up(sendgate: CommandLine) -> None:
    slots = [at(f"slot {number}", 10) for number in range(8)]
    assert "slot 4: 10; 3 more slots: 30)." in previewed(sendgate, at_once=80, slots_at_once=slots)[1]


def test_a_throttle_finishes_its_batch_drops_turns_and_goes_on(sendgate: CommandLine) -> None:
    assert previewed(
        sendgate,
        to_send=9300,
        at_once=300,
        batch_rest=300,
        slots_at_once=[at("09:00 Asia/Tokyo", 9000)],
        turns_missed=3,
        batches_to_come=12,
        next_begins_at=NOW,
        finishes_at=LATER,
        ends_at=LATER,
        will_expire=500,
    ) == [
        "A resume would mail 9,300.",
        "At once: 300, the rest of the interrupted batch.",
        "Batch by batch: those whose time has passed (09:00 Asia/Tokyo: 9,000).",
        "Turns missed in the pause: 3; they are dropped, and nothing is made up for.",
        "Batches to come: 12, the next at 2020-05-04 09:05:12 UTC, the last at 2020-05-04 12:05:12 UTC.",
        "No batch opens from 2020-05-04 12:05:12 UTC on: 500 will expire then, and get nothing.",
        "Nothing was changed.",
    ]


def test_the_only_batch_to_come_is_told_once(sendgate: CommandLine) -> None:
    shown = previewed(sendgate, batches_to_come=1, next_begins_at=NOW, finishes_at=NOW, ends_at=LATER)
    assert shown[1:3] == [
        "Batches to come: 1, the next at 2020-05-04 09:05:12 UTC.",
        "No batch opens from 2020-05-04 12:05:12 UTC on: everybody has a turn before.",
    ]


def test_an_end_date_that_has_passed_says_who_expires(sendgate: CommandLine) -> None:
    assert previewed(sendgate, ends_at=NOW, expired=9000)[1] == (
        "The end date, 2020-05-04 09:05:12 UTC, has passed: 9,000 would expire now, and get nothing."
    )


def test_who_comes_and_goes_is_told(sendgate: CommandLine) -> None:
    shown = previewed(sendgate, joiners=4, leavers=3, suppressed=2, returning=1, moved=5)
    assert shown[1:4] == [
        "Also mailed: 4 joined the audience, 1 are allowed again.",
        "Not mailed: 3 left the audience, 2 are suppressed.",
        "Due at another time: 5, whose time zone was changed.",
    ]
    assert previewed(sendgate, leavers=3)[1] == "Not mailed: 3 left the audience."


def test_the_end_date_is_handed_on(sendgate: CommandLine) -> None:
    ends_at = datetime(2020, 5, 4, 16, 0, tzinfo=UTC)
    assert sendgate("resume", "m1", "--ends-at", "2020-05-04T18:00+02:00", "--preview") == 0
    assert sendgate.use.asked == [("resume_preview", ("m1", ends_at))]
    assert sendgate("resume", "m1", "--ends-at", "2020-05-04 18:00") == 0
    assert sendgate.use.asked[1] == ("ends_at", datetime(2020, 5, 4, 18, 0))  # noqa: DTZ001 -- wall-clock
    assert sendgate("resume", "m1", "--ends-at", "soon") == 2
    assert "ends_at: 'soon' cannot be read" in sendgate.err
