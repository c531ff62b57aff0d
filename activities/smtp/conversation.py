"""The conversation for one email on one line: MAIL, RCPT, DATA, body, and where it may be stopped.

Where the server offers PIPELINING, MAIL, RCPT and DATA go at once (RFC 2920), and RSET before them if it is needed.

Two looks at the permit are the points of no return. Between the second look and the write of body and final dot there
is no await, and the write is one call: either the dot was written, at `handed_over_at`, or nothing of the body was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from activities.ports import Email, Permit
from activities.smtp.lines import Line
from activities.smtp.outcomes import SMTP_ERRORS, Step, goes_on, leaves_usable, outcome_of_error, outcome_of_reply
from activities.smtp.replies import Reply
from activities.smtp.wire import envelope_commands, stuffed
from models.recipient import Outcome, Verdict

_ENVELOPE = (Step.MAIL, Step.RCPT, Step.DATA)
_ENVELOPE_AFTER_ANOTHER = (Step.RSET, *_ENVELOPE)
_LONE_DOT = b".\r\n"


@dataclass(slots=True)
class Conversation:
    """One try to hand one email over. `speak` returns or is canceled; the fields then tell how far it came."""

    email: Email
    permit: Permit
    step: Step = Step.CONNECT
    handed_over_at: datetime | None = None
    #: Whether the line is at a known point afterwards, and can be used again.
    leaves_line_usable: bool = False
    #: Whether the server answered the first of several commands and then nothing more: it may have thrown them away.
    stalled_amid_commands: bool = False
    _replies: list[Reply] = field(default_factory=list)  # to the envelope, and then to the body
    _refusal: Outcome | None = None  # by the envelope's first refused command

    async def speak(self, line: Line) -> Outcome:
        """Hand the email over on `line`.

        SMTP's errors become outcomes; only cancellation comes out as an exception.
        """
        self.leaves_line_usable = self.stalled_amid_commands = False
        self._refusal = None
        self._replies.clear()
        self.step = Step.RSET if line.holds_envelope else Step.MAIL
        try:
            return await self._speak(line)
        except SMTP_ERRORS as error:
            step = self.step if self._dot_may_have_left(line) else Step.DATA
            return outcome_of_error(step, error, self.handed_over_at if step is Step.BODY else None)

    async def _speak(self, line: Line) -> Outcome:
        commands = envelope_commands(self.email, line.extensions)
        if isinstance(commands, Outcome):
            self.leaves_line_usable = True
            return commands
        body = stuffed(self.email.content)
        if not self.permit.may_start():
            self.leaves_line_usable = True
            return given_back("stopped before the conversation began")
        line.conversations += 1
        if refusal := await self._give_envelope(line, commands):
            return refusal
        if not self.permit.may_write_body():
            return given_back("stopped before the body was written")
        self._replies.clear()
        line.write(body)
        self.handed_over_at = datetime.now(UTC)
        self.step = Step.BODY
        await line.read_reply(self._replies)
        line.holds_envelope = False
        self.leaves_line_usable = leaves_usable(Step.BODY, self._replies[0][0]) and line.nothing_left_to_write()
        return _outcome(Step.BODY, self._replies[0], self.handed_over_at)

    async def _give_envelope(self, line: Line, commands: list[bytes]) -> Outcome | None:
        """Return the outcome if a command was refused. Raises SMTP_ERRORS, unless a refusal came before."""
        steps: tuple[Step, ...] = _ENVELOPE
        if line.holds_envelope:
            steps, commands = _ENVELOPE_AFTER_ANOTHER, [b"RSET", *commands]
        replies = self._replies
        at_once = len(commands) if line.pipelines else 1
        try:
            while len(replies) < len(commands) and self._refusal is None:
                await line.ask(commands[len(replies) : len(replies) + at_once], replies)
                self._judge(steps, line)
        except SMTP_ERRORS as error:
            self.stalled_amid_commands = line.pipelines and bool(replies) and isinstance(error, TimeoutError)
            self._judge(steps, line)
            if self._refusal is None:
                self.step = steps[len(replies)]
                raise
        else:
            if self._refusal is not None:
                self.leaves_line_usable = await self._is_in_step_after_refusal(steps, line)
        return self._refusal

    def _judge(self, steps: Sequence[Step], line: Line) -> None:
        """Take in the replies to `steps`: the first one refused decides, those after it follow from it."""
        for step, reply in zip(steps, self._replies, strict=False):
            if self._refusal is None:
                self.step = step
            if goes_on(step, reply[0]):
                line.holds_envelope = step is not Step.RSET
            elif self._refusal is None:
                self._refusal = _outcome(step, reply)

    async def _is_in_step_after_refusal(self, steps: Sequence[Step], line: Line) -> bool:
        """Whether the server waits for a command again; where it waits for a body, end that without content.

        The lone dot (RFC 2920 section 3.1) is no hand-over as long as the server knows no recipient. Unless RCPT is
        what it refused, it may know one: of this envelope, or of an earlier one that RSET should have ended.
        """
        if self.step is Step.RSET:
            return False
        for step, (code, _) in zip(steps, self._replies, strict=False):
            if not leaves_usable(step, code):
                return False
        if len(self._replies) < len(steps) or not goes_on(Step.DATA, self._replies[-1][0]):
            return True
        if self.step is not Step.RCPT:
            return False
        answers: list[Reply] = []
        try:
            line.write(_LONE_DOT)
            await line.read_reply(answers)
        except SMTP_ERRORS:
            return False
        return leaves_usable(Step.BODY, answers[0][0])

    def outcome_when_stopped(self, line: Line) -> Outcome:
        """Return the outcome of a canceled `speak`; to be asked before the line is aborted, which must follow."""
        if self._refusal is not None:
            return self._refusal
        if self.handed_over_at is None or not self._dot_may_have_left(line):
            return given_back("stopped during the conversation")
        if self._replies:  # it came together with the cancellation
            return _outcome(Step.BODY, self._replies[0], self.handed_over_at)
        return Outcome(Verdict.IN_DOUBT, self.handed_over_at, reply="stopped while waiting for the reply to the body")

    def _dot_may_have_left(self, line: Line) -> bool:
        """Whether the final dot may be with the kernel, if the body was written and the line is aborted now.

        An abort throws away what the kernel has not taken, so as long as any of the body waits here, the dot, which
        is its end, cannot leave.
        """
        return self.handed_over_at is None or line.nothing_left_to_write()


def given_back(reason: str) -> Outcome:
    """Return the outcome of an email whose final dot was not written."""
    return Outcome(Verdict.NOT_HANDED_OVER, reply=reason)


def _outcome(step: Step, reply: Reply, handed_over_at: datetime | None = None) -> Outcome:
    return outcome_of_reply(step, reply[0], reply[1].decode("utf-8", "replace"), handed_over_at)
