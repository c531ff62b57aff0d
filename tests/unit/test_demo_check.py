"""The demo's checker, with one thing wrong at a time; and the sample it is shown on."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import available_timezones

import pytest
from rich.console import Console

from activities.rendering import attributes_named, check_templates
from client.cli.exits import ExitCode
from client.local.mail_catcher import Maildir
from examples import make_contacts
from examples.demo import HERE, SENDER, addresses, conclude
from examples.demo_check import Stop, broken_claims, other_emails
from examples.demo_stage import Mailbox, Stage
from models.content import check_content
from models.message import MessageContent

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PAUSED, RESUMED = NOON + timedelta(seconds=4.5), NOON + timedelta(seconds=60)


@dataclass(frozen=True)
class Email:
    address: str
    message_id: str
    received_at: datetime


PEOPLE = [f"p{number}@mail.example.org" for number in range(10)]
#: Five a second apart before the pause, five behind the resume.
CAUGHT = [
    Email(address, f"<{number}@x>", (NOON if number < 5 else RESUMED) + timedelta(seconds=number % 5))
    for number, address in enumerate(PEOPLE)
]
STOPS = [Stop(PAUSED, RESUMED)]


def changed(index: int, **changes: object) -> list[Email]:
    return [replace(email, **changes) if n == index else email for n, email in enumerate(CAUGHT)]  # type: ignore[arg-type]  # the tests' own fields


def test_what_is_right_breaks_no_claim() -> None:
    assert broken_claims(PEOPLE, CAUGHT, STOPS) == []
    assert broken_claims([], [], [Stop(PAUSED, None)]) == []


@pytest.mark.parametrize("removed", range(len(CAUGHT)))
def test_one_email_removed_is_told(removed: int) -> None:
    caught = CAUGHT[:removed] + CAUGHT[removed + 1 :]
    assert broken_claims(PEOPLE, caught, STOPS) == [f"1 of 10 got nothing: {PEOPLE[removed]}."]


def test_one_email_doubled_is_told_twice_over() -> None:
    assert broken_claims(PEOPLE, [*CAUGHT, CAUGHT[7]], STOPS) == [
        "1 got it more than once: p7@mail.example.org (2 times).",
        "1 Message-IDs arrived more than once: <7@x> (2 times).",
    ]


def test_one_who_got_two_different_emails_is_told() -> None:
    caught = [*CAUGHT, replace(CAUGHT[7], message_id="<another@x>")]
    assert broken_claims(PEOPLE, caught, STOPS) == ["1 got it more than once: p7@mail.example.org (2 times)."]


def test_one_message_id_for_two_people_is_told() -> None:
    assert broken_claims(PEOPLE, changed(3, message_id="<2@x>"), STOPS) == [
        "1 Message-IDs arrived more than once: <2@x> (2 times)."
    ]


def test_an_email_without_a_message_id_is_told() -> None:
    assert broken_claims(PEOPLE, changed(3, message_id=""), STOPS) == [
        "1 emails have no Message-ID: p3@mail.example.org."
    ]


def test_one_email_dated_after_the_receipt_is_told() -> None:
    late = changed(4, received_at=PAUSED + timedelta(milliseconds=12))
    assert broken_claims(PEOPLE, late, STOPS) == [
        "1 emails arrived although it was stopped: p4@mail.example.org (12 ms after the receipt)."
    ]


def test_one_email_dated_just_before_the_resume_is_told() -> None:
    early = changed(5, received_at=RESUMED - timedelta(microseconds=1))
    assert len(broken_claims(PEOPLE, early, STOPS)) == 1


def test_the_instants_of_the_receipts_themselves_are_allowed() -> None:
    assert broken_claims(PEOPLE, changed(4, received_at=PAUSED), STOPS) == []
    assert broken_claims(PEOPLE, changed(5, received_at=RESUMED), STOPS) == []


def test_every_stop_is_looked_at_and_one_without_an_end_never_ends() -> None:
    assert len(broken_claims(PEOPLE, CAUGHT, [*STOPS, Stop(RESUMED + timedelta(seconds=3.5), None)])) == 1


def test_an_email_to_a_stranger_is_told() -> None:
    assert broken_claims(PEOPLE[1:], CAUGHT, STOPS) == ["1 got an email and were not meant to: p0@mail.example.org."]


def test_many_are_counted_and_a_few_are_named() -> None:
    assert broken_claims(PEOPLE, [], STOPS) == [f"10 of 10 got nothing: {', '.join(PEOPLE[:3])}, and 7 more."]


def test_two_accounts_of_the_same_emails_agree_or_the_difference_is_told() -> None:
    assert other_emails(CAUGHT, list(reversed(CAUGHT))) == []
    assert other_emails(CAUGHT, CAUGHT[:-1]) == ["1 were caught and not handed over: p9@mail.example.org."]
    assert other_emails(CAUGHT[1:], CAUGHT) == ["1 were handed over and not caught: p0@mail.example.org."]
    assert len(other_emails(changed(3, message_id="<another@x>"), CAUGHT)) == 2


# -- what the demo does with the answer


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(Console(file=io.StringIO(), width=100), Mailbox(tmp_path))


def test_true_claims_end_with_0(stage: Stage) -> None:
    stage.claim("Two and two is four.", broken=[])
    assert conclude(stage, began=0.0) is ExitCode.DONE


def test_one_false_claim_among_true_ones_ends_with_1_and_is_told(stage: Stage) -> None:
    stage.claim("Two and two is four.", broken=[])
    stage.claim("Everybody got it.", broken=["1 of 10 got nothing: p0@mail.example.org."])
    stage.claim("Three and three is six.", broken=[])
    assert conclude(stage, began=0.0) is ExitCode.FAILED
    assert isinstance(stage.console.file, io.StringIO)
    assert "✘ Everybody got it. 1 of 10 got nothing: p0@mail.example.org." in stage.console.file.getvalue()


def test_an_email_in_the_silence_breaks_it(stage: Stage) -> None:
    maildir = Maildir(stage.mailbox.path)
    maildir.deliver("p0@mail.example.org", NOON, b"Subject: before\r\n\r\n")
    stage.mailbox.begin()
    assert stage.watch_silence(0.05, total=1) == []
    counts = iter((0, 0, 1, 1))
    stage.mailbox.count = lambda: next(counts)  # type: ignore[method-assign]  # arrives while one looks
    assert stage.watch_silence(0.0, total=1) == ["1 more arrived."]


def test_the_mailbox_tells_what_came_since_the_beginning(tmp_path: Path) -> None:
    maildir, mailbox = Maildir(tmp_path), Mailbox(tmp_path)
    maildir.deliver("p0@mail.example.org", NOON, b"Message-ID: <0@x>\r\n\r\n")
    mailbox.begin()
    maildir.deliver("p1@mail.example.org", NOON, b"Message-ID: <1@x>\r\n\r\n")
    assert [email.address for email in mailbox.arrived()] == ["p1@mail.example.org"]
    assert mailbox.count() == 1


# -- the sample


def test_the_sample_is_what_its_script_makes() -> None:
    for path, number in (
        (make_contacts.CONTACTS, make_contacts.NUMBER_OF_CONTACTS),
        (make_contacts.JOINERS, make_contacts.NUMBER_OF_JOINERS),
    ):
        with path.open(encoding="utf-8", newline="") as file:
            assert len(list(csv.DictReader(file))) == number
    with make_contacts.CONTACTS.open(encoding="utf-8", newline="") as contacts:
        written = list(csv.DictReader(contacts))
    with make_contacts.JOINERS.open(encoding="utf-8", newline="") as joiners:
        written += list(csv.DictReader(joiners))
    assert written == list(make_contacts.people(make_contacts.NUMBER_OF_CONTACTS + make_contacts.NUMBER_OF_JOINERS))


def test_the_sample_is_2000_people_in_30_zones_at_addresses_that_are_nobodys() -> None:
    everybody = addresses("contacts.csv") + addresses("joiners.csv")
    assert len(everybody) == len(set(everybody)) > 2000
    assert all(address.endswith((".example.com", ".example.org", ".example.net")) for address in everybody)
    with make_contacts.CONTACTS.open(encoding="utf-8", newline="") as file:
        zones = {row["time_zone"] for row in csv.DictReader(file)} - {""}
    assert len(zones) > 30
    assert zones <= available_timezones()


def test_the_newsletter_can_be_sent_and_names_only_columns_of_the_sample() -> None:
    newsletter = MessageContent(
        name="Spring teas",
        from_address=SENDER[1],
        subject="{{ contact.first_name }}",
        html=(HERE / "newsletter.html").read_text(encoding="utf-8"),
        text=(HERE / "newsletter.txt").read_text(encoding="utf-8"),
    )
    check_content(newsletter)
    check_templates(newsletter)
    assert attributes_named(newsletter) == {"first_name", "city", "plan", "signed_up"}
