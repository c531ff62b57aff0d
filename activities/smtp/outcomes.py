"""What a reply or an error means for the recipient, as one table. Pure: no connection is needed to test it.

| step                 | 2xx (DATA: 354) | 4xx      | 5xx     | 421             | anything else, loss, time-out |
|----------------------|-----------------|----------|---------|-----------------|-------------------------------|
| connect, ehlo, auth, | go on           | NO_SERVER in every case                                            |
| rset                 |                 |                                                                    |
| mail                 | go on           | DEFERRED | NO_SERVER (*) | NO_SERVER | NO_SERVER                     |
| rcpt, data           | go on           | DEFERRED | BOUNCED | NO_SERVER       | NOT_HANDED_OVER               |
| body (the final dot) | SENT            | DEFERRED | BOUNCED | DEFERRED        | IN_DOUBT                      |

Until MAIL is accepted no conversation has begun, so a loss there says that the next hop is not working. A loss later,
before the dot, says nothing about the recipient either: give back. (*) MAIL names the sender alone, so a 5xx to it
says that *we* may not send (a sender address that is not ours, no authentication: RFC 4954 section 6), which is no
recipient's fault and would bounce a whole audience. But 552 is about the size of this one email: BOUNCED.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

import aiosmtplib

from models.recipient import Outcome, Verdict

#: Everything that a conversation can meet: aiosmtplib's errors, and what the sockets and TLS beneath it raise.
SMTP_ERRORS = (aiosmtplib.SMTPException, OSError, TimeoutError, EOFError)

_LONGEST_REPLY = 500  # characters; `models.recipient.Outcome.reply`
SERVICE_CLOSING = 421  # the server is closing this connection: it shuts down, or has too many
_TOO_BIG = 552  # RFC 1870 section 6.1: the size that MAIL declared
_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?!\S)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Step(StrEnum):
    """How far a conversation had come: what was asked last."""

    CONNECT = "connect"
    EHLO = "ehlo"
    AUTH = "auth"
    RSET = "rset"  # on a connection whose last conversation ended in a refusal
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"  # the final dot was written

    @property
    def is_before_mail(self) -> bool:
        return self in (Step.CONNECT, Step.EHLO, Step.AUTH, Step.RSET)


def goes_on(step: Step, code: int) -> bool:
    """Whether the reply `code` lets the conversation go on to the next step (at BODY: the next hop took the email)."""
    return 300 <= code < 400 if step is Step.DATA else 200 <= code < 300


def leaves_usable(step: Step, code: int) -> bool:
    """Whether the server goes on with this connection after the reply `code`: it took `step`, or refused it alone."""
    return goes_on(step, code) or (400 <= code < 600 and code != SERVICE_CLOSING)


def outcome_of_reply(step: Step, code: int, text: str, handed_over_at: datetime | None = None) -> Outcome:
    """Judge the reply that ended a conversation at `step`: any reply to the final dot, a refusal before it."""
    return Outcome(_verdict(step, code), handed_over_at, code, enhanced_code(code, text), clean_reply(text))


def _verdict(step: Step, code: int) -> Verdict:
    if step is Step.BODY and goes_on(step, code):
        return Verdict.SENT
    if step.is_before_mail:
        return Verdict.NO_SERVER
    if code == SERVICE_CLOSING and step is not Step.BODY:
        return Verdict.NO_SERVER
    if step is Step.MAIL and 500 <= code < 600 and code != _TOO_BIG:
        return Verdict.NO_SERVER
    if 400 <= code < 500:
        return Verdict.DEFERRED
    if 500 <= code < 600:
        return Verdict.BOUNCED
    return _verdict_of_loss(step)  # no reply that RFC 5321 knows: whatever it meant, we cannot go on


def _verdict_of_loss(step: Step) -> Verdict:
    if step.is_before_mail or step is Step.MAIL:
        return Verdict.NO_SERVER
    return Verdict.IN_DOUBT if step is Step.BODY else Verdict.NOT_HANDED_OVER


def outcome_of_error(step: Step, error: BaseException, handed_over_at: datetime | None = None) -> Outcome:
    """Judge one of SMTP_ERRORS that ended a conversation at `step`. Errors that carry a reply are judged by it."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return outcome_of_reply(step, error.code, error.message, handed_over_at)
    return Outcome(_verdict_of_loss(step), handed_over_at, reply=clean_reply(_describe(error)))


def _describe(error: BaseException) -> str:
    """Say what went wrong; many errors of sockets have no text of their own."""
    cause = error.__cause__
    text = str(error) or type(error).__name__
    return f"{text} ({cause})" if cause is not None and str(cause) and str(cause) not in text else text


def enhanced_code(code: int, text: str) -> str | None:
    """Return the enhanced status code (RFC 3463) at the start of a reply's text, as "5.1.1".

    One whose class contradicts the reply code is taken for text (RFC 2034 section 4 forbids it).
    """
    found = _ENHANCED.match(text)
    if found is None or found[1] != str(code)[:1]:
        return None
    return ".".join(found.groups())


def clean_reply(text: str) -> str:
    """Make a server's text fit to be stored and shown: one line, valid Unicode, at most 500 characters."""
    if text.isascii() and text.isprintable():
        return text.strip()[:_LONGEST_REPLY]
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _CONTROLS.sub(" ", readable).strip()[:_LONGEST_REPLY]
