"""Runbooks and their pages belong together; one file that is broken breaks nothing else; how a terminal is asked."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from client.cli.app import sendgate as tree
from client.cli.runbooks import _cannot_run
from client.runbooks._registry import Found, find_runbooks
from models.commands import HistoryEntry, Verb
from models.message import MessageStatus
from models.schedule import PassedZones, Schedule, Throttle
from tests.unit.cli_fakes import NOW, CommandLine, a_message, a_receipt

PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
HEADINGS = ["Symptom", "Check", "Act", "Verify", "Undo"]
LATER = (datetime.now(UTC) + timedelta(days=2)).isoformat()


@pytest.fixture
def sendgate(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    made = CommandLine(capsys)
    made.use.shown = a_message(status=MessageStatus.SCHEDULED, schedule=Schedule(at=NOW))
    return made


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """What stands at standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))


# -- files and pages


def test_every_runbook_has_a_page_and_every_page_a_runbook() -> None:
    found = {runbook.name for runbook in find_runbooks()}
    assert {"broken-landing-page", "wrong-body", "wrong-date"} <= found
    assert found == {page.stem for page in PAGES.glob("*.md")}


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_every_page_has_the_five_headings_and_the_command(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.M) == HEADINGS
    assert all(section.strip() for section in re.split(r"^## .+$", text, flags=re.M)[1:])
    assert f"sendgate runbook {page.stem} " in text.partition("## Act")[2].partition("## Verify")[0]


@pytest.mark.parametrize("found", list(find_runbooks()), ids=lambda found: found.name)
def test_every_runbook_loads_and_has_a_verb_with_the_shared_options(found: Found) -> None:
    name, runbook = found.name, found.runbook
    assert runbook is not None, found.problem
    assert runbook.summary.endswith(".")
    group = tree.commands["runbook"]
    assert isinstance(group, click.Group)
    names = {option for parameter in group.commands[name].params for option in parameter.opts}
    assert {"--yes", "--dry-run", "--wait", "--json"} <= names


def test_a_file_is_registered_by_being_there_and_a_broken_one_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "runbooks_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_not_one.py").write_text("raise RuntimeError")
    (package / "does_not_parse.py").write_text("def\n")
    (package / "says_nothing.py").write_text("")
    (package / "wrong_thing.py").write_text("RUNBOOK = 'text'\n")
    (package / "sound_one.py").write_text("from client.runbooks.wrong_date import RUNBOOK\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = {each.name: each for each in find_runbooks([str(package)], package.name)}
    assert set(found) == {"does-not-parse", "says-nothing", "wrong-thing", "sound-one"}
    assert [name for name, each in found.items() if each.runbook] == ["sound-one"]
    assert "SyntaxError" in found["does-not-parse"].problem

    group = tree.commands["runbook"]
    assert isinstance(group, click.Group)
    monkeypatch.setitem(group.commands, "does-not-parse", _cannot_run(found["does-not-parse"]))
    line = CommandLine(capsys)
    assert line("runbook", "does-not-parse", "ID", "--at", LATER) == 1
    assert line.err.startswith("Error: The runbook does-not-parse cannot be loaded: SyntaxError")
    assert line.err.count("\n") == 1


# -- at the terminal


def test_list_needs_no_server(sendgate: CommandLine) -> None:
    assert sendgate("runbook", "list") == 0
    assert [line.split()[0] for line in sendgate.out.splitlines()[1:]] == [found.name for found in find_runbooks()]
    assert sendgate("runbook", "list", "--json") == 0
    assert {item["name"] for item in json.loads(sendgate.out)["items"]} == {found.name for found in find_runbooks()}
    assert sendgate.opened == 0


@pytest.mark.parametrize("said", ["", "n", "no", "what"])
def test_every_answer_but_yes_ends_it_and_nothing_is_changed(
    said: str, sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, said)
    assert sendgate("runbook", "wrong-date", "m1", "--at", LATER) == 130
    assert "[y/N]" in sendgate.err
    assert "run it again" in sendgate.out
    assert [what for what, _ in sendgate.use.asked] == ["message"]


def test_nobody_at_standard_input_is_a_sentence(sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch)
    assert sendgate("runbook", "wrong-date", "m1", "--at", LATER) == 2
    assert "nobody can answer" in sendgate.err
    assert [what for what, _ in sendgate.use.asked] == ["message"]


@pytest.mark.parametrize("asked", [("--yes",), ()])
def test_yes_is_an_answer_and_an_option(
    asked: tuple[str, ...], sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, *([] if asked else ["Yes"]))
    sendgate("runbook", "wrong-date", "m1", "--at", LATER, *asked)
    assert [what for what, _ in sendgate.use.asked] == ["message", "unschedule", "send"]


def test_a_dry_run_asks_nobody_and_says_that_nothing_was_changed(
    sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch)
    assert sendgate("runbook", "wrong-date", "m1", "--at", LATER, "--dry-run") == 0
    assert sendgate.out.splitlines()[-1].endswith("Nothing was changed.")
    assert [what for what, _ in sendgate.use.asked] == ["message"]
    assert sendgate("runbook", "wrong-date", "m1", "--at", LATER, "--dry-run", "--json") == 0
    document = json.loads(sendgate.out)
    assert (document["runbook"], document["dry_run"], document["finished"]) == ("wrong-date", True, True)
    assert {"step", "message_id", "says", "receipt"} == set(document["steps"][0])


# -- wrong-date: the rest of the schedule stays as it is

NINE = datetime(2026, 12, 1, 9, 0)  # noqa: DTZ001 -- wall-clock
NEXT_YEAR = datetime.now(UTC).replace(tzinfo=None, hour=9, minute=0, second=0, microsecond=0) + timedelta(days=300)
WHOLE = Schedule(
    at=NINE,
    time_zone="contact",
    fallback_time_zone="Asia/Tokyo",
    passed_zones=PassedZones.SKIP,
    throttle=Throttle(batch_size=5000, every=timedelta(minutes=15)),
)


def _done(
    number: int, command: Verb, *, source: str = "runbook", details: dict[str, object] | None = None
) -> HistoryEntry:
    return HistoryEntry(
        command_id=f"c{number}",
        command=command,
        actor="anna",
        reason="",
        source=source,
        requested_at=NOW,
        generation=1,
        details=details or {},
        receipt=a_receipt(command),
    )


def test_wrong_date_changes_the_time_and_nothing_else(sendgate: CommandLine) -> None:
    sendgate.use.shown = a_message(status=MessageStatus.SCHEDULED, schedule=WHOLE)
    sendgate.use.accepted = a_receipt(Verb.SEND)
    assert sendgate("runbook", "wrong-date", "m1", "--at", NEXT_YEAR.isoformat(), "--yes") == 0
    assert sendgate.use.asked[-1] == ("send", (WHOLE.model_copy(update={"at": NEXT_YEAR}), True))
    assert "in each contact's own time zone, in batches of 5,000 every 15 min;" in sendgate.out


def test_wrong_date_asks_in_the_schedules_own_terms(sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    sendgate.use.shown = a_message(status=MessageStatus.SCHEDULED, schedule=WHOLE)
    answer(monkeypatch, "no")
    assert sendgate("runbook", "wrong-date", "m1", "--at", NEXT_YEAR.isoformat()) == 130
    assert (
        f"Send m1 (May news) at {NEXT_YEAR:%Y-%m-%d %H:%M} in each contact's own time zone"
        " instead of at 2026-12-01 09:00 in each contact's own time zone? [y/N]" in sendgate.err
    )


def test_wrong_date_run_again_takes_the_schedule_of_the_last_send(sendgate: CommandLine) -> None:
    sendgate.use.shown = a_message(status=MessageStatus.DRAFT, schedule=None)
    sendgate.use.accepted = a_receipt(Verb.SEND)
    sendgate.use.entries = [
        _done(1, Verb.SEND, details=Schedule(at=NOW).model_dump(mode="json")),
        _done(2, Verb.UNSCHEDULE),
        _done(3, Verb.SEND, details=WHOLE.model_dump(mode="json")),
        _done(4, Verb.SEND),  # asked again, and answered with the receipt of the one before
        _done(5, Verb.UNSCHEDULE),
    ]
    assert sendgate("runbook", "wrong-date", "m1", "--at", NEXT_YEAR.isoformat(), "--yes") == 0
    assert [what for what, _ in sendgate.use.asked] == ["message", "history", "send"]
    assert sendgate.use.asked[-1] == ("send", (WHOLE.model_copy(update={"at": NEXT_YEAR}), True))


def test_wrong_date_leaves_a_draft_that_somebody_else_unscheduled(sendgate: CommandLine) -> None:
    sendgate.use.shown = a_message(status=MessageStatus.DRAFT, schedule=None)
    sendgate.use.entries = [
        _done(1, Verb.SEND, details=WHOLE.model_dump(mode="json")),
        _done(2, Verb.UNSCHEDULE, source="cli"),
    ]
    assert sendgate("runbook", "wrong-date", "m1", "--at", NEXT_YEAR.isoformat(), "--yes") == 3
    assert "not one that this runbook unscheduled" in sendgate.err


@pytest.mark.parametrize(
    ("before", "at", "said"),
    [
        (WHOLE, LATER, "leave out either the offset or time_zone"),
        (Schedule(at=NOW), NEXT_YEAR.isoformat(), "has no offset; add one"),
        (WHOLE, "2020-01-01T09:00", "at is in the past"),
        (
            Schedule(throttle=Throttle(batch_size=5, every=timedelta(minutes=1), ends_at=NOW)),
            LATER,
            "is not after the start",
        ),
    ],
    ids=["an offset and a zone", "neither", "in the past", "behind its end"],
)
def test_wrong_date_refuses_a_time_that_does_not_go_with_the_rest_before_anything_is_unscheduled(
    sendgate: CommandLine, before: Schedule, at: str, said: str
) -> None:
    sendgate.use.shown = a_message(status=MessageStatus.SCHEDULED, schedule=before)
    assert sendgate("runbook", "wrong-date", "m1", "--at", at, "--yes") == 2
    assert said in sendgate.err
    assert [what for what, _ in sendgate.use.asked] == ["message"]


def test_wrong_body_needs_something_to_put_in(sendgate: CommandLine) -> None:
    assert sendgate("runbook", "wrong-body", "m1") == 2
    assert "give --html, --text or --subject" in sendgate.err
    assert sendgate.opened == 0


@pytest.mark.parametrize(
    ("status", "instead"),
    [
        (MessageStatus.DRAFT, "edit it"),
        (MessageStatus.SCHEDULED, "unschedule it"),
        (MessageStatus.SENT, "every email has left"),
    ],
)
def test_wrong_body_is_refused_where_nothing_is_to_be_saved(
    status: MessageStatus, instead: str, sendgate: CommandLine
) -> None:
    sendgate.use.shown = a_message(status=status)
    assert sendgate("runbook", "wrong-body", "m1", "--subject", "Right", "--yes") == 3
    assert instead in sendgate.err
    assert [what for what, _ in sendgate.use.asked] == ["message"]


def test_an_impossible_replacement_is_refused_before_anything_is_canceled(
    sendgate: CommandLine, tmp_path: Path
) -> None:
    assert sendgate("runbook", "wrong-body", "m1", "--subject", "", "--yes") == 3  # scheduled
    sendgate.use.shown = a_message(status=MessageStatus.SENDING)
    assert sendgate("runbook", "wrong-body", "m1", "--subject", "", "--yes") == 2
    assert "subject is empty" in sendgate.err
    assert "cancel" not in [what for what, _ in sendgate.use.asked]


def test_an_empty_link_is_refused_before_anything_is_paused(sendgate: CommandLine) -> None:
    assert sendgate("runbook", "broken-landing-page", " ", "--yes") == 2
    assert sendgate.use.asked == []
