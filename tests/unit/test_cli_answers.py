"""What the verbs ask of the use cases, and what they print: for humans and as JSON."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from models.commands import Verb
from models.contact import RejectedLine
from models.message import Counts, MessageContent, MessageStatus
from models.recipient import RecipientStatus, Verdict
from tests.unit.cli_fakes import NOW, CommandLine, a_message, a_progress, a_receipt, command_line_in_utc


@pytest.fixture
def sendgate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    yield from command_line_in_utc(capsys, monkeypatch)


def test_humans_read_their_own_zone_with_its_offset_and_programs_utc(
    sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        sendgate("pause", "m1")
        assert "2020-05-04 14:35:12.345 +05:30" in sendgate.out
        sendgate("pause", "m1", "--json")
        assert json.loads(sendgate.out)["receipt"]["effective_at"] == "2020-05-04T09:05:12.345000Z"


def test_a_pause_prints_when_it_took_hold_and_what_had_left(sendgate: CommandLine) -> None:
    assert sendgate("pause", "m1", "--reason", "page is down", "--wait", "2.5") == 0
    assert sendgate.out == (
        "Paused at 2020-05-04 09:05:12.345 UTC, 84 ms after the request: 1,204 sent, 0 in doubt, 8,796 not sent.\n"
    )
    asked, wait = sendgate.use.asked[0][1]
    assert (asked.reason, asked.source, wait.total_seconds()) == ("page is down", "cli", 2.5)
    assert asked.actor


def test_a_pause_overtaken_by_the_last_email_says_so(sendgate: CommandLine) -> None:
    sendgate.use.receipt = lambda verb, asked: a_receipt(
        verb, asked, status_after="sent", counts=Counts(total=3, sent=2, bounced=1).model_dump()
    )
    assert sendgate("pause", "m1") == 0
    assert sendgate.out.startswith("The last email left before the pause took hold; sent at ")
    assert "2 sent, 0 in doubt, 0 not sent, 1 bounced." in sendgate.out


def test_a_command_that_had_been_fulfilled_shows_when_it_was(sendgate: CommandLine) -> None:
    sendgate.use.receipt = lambda verb, asked: a_receipt(verb, asked, requested_at=NOW + timedelta(minutes=1))
    assert sendgate("pause", "m1") == 0
    assert sendgate.out.startswith("Paused at 2020-05-04 09:05:12.345 UTC, before this request: ")


def test_a_test_email_that_was_not_sent_ends_with_1(sendgate: CommandLine) -> None:
    sendgate.use.verdicts = {"b@example.org": Verdict.BOUNCED}
    assert sendgate("sendtest", "m1", "a@example.org", "b@example.org") == 1
    assert sendgate.out == "a@example.org: sent (250 ok)\nb@example.org: bounced (250 ok)\n"
    assert sendgate.err == "Error: Not sent: 1 of 2 test emails.\n"
    assert sendgate("sendtest", "m1", "b@example.org", "--json") == 1
    outcome = {"address": "b@example.org", "verdict": "bounced", "smtp_code": 250, "reply": "ok"}
    assert json.loads(sendgate.out) == {"outcomes": [outcome]}
    assert json.loads(sendgate.err)["details"] == {"not_sent": 1}


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "unschedule"])
def test_what_is_not_confirmed_ends_with_6_and_says_so(sendgate: CommandLine, verb: str) -> None:
    sendgate.use.receipt = lambda verb, asked: None
    assert sendgate(verb, "m1") == 6
    assert sendgate.out == ""
    assert sendgate.err.count("\n") == 1
    assert "NOT confirmed" in sendgate.err
    assert "sendgate watch m1" in sendgate.err


def test_an_older_receipt_is_never_the_answer_to_a_command_that_is_not_confirmed(sendgate: CommandLine) -> None:
    sendgate.use.shown = a_message(receipt=a_receipt(Verb.PAUSE), pending_command="pause")
    sendgate.use.receipt = lambda verb, asked: None
    assert sendgate("pause", "m1", "--json") == 6
    answer = json.loads(sendgate.out)
    assert (answer["receipt"], answer["pending_command"]) == (None, "pause")
    assert json.loads(sendgate.err)["code"] == "not_confirmed"


def test_the_json_of_a_command_is_the_message_with_its_receipt(sendgate: CommandLine) -> None:
    assert sendgate("cancel", "m1", "--json") == 0
    answer = json.loads(sendgate.out)
    assert answer["receipt"]["command"] == "cancel"
    assert answer["receipt"]["effective_at"] == "2020-05-04T09:05:12.345000Z"
    assert sum(value for name, value in answer["counts"].items() if name != "total") == answer["counts"]["total"]


def test_send_hands_on_the_instant_and_ends_with_0_without_a_receipt(sendgate: CommandLine) -> None:
    assert sendgate("send", "m1", "--at", "2020-05-04T11:05:12.345+02:00", "--allow-empty") == 0
    schedule, allow_empty = sendgate.use.asked[0][1]
    assert (schedule.at, allow_empty) == (NOW, True)


def test_a_dry_run_stores_nothing(sendgate: CommandLine) -> None:
    assert sendgate("send", "m1", "--dry-run", "--json") == 0
    assert [what for what, _ in sendgate.use.asked] == ["plan"]
    assert json.loads(sendgate.out)["audience"]["count"] == 3


def test_a_resume_preview_resumes_nothing(sendgate: CommandLine) -> None:
    assert sendgate("resume", "m1", "--preview") == 0
    assert [what for what, _ in sendgate.use.asked] == ["resume_preview"]
    assert "8,796" in sendgate.out


def test_create_reads_the_bodies_and_the_audience(sendgate: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "body.html").write_bytes("\ufeff<p>Blåbær</p>".encode())
    given = ["--name", "N", "--from", "a@example.org", "--subject", "S", "--html", str(tmp_path / "body.html")]
    audience = ["--audience-list", "a", "--audience-list", "b", "--where", '{"age": {"gte": 30}}']
    assert sendgate("messages", "create", *given, *audience, "--exclude-recipients-of", "m0", "--json") == 0
    content = sendgate.use.asked[0][1]
    assert isinstance(content, MessageContent)
    assert (content.html, content.text) == ("<p>Blåbær</p>", None)
    assert content.audience.lists == ("a", "b")
    assert content.audience.where == {"age": {"gte": 30}}
    assert content.audience.exclude_recipients_of == ("m0",)
    assert json.loads(sendgate.out)["audience"]["lists"] == ["a", "b"]


def test_edit_changes_only_what_is_given(sendgate: CommandLine) -> None:
    assert sendgate("messages", "edit", "m1", "--subject", "New", "--text", "", "--exclude-list", "") == 0
    content = sendgate.use.asked[1][1]
    before = MessageContent.model_validate(sendgate.use.shown.model_dump(include=set(MessageContent.model_fields)))
    expected = before.audience.model_copy(update={"exclude_lists": ()})
    assert content == before.model_copy(update={"subject": "New", "text": None, "audience": expected})


def test_an_import_shows_the_first_20_rejected_lines_and_how_many_more(sendgate: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email\n")
    sendgate.use.rejected = [RejectedLine(line=n, reason=f"bad {n}") for n in range(2, 27)]
    assert sendgate("contacts", "import", str(tmp_path / "people.csv"), "--list", "news") == 0
    lines = sendgate.out.splitlines()
    assert lines[0] == "5 created, 1 updated, 25 rejected."
    assert lines[1:21] == [f"line {n}: bad {n}" for n in range(2, 22)]
    assert lines[21] == "... and 5 more rejected lines; --json names them all."
    assert sendgate("contacts", "import", str(tmp_path / "people.csv"), "--json") == 0
    assert json.loads(sendgate.out) == {
        "created": 5,
        "updated": 1,
        "rejected": [{"line": n, "reason": f"bad {n}"} for n in range(2, 27)],
        "rejected_total": 25,
    }
    sendgate.use.rejected_further = 1_000_000
    assert sendgate("contacts", "import", str(tmp_path / "people.csv")) == 0
    lines = sendgate.out.splitlines()
    assert lines[0] == "5 created, 1 updated, 1,000,025 rejected."
    assert lines[21] == "... and 1,000,005 more rejected lines; --json names the first 25."


def test_watch_through_a_pipe_prints_one_line_a_change_and_ends_when_it_is_final(sendgate: CommandLine) -> None:
    sendgate.use.estimates = [a_progress(), a_progress(), a_progress(MessageStatus.SENT, Counts(total=2, sent=2))]
    assert sendgate("watch", "m1", "--every", "0.1") == 0
    first, last = sendgate.out.splitlines()
    assert first.startswith("sending, 12 %: 1,204 sent, 0 in doubt, 8,796 not sent; 900 emails/s")
    assert last.startswith("sent, 100 %: 2 sent")


def test_a_canceled_send_never_looks_complete(sendgate: CommandLine) -> None:
    sendgate.use.estimates = [a_progress(MessageStatus.CANCELED, Counts(total=10, sent=4, canceled=6))]
    assert sendgate("watch", "m1") == 0
    assert sendgate.out.startswith("canceled, 40 %: 4 sent, 0 in doubt, 6 not sent")


def test_watch_with_json_prints_one_document_a_line(sendgate: CommandLine) -> None:
    sendgate.use.estimates = [a_progress(), a_progress(MessageStatus.CANCELED)]
    assert sendgate("watch", "m1", "--json", "--every", "0.1") == 0
    assert [json.loads(line)["status"] for line in sendgate.out.splitlines()] == ["sending", "canceled"]


def test_recipients_as_csv_are_rfc_4180(sendgate: CommandLine) -> None:
    sendgate.use.people = 1201
    assert sendgate("recipients", "m1", "--csv", "--status", "sent", "--status", "in_doubt") == 0
    assert sendgate.use.asked[0][1] == (RecipientStatus.SENT, RecipientStatus.IN_DOUBT)
    assert sendgate.out.count("\r\n") == 1202
    rows = list(csv.DictReader(io.StringIO(sendgate.out, newline="")))
    assert len(rows) == 1201
    assert rows[0]["reply"] == 'ok, "queued"'
    assert rows[0]["handed_over_at"] == "2020-05-04T09:05:12.345000+00:00"
    assert rows[0]["reason"] == ""


def test_recipients_as_json_are_one_document(sendgate: CommandLine) -> None:
    for people in (0, 1, 3):
        sendgate.use.people = people
        assert sendgate("recipients", "m1", "--json") == 0
        assert len(json.loads(sendgate.out)["items"]) == people


def test_recipients_left_early_give_their_connection_back(sendgate: CommandLine) -> None:
    sendgate.use.people = 5
    assert sendgate("recipients", "m1", "--limit", "2") == 0
    assert sendgate.use.closed_generators == 1
    assert "Only the first 2" in sendgate.out
    assert sendgate("recipients", "m1", "--limit", "5") == 0
    assert "Only the first" not in sendgate.out


def test_a_preview_shows_the_audience_and_the_email_without_its_control_characters(sendgate: CommandLine) -> None:
    assert sendgate("messages", "preview", "m1") == 0
    assert "3 contacts, of whom 1 are suppressed" in sendgate.out
    assert "2 of them lack first_name" in sendgate.out
    assert "Subject: Hello Ada" in sendgate.out
    assert "\x1b" not in sendgate.out


def test_an_empty_audience_renders_nothing(sendgate: CommandLine) -> None:
    sendgate.use.people = 0
    assert sendgate("messages", "preview", "m1", "--json") == 0
    assert json.loads(sendgate.out)["email"] is None
    assert [what for what, _ in sendgate.use.asked] == ["audience_preview"]


def test_a_sheet_shows_a_stop_that_is_not_confirmed(sendgate: CommandLine) -> None:
    sendgate.use.shown = a_message(pending_command="pause", in_flight=12, receipt=a_receipt(Verb.RESUME))
    assert sendgate("messages", "show", "m1") == 0
    assert "pause asked for, NOT confirmed; 12 emails in flight" in sendgate.out
    assert "Resumed at" in sendgate.out


def test_a_narrow_table_never_cuts_an_id_or_a_number(sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sendgate.use.shown = a_message(id="abcdefghijkl", name="A very long name " * 9, pending_command="pause")
    assert sendgate("messages", "list") == 0
    row = sendgate.out.splitlines()[1]
    assert row.startswith("abcdefghijkl ")
    assert "…" in row
    assert "1,204" in row
    assert "10,000" in row
    assert len(row) <= 80


@pytest.mark.parametrize(
    "arguments",
    [
        ("contacts", "list"),
        ("lists",),
        ("suppress", "ada@example.org"),
        ("unsuppress", "ada@example.org"),
        ("messages", "list"),
        ("messages", "show", "m1"),
        ("messages", "delete", "m1"),
        ("messages", "preview", "m1"),
        ("send", "m1"),
        ("pause", "m1"),
        ("resume", "m1"),
        ("cancel", "m1"),
        ("unschedule", "m1", "--wait", "1"),
        ("copy", "m1", "--exclude-recipients"),
        ("sendtest", "m1", "me@example.org"),
        ("progress", "m1"),
        ("recipients", "m1"),
        ("history", "m1"),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_every_verb_answers_humans_and_programs(sendgate: CommandLine, arguments: tuple[str, ...]) -> None:
    assert sendgate(*arguments, "--direct", "--data", "somewhere") == 0
    assert sendgate.data == Path("somewhere")
    assert sendgate.out.strip()
    assert not sendgate.out.startswith("{")
    assert sendgate(*arguments, "--json") == 0
    assert isinstance(json.loads(sendgate.out), dict)
    assert sendgate.err == ""


def test_as_a_process_it_flushes_and_ends_with_its_exit_code() -> None:
    def process(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "client", *arguments]
        return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False, timeout=60)

    shown = process("--help")
    assert shown.returncode == 0
    assert shown.stdout.decode().startswith("Usage: sendgate")
    wrong = process("pause")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count(b"\n")) == (2, b"", 1)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        unread = process("--help", stdout=writer)
    finally:
        os.close(writer)
    assert (unread.returncode, unread.stderr) == (141, b"")
