"""What replies and errors mean: the table of `activities.smtp.outcomes`, and that nothing of aiosmtplib is missing."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import aiosmtplib
import pytest

from activities.ports import Email
from activities.smtp.conversation import envelope_commands, stuffed
from activities.smtp.outcomes import (
    SMTP_ERRORS,
    Step,
    clean_reply,
    enhanced_code,
    goes_on,
    outcome_of_error,
    outcome_of_reply,
)
from models.recipient import Outcome, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE_MAIL = [step for step in Step if step.is_before_mail]


@pytest.mark.parametrize(
    ("steps", "code", "verdict"),
    [
        *((BEFORE_MAIL, code, Verdict.NO_SERVER) for code in (220, 250, 421, 451, 454, 530, 535, 554, -1)),
        ([Step.MAIL], 530, Verdict.NO_SERVER),
        ([Step.MAIL], 535, Verdict.NO_SERVER),
        ([Step.RCPT, Step.DATA, Step.BODY], 530, Verdict.BOUNCED),
        ([Step.MAIL, Step.RCPT, Step.DATA], 421, Verdict.NO_SERVER),
        ([Step.BODY], 421, Verdict.DEFERRED),
        ([Step.MAIL, Step.RCPT, Step.DATA, Step.BODY], 450, Verdict.DEFERRED),
        ([Step.MAIL, Step.RCPT, Step.DATA, Step.BODY], 452, Verdict.DEFERRED),
        ([Step.MAIL], 550, Verdict.NO_SERVER),  # the sender is refused: no recipient's fault
        ([Step.MAIL], 599, Verdict.NO_SERVER),
        ([Step.MAIL], 552, Verdict.BOUNCED),  # this one email is too big
        ([Step.RCPT, Step.DATA, Step.BODY], 550, Verdict.BOUNCED),
        ([Step.RCPT, Step.DATA, Step.BODY], 599, Verdict.BOUNCED),
        ([Step.BODY], 250, Verdict.SENT),
        ([Step.BODY], 252, Verdict.SENT),
        ([Step.BODY], 354, Verdict.IN_DOUBT),
        ([Step.BODY], 199, Verdict.IN_DOUBT),
        ([Step.BODY], 600, Verdict.IN_DOUBT),
        ([Step.BODY], -1, Verdict.IN_DOUBT),
        ([Step.MAIL], 354, Verdict.NO_SERVER),
        ([Step.DATA], 250, Verdict.NOT_HANDED_OVER),
        ([Step.RCPT], -1, Verdict.NOT_HANDED_OVER),
    ],
)
def test_a_reply_is_judged_by_its_code_and_the_step(steps: list[Step], code: int, verdict: Verdict) -> None:
    assert {outcome_of_reply(step, code, "text").verdict for step in steps} == {verdict}


@pytest.mark.parametrize("step", list(Step))
def test_only_a_reply_to_the_final_dot_sends_or_leaves_in_doubt(step: Step) -> None:
    for code in (-1, 0, *range(99, 1000)):
        verdict = outcome_of_reply(step, code, "text").verdict
        assert (verdict is Verdict.SENT) == (step is Step.BODY and 200 <= code < 300)
        assert verdict is not Verdict.IN_DOUBT or (step is Step.BODY and not 400 <= code < 600)
        assert goes_on(step, code) == (code in (range(300, 400) if step is Step.DATA else range(200, 300)))


def every_error() -> list[BaseException]:
    """One of each error that aiosmtplib exports, and of what lies beneath it."""
    refused = aiosmtplib.SMTPRecipientRefused(550, "5.1.1 no such user", "a@b.example")
    special = {"SMTPRecipientsRefused": [refused], "SMTPRecipientRefused": None, "SMTPSenderRefused": None}
    made: list[BaseException] = []
    for name in aiosmtplib.errors.__all__:
        kind = getattr(aiosmtplib.errors, name)
        if name == "SMTPRecipientsRefused":
            made += [kind(special[name]), kind([])]
        elif name in special:
            made.append(kind(550, "5.1.1 no such user", "a@b.example"))
        elif issubclass(kind, aiosmtplib.SMTPResponseException):
            made += [kind(550, "5.1.1 no such user"), kind(450, "4.2.1 later"), kind(-1, "Malformed")]
        else:
            made.append(kind("something happened"))
    return [
        *made,
        OSError(),
        ConnectionResetError(),
        BrokenPipeError(32, "Broken pipe"),
        TimeoutError(),
        ssl.SSLError(),
    ]


@pytest.mark.parametrize("error", every_error(), ids=repr)
@pytest.mark.parametrize("step", list(Step))
def test_every_error_of_aiosmtplib_is_classified_at_every_step(step: Step, error: BaseException) -> None:
    assert isinstance(error, SMTP_ERRORS)
    outcome = outcome_of_error(step, error, NOW if step is Step.BODY else None)
    refusal = error.recipients[0] if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients else error
    code = getattr(refusal, "code", None)
    if step.is_before_mail:
        assert outcome.verdict is Verdict.NO_SERVER
    elif code == 550:
        assert outcome.verdict is (Verdict.NO_SERVER if step is Step.MAIL else Verdict.BOUNCED)
        assert (outcome.smtp_code, outcome.enhanced_code) == (550, "5.1.1")
    elif code == 450:
        assert outcome.verdict is Verdict.DEFERRED
    else:
        lost = {Step.MAIL: Verdict.NO_SERVER, Step.BODY: Verdict.IN_DOUBT}
        assert outcome.verdict is lost.get(step, Verdict.NOT_HANDED_OVER)
    assert outcome.reply
    assert (outcome.handed_over_at is NOW) == (step is Step.BODY)


@pytest.mark.parametrize(
    ("code", "text", "found"),
    [
        (550, "5.1.1 No such user", "5.1.1"),
        (250, "2.0.0", "2.0.0"),
        (452, "4.3.123\nmore", "4.3.123"),
        (550, "No such user 5.1.1", None),
        (550, "4.1.1 contradicts", None),
        (550, "5.1.1.1 no code", None),
        (550, "5.1.1234 no code", None),
        (550, "3.1.1 no class", None),
        (550, "", None),
    ],
)
def test_enhanced_codes_are_read(code: int, text: str, found: str | None) -> None:
    assert enhanced_code(code, text) == found


def test_replies_are_fit_to_be_stored() -> None:
    assert clean_reply(" 5.1.1 a\r\nb\x00c\x1b[0m ") == "5.1.1 a b c [0m"
    assert clean_reply(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\ufffd"
    assert len(clean_reply("x" * 9999)) == 500


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"", b"\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b".a\r\n..\r\nb.\r\n.", b"..a\r\n...\r\nb.\r\n..\r\n.\r\n"),
        (b"a\n.\nb", b"a\n..\nb\r\n.\r\n"),
    ],
)
def test_dots_at_line_starts_are_doubled(content: bytes, wire: bytes) -> None:
    assert stuffed(content) == wire


def test_the_envelope_uses_what_the_server_offers() -> None:
    plain = Email("news@shop.example", "ola@example.com", b"12345")
    assert envelope_commands(plain, {}) == [
        (Step.MAIL, b"MAIL FROM:<news@shop.example>"),
        (Step.RCPT, b"RCPT TO:<ola@example.com>"),
        (Step.DATA, b"DATA"),
    ]
    international = Email("news@shop.example", "grüße@example.com", b"12345")
    commands = envelope_commands(international, {"size": "", "smtputf8": ""})
    assert isinstance(commands, list)
    assert [command for _, command in commands] == [
        b"MAIL FROM:<news@shop.example> SIZE=5 SMTPUTF8",
        "RCPT TO:<grüße@example.com>".encode(),
        b"DATA",
    ]
    refused = envelope_commands(international, {"size": ""})
    assert isinstance(refused, Outcome)
    assert refused.verdict is Verdict.FAILED
    assert "SMTPUTF8" in (refused.reply or "")


@pytest.mark.parametrize(
    "address",
    ["a@b.example> SIZE=1", "a b@c.example", "a@b.example\r\nDATA", "a@b\x00.example", "", "<a@b.example>", '"a@b'],
)
def test_an_address_that_would_break_out_of_its_command_fails(address: str) -> None:
    for email in (Email("news@shop.example", address, b""), Email(address, "ola@example.com", b"")):
        outcome = envelope_commands(email, {})
        assert isinstance(outcome, Outcome)
        assert outcome.verdict is Verdict.FAILED
