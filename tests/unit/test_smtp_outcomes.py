"""What replies and errors mean: the table of `activities.smtp.outcomes`, and that nothing of aiosmtplib is missing."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

import aiosmtplib
import pytest

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


def made(kind: type[BaseException]) -> list[BaseException]:
    """Make errors of one of aiosmtplib's classes as the library does: with a reply where the class has one."""
    if issubclass(kind, aiosmtplib.SMTPRecipientsRefused):
        return [kind([aiosmtplib.SMTPRecipientRefused(550, "5.1.1 no such user", "a@b.example")]), kind([])]
    if issubclass(kind, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPSenderRefused):
        return [kind(550, "5.1.1 no such user", "a@b.example")]
    if issubclass(kind, aiosmtplib.SMTPResponseException):
        return [kind(550, "5.1.1 no such user"), kind(450, "4.2.1 later"), kind(-1, "Malformed")]
    return [kind("something happened")]


def exported_errors() -> list[type[BaseException]]:
    exported = (getattr(aiosmtplib, name) for name in aiosmtplib.__all__)
    return [thing for thing in exported if isinstance(thing, type) and issubclass(thing, BaseException)]


def every_error() -> list[BaseException]:
    """One or more of each error that aiosmtplib exports, and of what lies beneath it."""
    beneath = [OSError(), ConnectionResetError(), BrokenPipeError(32, "Broken pipe"), TimeoutError(), ssl.SSLError()]
    beneath += [socket.gaierror(-2, "Name or service not known"), ssl.SSLCertVerificationError(1, "expired")]
    return [error for kind in exported_errors() for error in made(kind)] + beneath


def test_every_error_class_of_aiosmtplib_is_exported_and_caught() -> None:
    defined = {kind for kind in vars(aiosmtplib.errors).values() if isinstance(kind, type)} - {TimeoutError}
    assert set(exported_errors()) == defined
    assert len(defined) >= 15
    assert all(issubclass(kind, SMTP_ERRORS) for kind in defined)


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


#: IANA's registry of enhanced codes (RFC 3463, 5248 and what added to them): subject → details. `X.` is 4 or 5.
REGISTERED = {
    0: [0],
    1: range(11),
    2: range(5),
    3: range(7),
    4: range(8),
    5: range(7),
    6: range(11),
    7: range(31),
}


@pytest.mark.parametrize(("subject", "details"), REGISTERED.items())
@pytest.mark.parametrize("kind", [4, 5])
def test_code_enhanced_code_and_text_of_every_refusal_are_kept(kind: int, subject: int, details: range) -> None:
    verdicts = {Step.RCPT: (Verdict.DEFERRED, Verdict.BOUNCED), Step.BODY: (Verdict.DEFERRED, Verdict.BOUNCED)}
    for detail in details:
        for code in (kind * 100 + 50, kind * 100 + 51, kind * 100 + 54):
            enhanced = f"{kind}.{subject}.{detail}"
            text = f"{enhanced} <ola@example.com>: what happened; see https://mail.example/{enhanced}"
            for step, (temporary, permanent) in verdicts.items():
                assert outcome_of_reply(step, code, text) == Outcome(
                    temporary if kind == 4 else permanent, None, code, enhanced, text
                )


def test_replies_are_fit_to_be_stored() -> None:
    assert clean_reply(" 5.1.1 a\r\nb\x00c\x1b[0m ") == "5.1.1 a b c [0m"
    assert clean_reply(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\ufffd"
    assert len(clean_reply("x" * 9999)) == 500
