"""`in-doubt list`, `accept` and `resend`: what they ask of the use cases, and what they print."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from client.cli.in_doubt import _lines
from client.interface import AskedBy, RecipientInDoubt
from models.commands import HistoryEntry, Receipt, ReceiptOutcome, Verb
from models.message import Counts, MessageStatus
from models.recipient import RecipientStatus
from tests.unit.cli_fakes import NOW, CommandLine, a_message, a_receipt, a_recipient, command_line_in_utc

COUNTS = Counts(total=10, sent=7, in_doubt=1, pending=2).model_dump()
ACCEPTED = "3 recipients in doubt accepted as sent."
RESENT = "2 recipients in doubt to be sent again; the message, which was sent, is sending again."


@pytest.fixture
def sendgate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    yield from command_line_in_utc(capsys, monkeypatch)


def decided(verb: Verb, asked: AskedBy | None = None, **changes: object) -> Receipt:
    told = {"status_before": "sent", "status_after": "sent", "counts": COUNTS, "explanation": ACCEPTED}
    return a_receipt(verb, asked, **(told | changes))


def in_doubt(**changes: object) -> RecipientInDoubt:
    fields = a_recipient(1).model_dump() | {"status": RecipientStatus.IN_DOUBT, "email_message_id": "<abc@example.org>"}
    return RecipientInDoubt(**(fields | changes))


def test_the_list_gives_of_each_what_to_look_for_in_the_next_hops_log(sendgate: CommandLine) -> None:
    assert sendgate("in-doubt", "list", "m1") == 0
    assert sendgate.out.splitlines()[:2] == [
        'p1@example.org handed over 2020-05-04 09:05:12 UTC, try 1: 250 ok, "queued"',
        "    Message-ID <1@example.org>",
    ]
    assert len(sendgate.out.splitlines()) == 6


def test_of_whom_nobody_saw_the_hand_over_it_says_since_when() -> None:
    unseen = {"handed_over_at": None, "smtp_code": None, "reply": None}
    line, _ = _lines(in_doubt(**unseen, settled_at=NOW, reason="the sender\x1b[31m\nfell silent", attempts=2))
    assert line.startswith("p1@example.org in doubt since 2020-05-04 ")
    assert line.endswith(", try 2: the sender[31m fell silent")
    assert _lines(in_doubt(**unseen))[0].endswith(": no reply")


def test_the_list_shows_the_first_and_gives_its_connection_back(sendgate: CommandLine) -> None:
    sendgate.use.people = 5
    assert sendgate("in-doubt", "list", "m1", "--limit", "2") == 0
    assert sendgate.out.splitlines()[-1] == "Only the first 2 are shown; --json gives all."
    assert sendgate.out.count("Message-ID") == 2
    assert sendgate.use.closed_generators == 1
    assert sendgate("in-doubt", "list", "m1", "--limit", "5") == 0
    assert "Only the first" not in sendgate.out


def test_the_json_of_the_list_is_one_document_with_all_of_them(sendgate: CommandLine) -> None:
    sendgate.use.people = 3
    assert sendgate("in-doubt", "list", "m1", "--limit", "1", "--json") == 0
    items = json.loads(sendgate.out)["items"]
    assert [item["email_message_id"] for item in items] == [f"<{n}@example.org>" for n in (1, 2, 3)]
    assert {item["status"] for item in items} == {"in_doubt"}


def test_an_empty_list_says_so(sendgate: CommandLine) -> None:
    sendgate.use.people = 0
    assert sendgate("in-doubt", "list", "m1") == 0
    assert sendgate.out == "Nobody is in doubt.\n"
    assert sendgate("in-doubt", "list", "m1", "--json") == 0
    assert json.loads(sendgate.out) == {"items": []}


@pytest.mark.parametrize("verb", [Verb.ACCEPT, Verb.RESEND])
@pytest.mark.parametrize("addresses", [(), ("ada@example.org",), ("ada@example.org", "bob@example.org")])
def test_who_is_named_is_handed_on_and_nobody_named_is_everybody(
    sendgate: CommandLine, verb: Verb, addresses: tuple[str, ...]
) -> None:
    sendgate.use.receipt = decided
    assert sendgate(*verb.split(), "m1", *addresses, "--reason", "seen in the log") == 0
    ((what, (asked, whom)),) = sendgate.use.asked
    assert (what, whom) == (verb, addresses or None)
    assert (asked.reason, asked.source) == ("seen in the log", "cli")


def test_a_decision_says_for_how_many_and_when_and_how_the_counts_are_now(sendgate: CommandLine) -> None:
    sendgate.use.receipt = decided
    assert sendgate("in-doubt", "accept", "m1") == 0
    assert sendgate.out == f"{ACCEPTED} At 2020-05-04 09:05:12.345 UTC: 7 sent, 1 in doubt, 2 not sent.\n"


def test_a_message_that_goes_on_is_one_to_watch(sendgate: CommandLine) -> None:
    sendgate.use.receipt = lambda verb, asked: decided(verb, asked, status_after="sending", explanation=RESENT)
    assert sendgate("in-doubt", "resend", "m1") == 0
    assert sendgate.out.splitlines() == [
        f"{RESENT} At 2020-05-04 09:05:12.345 UTC: 7 sent, 1 in doubt, 2 not sent.",
        "Watch it with `sendgate watch m1`.",
    ]


def test_the_json_of_a_decision_is_the_message_with_its_receipt(sendgate: CommandLine) -> None:
    sendgate.use.shown = a_message(status=MessageStatus.SENT, receipt=a_receipt(Verb.PAUSE))
    sendgate.use.receipt = decided
    assert sendgate("in-doubt", "accept", "m1", "--json") == 0
    answer = json.loads(sendgate.out)
    assert (answer["id"], answer["receipt"]["command"]) == ("m1", "in-doubt accept")
    assert answer["receipt"]["explanation"] == ACCEPTED


def test_a_command_that_was_refused_before_is_refused_again(sendgate: CommandLine) -> None:
    sendgate.use.receipt = lambda verb, asked: decided(
        verb, asked, outcome=ReceiptOutcome.REFUSED, effective_at=None, explanation="Nobody is in doubt."
    )
    assert sendgate("in-doubt", "resend", "m1") == 3
    assert (sendgate.out, sendgate.err) == ("", "Error: Nobody is in doubt.\n")


def test_the_history_says_who_decided_for_how_many(sendgate: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    receipt = decided(Verb.ACCEPT)
    sendgate.use.entries = [
        HistoryEntry(
            **receipt.model_dump(include={"command_id", "command", "actor", "reason", "source", "requested_at"}),
            generation=1,
            details={"recipients": 3, "contact_ids": [1, 2, 3]},
            receipt=receipt,
        )
    ]
    assert sendgate("history", "m1") == 0
    assert "in-doubt accept  anna" in sendgate.out
    assert ACCEPTED in sendgate.out
    assert sendgate("history", "m1", "--json") == 0
    assert json.loads(sendgate.out)["items"][0]["details"]["contact_ids"] == [1, 2, 3]


def test_the_family_alone_prints_its_help(sendgate: CommandLine) -> None:
    assert sendgate("in-doubt") == 0
    assert [verb for verb in ("list", "accept", "resend") if f"\n  {verb} " in sendgate.out] == [
        "list",
        "accept",
        "resend",
    ]
