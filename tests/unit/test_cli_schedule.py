"""What is typed to say when a message is sent: the schedule it makes, what is refused, and how it reads afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from client.cli.schedule_words import in_words, interval, zones_in_words
from models.message import Counts, MessageStatus
from models.schedule import PassedZones, Schedule, Throttle
from tests.unit.cli_fakes import NOW, CommandLine, a_message, command_line_in_utc

NINE = datetime(2020, 12, 1, 9, 0)  # noqa: DTZ001 -- wall-clock
QUARTER = timedelta(minutes=15)


@pytest.fixture
def sendgate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    yield from command_line_in_utc(capsys, monkeypatch)


# -- what is handed on


@pytest.mark.parametrize(
    ("arguments", "schedule"),
    [
        ((), Schedule()),
        (("--at", "2020-12-01 09:00", "--time-zone", "Europe/Oslo"), Schedule(at=NINE, time_zone="Europe/Oslo")),
        (("--at", "2020-12-01T09:00", "--time-zone", "contact"), Schedule(at=NINE, time_zone="contact")),
        (
            ("--at=2020-12-01T09:00", "--time-zone=contact", "--fallback-time-zone=Asia/Tokyo", "--passed-zones=skip"),
            Schedule(at=NINE, time_zone="contact", fallback_time_zone="Asia/Tokyo", passed_zones=PassedZones.SKIP),
        ),
        (("--batch-size", "5000", "--every", "15m"), Schedule(throttle=Throttle(batch_size=5000, every=QUARTER))),
        (("--max-batches", "10", "--every", "PT15M"), Schedule(throttle=Throttle(max_batches=10, every=QUARTER))),
        (
            ("--batch-size=1", "--every=900", "--ends-at=2020-12-01T18:00+01:00"),
            Schedule(throttle=Throttle(batch_size=1, every=QUARTER, ends_at=datetime(2020, 12, 1, 17, 0, tzinfo=UTC))),
        ),
    ],
    ids=str,
)
def test_the_options_are_the_schedule(sendgate: CommandLine, arguments: tuple[str, ...], schedule: Schedule) -> None:
    for dry in ((), ("--dry-run",)):
        assert sendgate("send", "m1", *arguments, *dry, "--json") == 0
    assert sendgate.use.asked == [("send", (schedule, False)), ("plan", (schedule, False))]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--batch-size", "5"), "--batch-size needs --every: how long it is from batch to batch, such as 15m"),
        (("--max-batches", "5"), "--max-batches needs --every"),
        (("--every", "15m"), "--every needs --batch-size, or else --max-batches"),
        (("--ends-at", "2020-12-01T18:00Z"), "--ends-at is the end of a throttled send"),
        (("--ends-at", "2020-12-01T18:00Z", "--every", "15m"), "--every needs --batch-size"),
        (("--fallback-time-zone", "UTC"), "--fallback-time-zone has no effect without --time-zone contact"),
        (("--passed-zones", "send"), "--passed-zones has no effect without --time-zone contact"),
        (("--time-zone", "Europe/Oslo", "--at", "2020-12-01T09:00", "--passed-zones", "skip"), "--passed-zones has no"),
        (("--every", "soon", "--batch-size", "5"), "'soon' is not a duration; write 30s, 15m"),
        (("--batch-size", "many", "--every", "15m"), "--batch-size"),
        (("--ends-at", "soon"), "ends_at: 'soon' cannot be read"),
        (("--passed-zones", "later"), "--passed-zones"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_the_command_line_can_know_is_refused_before_a_server_is_asked(
    sendgate: CommandLine, arguments: tuple[str, ...], said: str
) -> None:
    assert sendgate("send", "m1", *arguments) == 2
    assert (sendgate.opened, sendgate.out, sendgate.err.count("\n")) == (0, "", 1)
    assert said in sendgate.err


def test_a_wrong_combination_names_the_help_of_send(sendgate: CommandLine) -> None:
    sendgate("send", "m1", "--every", "15m")
    assert sendgate.err.endswith("; see `sendgate send --help`.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--at", "2026-12-01T09:00"),
            "at: 2026-12-01T09:00 has no offset; add one, as in 2026-12-01T09:00+01:00, or say in which time_zone"
            " (contact: in each contact's own).",
        ),
        (
            ("--every", "1m", "--batch-size", "5", "--max-batches", "5"),
            "batch_size and max_batches exclude each other: give the size, or the number.",
        ),
        (("--every", "1m", "--batch-size", "0"), "batch_size must be from 1 to 2,000,000,000, not 0."),
        (
            ("--at", "2020-05-03T09:00", "--time-zone", "contact"),
            'at is in the past (2020-05-03 09:00 in every time zone of the audience); leave out "at" to send now.',
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_sentences_of_the_schedule_are_seen_as_they_are(
    sendgate: CommandLine, arguments: tuple[str, ...], sentence: str
) -> None:
    assert sendgate("send", "m1", *arguments, "--dry-run") == 2
    assert (sendgate.out, sendgate.err) == ("", f"Error: {sentence}\n")


# -- how it reads


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Schedule(), "now"),
        (Schedule(at=NOW), "at 2020-05-04 09:05:12 UTC"),
        (Schedule(at=NINE, time_zone="Europe/Oslo"), "at 2020-12-01 09:00 in Europe/Oslo (2020-12-01 08:00:00 UTC)"),
        (
            Schedule(at=NINE, time_zone="contact"),
            "at 2020-12-01 09:00 in each contact's own time zone, the first at 2020-05-04 09:05:12 UTC",
        ),
        (
            Schedule(throttle=Throttle(batch_size=5000, every=QUARTER)),
            "now, in batches of 5,000 every 15 min",
        ),
        (
            Schedule(
                at=NINE,
                time_zone="Europe/Oslo",
                throttle=Throttle(max_batches=10, every=QUARTER, ends_at=NINE.replace(hour=18)),
            ),
            "at 2020-12-01 09:00 in Europe/Oslo (2020-12-01 08:00:00 UTC), in at most 10 batches, one every 15 min,"
            " until 2020-12-01 17:00:00 UTC",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_schedule_in_its_own_terms(sendgate: CommandLine, schedule: Schedule, words: str) -> None:
    assert in_words(schedule, first_at=NOW) == words


def test_what_holds_for_contacts_without_a_zone_and_zones_that_have_passed() -> None:
    assert zones_in_words(Schedule(at=NINE, time_zone="Europe/Oslo")) is None
    schedule = Schedule(
        at=NINE, time_zone="contact", fallback_time_zone="Asia/Tokyo", passed_zones=PassedZones.NEXT_DAY
    )
    assert zones_in_words(schedule) == (
        "Asia/Tokyo for contacts without a valid time zone; where the time has passed: sent at that time on the next"
        " day"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (900, "15 min"),
        (5400, "1 h 30 min"),
        (90, "1 min 30 s"),
        (1.5, "1.5 s"),
        (172_800, "2 d"),
        (86_460, "1 d 1 min"),
    ],
)
def test_an_interval_is_told_exactly(seconds: float, words: str) -> None:
    assert interval(timedelta(seconds=seconds)) == words


def test_the_answer_to_a_send_says_when_in_its_own_terms(sendgate: CommandLine) -> None:
    sendgate.use.shown = a_message(
        status=MessageStatus.SCHEDULED, next_slot_at=NOW, audience_estimate=12_000, schedule=None
    )
    arguments = ("--at=2020-12-01T09:00", "--time-zone=contact", "--batch-size=5000", "--every=15m")
    assert sendgate("send", "m1", *arguments, "--ends-at=2020-12-03T09:00Z") == 0
    assert sendgate.out.splitlines()[0] == (
        "Accepted: May news is sent at 2020-12-01 09:00 in each contact's own time zone, the first at 2020-05-04"
        " 09:05:12 UTC, in batches of 5,000 every 15 min until 2020-12-03 09:00:00 UTC, to about 12,000 contacts."
    )


def test_a_message_shows_its_schedule(sendgate: CommandLine) -> None:
    throttle = Throttle(batch_size=5000, every=QUARTER)
    sendgate.use.shown = a_message(
        status=MessageStatus.SCHEDULED,
        next_slot_at=NOW,
        schedule=Schedule(at=NINE, time_zone="contact", throttle=throttle),
    )
    assert sendgate("messages", "show", "m1") == 0
    lines = [line.strip() for line in sendgate.out.splitlines()]
    schedule = next(number for number, line in enumerate(lines) if line.startswith("Schedule"))
    assert lines[schedule].endswith("at 2020-12-01 09:00 in each contact's own time zone")
    assert lines[schedule + 1].startswith("UTC for contacts without a valid time zone; where the time has passed: ")
    assert lines[schedule + 2] == "in batches of 5,000 every 15 min"
    assert lines[schedule + 3].split(maxsplit=1) == ["Next", "2020-05-04 09:05:12 UTC"]


@pytest.mark.parametrize(
    ("schedule", "when"),
    [
        (Schedule(at=NOW), "  2020-05-04 09:05"),
        (Schedule(at=NINE, time_zone="Europe/Oslo"), "  2020-05-04 09:05"),
        (Schedule(at=NINE, time_zone="contact"), " from 2020-05-04 09:05"),
        (Schedule(throttle=Throttle(batch_size=5, every=QUARTER)), " from 2020-05-04 09:05"),
    ],
)
def test_the_list_shows_the_first_of_several_instants(
    sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch, schedule: Schedule, when: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    waiting = {"status": MessageStatus.SCHEDULED, "counts": Counts(), "audience_estimate": 100_000}
    for pending in (None, "cancel"):
        sendgate.use.shown = a_message(
            id="abcdefghijkl", **waiting, next_slot_at=NOW, schedule=schedule, pending_command=pending
        )
        assert sendgate("messages", "list") == 0
        row = sendgate.out.splitlines()[1]
        assert row.startswith("abcdefghijkl ")
        assert row.endswith(when if pending is None else " 2020-05-04 09:05")
        assert "~100,000" in row
        assert len(row) <= 80
