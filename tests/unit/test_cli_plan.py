"""`send --dry-run`: the plan as people read it before they send."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from models.contact import time_zones
from tests.unit.cli_fakes import CommandLine, command_line_in_utc

BY_CONTACT = ("--time-zone", "contact", "--dry-run")


@pytest.fixture
def sendgate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    for made in command_line_in_utc(capsys, monkeypatch):
        made.use.zones = {"Asia/Tokyo": 1000, "Asia/Seoul": 204, "Europe/Oslo": 5000, "America/New_York": 20_000}
        yield made


def rows(sendgate: CommandLine) -> list[str]:
    """What was printed, with single spaces."""
    return [" ".join(line.split()) for line in sendgate.out.splitlines()]


def test_the_slots_have_their_zones_their_clocks_and_yours(sendgate: CommandLine) -> None:
    assert sendgate("send", "m1", "--at", "2020-06-01T09:00", *BY_CONTACT) == 0
    assert rows(sendgate)[:6] == [
        "It would be sent at 2020-06-01 09:00 in each contact's own time zone.",
        "on their clocks your time contacts time zones",
        "2020-06-01 09:00 2020-06-01 00:00 1,204 Asia/Tokyo 1,000, Asia/Seoul 204",
        "2020-06-01 09:00 2020-06-01 07:00 5,000 Europe/Oslo 5,000",
        "2020-06-01 09:00 2020-06-01 13:00 20,000 America/New_York 20,000",
        "The first slot begins at 2020-06-01 00:00:00 UTC, the last at 2020-06-01 13:00:00 UTC.",
    ]
    assert rows(sendgate)[-1] == "Nothing was stored."
    assert [what for what, _ in sendgate.use.asked] == ["plan"]


@pytest.mark.parametrize(
    ("passed_zones", "row", "sentence"),
    [
        ("send", "at once 2020-05-04 09:05 1,204", "The time has passed for 1,204 contacts: sent at once."),
        (
            "next_day",
            "2020-05-05 18:00 2020-05-05 09:00 1,204",
            "The time has passed for 1,204 contacts: sent at that time on the next day.",
        ),
        ("skip", "skipped – 1,204", "The time has passed for 1,204 contacts: not sent."),
    ],
)
def test_zones_that_have_passed_say_what_becomes_of_them(
    sendgate: CommandLine, passed_zones: str, row: str, sentence: str
) -> None:
    assert sendgate("send", "m1", "--at", "2020-05-04T18:00", *BY_CONTACT, "--passed-zones", passed_zones) == 0
    assert f"{row} Asia/Tokyo 1,000, Asia/Seoul 204" in rows(sendgate)
    assert sentence in rows(sendgate)


def test_contacts_without_a_valid_zone_are_told_with_the_zone_that_counts(sendgate: CommandLine) -> None:
    sendgate.use.zones = {None: 12, "Mars/Base\x1b[2J": 3, "Europe/Oslo": 1} | {f"Zone/{n}": 1 for n in range(6)}
    arguments = ("--at", "2020-06-01T09:00", "--fallback-time-zone", "Asia/Tokyo", *BY_CONTACT)
    assert sendgate("send", "m1", *arguments) == 0
    assert "12 contacts have no time zone: Asia/Tokyo counts for them." in sendgate.out
    assert (
        "9 contacts have a time zone that does not exist (Mars/Base[2J 3, Zone/0 1, Zone/1 1, Zone/2 1, Zone/3 1"
        " and 2 more): Asia/Tokyo counts for them." in sendgate.out
    )
    assert "\x1b" not in sendgate.out


@pytest.mark.parametrize("zone", ["contact", "Europe/Oslo"])
def test_a_time_that_the_clocks_skip_or_repeat_says_what_is_meant(sendgate: CommandLine, zone: str) -> None:
    arguments = ("--time-zone", zone, "--dry-run")
    assert sendgate("send", "m1", "--at", "2021-03-28T02:30", *arguments) == 0
    note = "In Europe/Oslo the clocks go forward on 2021-03-28: 02:30 does not exist there, so it is 03:30."
    assert rows(sendgate).count(note) == 1
    assert sendgate("send", "m1", "--at", "2020-10-25T02:30", *arguments) == 0
    note = "In Europe/Oslo the clocks go back on 2020-10-25: 02:30 comes twice there, and the first is meant."
    assert rows(sendgate).count(note) == 1
    assert sendgate("send", "m1", "--at", "2020-10-26T02:30", *arguments) == 0
    assert "the clocks go" not in sendgate.out


def test_a_throttle_lists_its_first_batches_and_says_when_the_last_opens(sendgate: CommandLine) -> None:
    throttle = ("--batch-size", "1000", "--every", "15m")
    assert sendgate("send", "m1", "--at", "2020-05-04T10:00Z", *throttle, "--dry-run") == 0
    shown = rows(sendgate)
    assert shown[0] == "It would be sent at 2020-05-04 10:00:00 UTC, in batches of 1,000 every 15 min."
    assert shown[2:4] == ["1 2020-05-04 10:00 1,000", "2 2020-05-04 10:15 1,000"]
    assert shown[8:10] == [
        "… and 21 more",
        "Batches: 27, the first at 2020-05-04 10:00:00 UTC, the last at 2020-05-04 16:30:00 UTC.",
    ]
    assert "No batch opens from" not in sendgate.out


@pytest.mark.parametrize(
    ("ends_at", "fate"),
    [("2020-05-04T16:30", "204 contacts would get nothing"), ("2020-05-04T16:31", "everybody has a turn before")],
)
def test_an_end_date_says_how_many_would_expire(sendgate: CommandLine, ends_at: str, fate: str) -> None:
    throttle = ("--batch-size", "1000", "--every", "15m", "--ends-at", f"{ends_at}Z")
    assert sendgate("send", "m1", "--at", "2020-05-04T10:00Z", *throttle, "--dry-run") == 0
    assert f"No batch opens from {ends_at.replace('T', ' ')}:00 UTC on: {fate}." in rows(sendgate)


def test_a_plan_that_comes_to_nobody_says_so(sendgate: CommandLine) -> None:
    sendgate.use.zones = {}
    assert sendgate("send", "m1", "--at", "2020-06-01T09:00", *BY_CONTACT, "--batch-size=5", "--every=1m") == 0
    assert "Nobody would be mailed." in rows(sendgate)
    assert sendgate("send", "m1", "--dry-run") == 0
    assert "Nobody would be mailed." in rows(sendgate)


def test_a_long_plan_stays_readable(sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every zone there is and hundreds of batches: a line or two for each slot, and eight for the batches."""
    monkeypatch.setenv("COLUMNS", "80")
    sendgate.use.zones = dict.fromkeys(time_zones(), 1000)
    throttle = ("--batch-size", "500", "--every", "15m")
    assert sendgate("send", "m1", "--at", "2020-06-01T09:00", *throttle, *BY_CONTACT) == 0
    slots = len({slot["due_at"] for slot in plan_of(sendgate)["slots"]})
    assert slots > 30
    sendgate("send", "m1", "--at", "2020-06-01T09:00", *throttle, *BY_CONTACT)
    lines = sendgate.out.splitlines()
    table = lines[1 : next(number for number, line in enumerate(lines) if line.startswith("batch "))]
    assert slots < len(table) <= 2 * slots + 1
    assert max(map(len, table)) <= 80
    assert len(lines) - len(table) <= 14


def plan_of(sendgate: CommandLine) -> dict[str, list[dict[str, object]]]:
    throttle = ("--batch-size", "500", "--every", "15m")
    assert sendgate("send", "m1", "--at", "2020-06-01T09:00", *throttle, *BY_CONTACT, "--json") == 0
    plan: dict[str, list[dict[str, object]]] = json.loads(sendgate.out)["plan"]
    return plan


def test_the_json_of_a_dry_run_is_the_whole_preview(sendgate: CommandLine) -> None:
    assert sendgate("send", "m1", "--at", "2020-06-01T09:00", *BY_CONTACT, "--json") == 0
    preview = json.loads(sendgate.out)
    assert set(preview) == {"schedule", "plan", "audience"}
    assert preview["schedule"]["at"] == "2020-06-01T09:00:00"
    assert [slot["contacts"] for slot in preview["plan"]["slots"]] == [1204, 5000, 20_000]
    assert preview["plan"]["slots"][0]["zones"][0]["local_time"] == "2020-06-01T09:00:00+09:00"
