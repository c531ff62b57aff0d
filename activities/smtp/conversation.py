"""The conversation for one email on one connection: MAIL, RCPT, DATA, body, and where it may be stopped.

Two looks at the permit are the points of no return. Between the second look and the write of body and final dot there
is no await, and the write is one call: either the dot was written, at `handed_over_at`, or nothing of the body was.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import aiosmtplib

from activities.ports import Email, Permit
from activities.smtp.outcomes import SMTP_ERRORS, Step, goes_on, outcome_of_error, outcome_of_reply
from models.recipient import Outcome, Verdict

#: What an address must be to stand between < and > in a command: no spaces, controls or angles outside quotes.
_PATH = re.compile(
    r'(?:"(?:[^"\\\x00-\x1f\x7f-\x9f]|\\[ -~])*"|[^\s"<>\x00-\x1f\x7f-\x9f@]+)@[^\s"<>\x00-\x1f\x7f-\x9f@]+'
)
_DOT_AT_LINE_START = re.compile(rb"(?m)^\.")


class Line(Protocol):
    """A connection to the next hop that is ready for MAIL (`activities.smtp.connections.Connection`)."""

    @property
    def extensions(self) -> Mapping[str, str]:
        """What EHLO offered: keyword in lower case → its parameters."""

    async def command(self, command: bytes) -> aiosmtplib.SMTPResponse:
        """Write one command and read its reply. Raises SMTP_ERRORS."""

    @property
    def holds_envelope(self) -> bool:
        """Whether the server has an envelope of an earlier conversation, so that RSET must come before MAIL."""

    def write(self, data: bytes) -> None:
        """Write at once, whole. Raises SMTPServerDisconnected, having written nothing, on a lost connection."""

    async def reply(self) -> aiosmtplib.SMTPResponse:
        """Read one reply. Raises SMTP_ERRORS."""

    def nothing_left_to_write(self) -> bool:
        """Whether all that was written has gone to the kernel, as far as can be known. When unsure: True."""


@dataclass(slots=True)
class Conversation:
    """One try to hand one email over. `speak` returns or is canceled; the fields then tell how far it came."""

    email: Email
    permit: Permit
    step: Step = Step.CONNECT
    handed_over_at: datetime | None = None
    #: Whether the server was left with an envelope.
    leaves_envelope: bool = False
    #: Whether the connection is at a known point afterwards, and can be used again.
    leaves_connection_usable: bool = False
    #: The task's count of cancellations at the start; more of them mean that somebody wants us to stop.
    _cancellations_before: int = field(default_factory=lambda: _cancellations())

    async def speak(self, line: Line) -> Outcome:
        """Hand the email over on `line`, in the task that made this object.

        SMTP's errors become outcomes; only cancellation comes out as an exception.
        """
        self.leaves_connection_usable = False
        self.leaves_envelope = line.holds_envelope
        self.step = Step.RSET if line.holds_envelope else Step.MAIL
        try:
            return await self._speak(line)
        except SMTP_ERRORS as error:
            return outcome_of_error(self.step, error, self.handed_over_at)

    async def _speak(self, line: Line) -> Outcome:
        envelope = envelope_commands(self.email, line.extensions)
        if isinstance(envelope, Outcome):
            self.leaves_connection_usable = True
            return envelope
        body = stuffed(self.email.content)
        if self._is_canceled() or not self.permit.may_start():
            self.leaves_connection_usable = True
            return given_back("stopped before the conversation began")
        if line.holds_envelope:
            envelope.insert(0, (Step.RSET, b"RSET"))
        for self.step, command in envelope:
            code, text = await line.command(command)
            if not goes_on(self.step, code):
                self.leaves_connection_usable = 400 <= code < 600 and code != 421 and self.step is not Step.RSET
                return outcome_of_reply(self.step, code, text)
            self.leaves_envelope = self.step is not Step.RSET
            if self._is_canceled():  # asyncio.wait_for may swallow a cancellation that comes together with the reply
                return given_back("stopped during the conversation")
        if not self.permit.may_write_body():
            return given_back("stopped before the body was written")
        line.write(body)
        self.handed_over_at = datetime.now(UTC)
        self.step = Step.BODY
        code, text = await line.reply()
        self.leaves_envelope = False
        self.leaves_connection_usable = 200 <= code < 600 and code != 421
        return outcome_of_reply(Step.BODY, code, text, self.handed_over_at)

    def outcome_when_stopped(self, line: Line) -> Outcome:
        """Return the outcome of a canceled `speak`; to be asked before the connection is aborted, which must follow.

        An abort throws away what the kernel has not taken, so as long as any of the body waits here, the dot, which
        is its end, cannot have left.
        """
        if self.handed_over_at is None or not line.nothing_left_to_write():
            return given_back("stopped during the conversation")
        return Outcome(Verdict.IN_DOUBT, self.handed_over_at, reply="stopped while waiting for the reply to the body")

    def _is_canceled(self) -> bool:
        return _cancellations() > self._cancellations_before


def given_back(reason: str) -> Outcome:
    """Return the outcome of an email whose final dot was not written."""
    return Outcome(Verdict.NOT_HANDED_OVER, reply=reason)


def envelope_commands(email: Email, extensions: Mapping[str, str]) -> list[tuple[Step, bytes]] | Outcome:
    """Return the commands up to DATA, in order; or FAILED when the addresses can never be written to this server."""
    for address in (email.sender, email.recipient):
        if not _PATH.fullmatch(address):
            return Outcome(Verdict.FAILED, reply="The address cannot be written in an SMTP command.")
    options = f" SIZE={len(email.content)}" if "size" in extensions else ""
    if not (email.sender.isascii() and email.recipient.isascii()):
        if "smtputf8" not in extensions:
            return Outcome(
                Verdict.FAILED,
                reply="The address has characters outside ASCII, and the server does not offer SMTPUTF8 (RFC 6531).",
            )
        options += " SMTPUTF8"
    return [
        (Step.MAIL, f"MAIL FROM:<{email.sender}>{options}".encode()),
        (Step.RCPT, f"RCPT TO:<{email.recipient}>".encode()),
        (Step.DATA, b"DATA"),
    ]


def stuffed(content: bytes) -> bytes:
    """Return the content as it goes over the wire: dots at line starts doubled (RFC 5321 section 4.5.2), final dot."""
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    if content.startswith(b".") or b"\n." in content:
        content = _DOT_AT_LINE_START.sub(b"..", content)
    return content + b".\r\n"


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
