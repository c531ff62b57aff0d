"""The conversation on one line: emails of a bag handed over one after the other, and where it may be stopped.

Where the server offers PIPELINING (RFC 2920), MAIL, RCPT and DATA go at once, and RSET before them if it is needed; and
the envelope of the next email goes in one write with the body of the one before it, as section 3.1 allows: one write,
one read and one round trip for an email.

Two looks at the permit are the points of no return: no envelope is written without the first, no body without the
second. Between the second look and the write of body and final dot there is no await, and the write is one call: either
the dot was written, at `handed_over_at`, or nothing of the body was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from activities.ports import Bag, Permit, Taken
from activities.smtp.lines import Line
from activities.smtp.outcomes import (
    SERVICE_CLOSING,
    SMTP_ERRORS,
    Step,
    goes_on,
    leaves_usable,
    outcome_of_error,
    outcome_of_reply,
)
from activities.smtp.replies import Reply
from activities.smtp.wire import envelope_commands, stuffed
from models.recipient import Outcome, Verdict

_ENVELOPE = (Step.MAIL, Step.RCPT, Step.DATA)
_ENVELOPE_AFTER_ANOTHER = (Step.RSET, *_ENVELOPE)
_LONE_DOT = b".\r\n"


@dataclass(slots=True)
class _Try:
    """One email on the line."""

    taken: Taken
    steps: tuple[Step, ...]
    commands: list[bytes]
    #: Whether an email was begun on this line before: then the line's end, met first, says nothing about the server.
    is_on_used_line: bool
    step: Step = Step.CONNECT  # what was asked last, or refused first
    replies: list[Reply] = field(default_factory=list)  # to the envelope
    refusal: Outcome | None = None  # by the envelope's first refused command
    handed_over_at: datetime | None = None

    def judge(self) -> None:
        """Take in the envelope's replies: the first one refused decides, those after it follow from it."""
        for step, reply in zip(self.steps, self.replies, strict=False):
            self.step = step
            if not goes_on(step, reply[0]):
                self.refusal = _outcome(step, reply)
                return
        if len(self.replies) < len(self.steps):
            self.step = self.steps[len(self.replies)]


class Conversation:
    """Emails of one bag on one line. `speak` settles each email that it takes, but for one that it hands back."""

    def __init__(
        self, line: Line, bag: Bag, permit: Permit, may_go_on: Callable[[], bool], *, is_new: bool, chains: bool
    ) -> None:
        """`may_go_on`: asked before each email but the first, whether the line is to be given another.

        `is_new`: the line has been opened for this. `chains`: an envelope may go with the body before it.
        """
        self._line = line
        self._is_new = is_new
        self._chains = chains and line.pipelines
        self._bag = bag
        self._permit = permit
        self._may_go_on = may_go_on
        self._now: _Try | None = None  # the email that is spoken of
        self._next: _Try | None = None  # the one whose envelope went with its body
        self._answers: list[Reply] = []  # to that body, and then to that envelope
        self._unread = 0  # bytes behind the final dot in the last write
        #: Whether the line is at a known point afterwards, and can be used again.
        self.leaves_line_usable = False
        #: Whether the server answered the first of several commands, and then no more: it may have thrown them away.
        self.stalled_amid_commands = False
        #: The same of a body and the envelope that came with it.
        self.stalled_after_body = False

    async def speak(self, taken: Taken) -> Taken | None:
        """Hand over `taken`, and go on as long as there is another and it may; return one that found the line lost.

        That one has not been begun, as far as the server is concerned, and wants a line that was opened later. SMTP's
        errors become outcomes. So does a cancellation, and comes out too; the line must be aborted then.
        """
        begun: Taken | None = taken
        try:
            while begun is not None:
                self._now = self._begin(begun)
                lost = await self._speak() if self._now is not None else None
                if lost is not None or not self.leaves_line_usable:
                    return lost
                begun = self._another()
        except asyncio.CancelledError:
            self._stopped()
            raise
        return None

    def _another(self) -> Taken | None:
        return self._bag.take() if self._may_go_on() and self._permit.may_start() else None

    def _begin(self, taken: Taken) -> _Try | None:
        """Return a try that begins now, or settle an email that this server can never be given."""
        place, email = taken
        commands = envelope_commands(email, self._line.extensions)
        if isinstance(commands, Outcome):
            self.leaves_line_usable = True
            self._bag.settle(place, commands)
            return None
        steps: tuple[Step, ...] = _ENVELOPE
        if self._line.holds_envelope:
            steps, commands = _ENVELOPE_AFTER_ANOTHER, [b"RSET", *commands]
        is_on_used_line, self._is_new = not self._is_new, False
        self._line.conversations += 1
        return _Try(taken, steps, commands, is_on_used_line, steps[0])

    async def _speak(self) -> Taken | None:
        """Speak of the email that was begun, and of those whose envelopes go with the body of another."""
        self.leaves_line_usable = False
        assert self._now is not None
        error = await self._give_envelope(self._now)
        while True:
            current = self._now
            if error is not None or current.refusal is not None:
                return await self._end_refused(current, error)
            self._answers = []
            self._next = self._begin_next()
            if not self._permit.may_write_body():
                self._settle(current, given_back("stopped before the body was written"))
                return self._end_next()  # of which nothing has been written
            try:
                await self._give_body(current)
            except SMTP_ERRORS as failure:
                error = failure
            if not self._answers:
                assert error is not None
                written = current.handed_over_at is not None and self._dot_may_have_left()
                step = Step.BODY if written else Step.DATA
                self._settle(current, outcome_of_error(step, error, current.handed_over_at if written else None))
                return self._end_next()
            code = self._answers[0][0]
            self._settle(current, _outcome(Step.BODY, self._answers[0], current.handed_over_at))
            self._line.holds_envelope = False
            if not leaves_usable(Step.BODY, code) or not self._line.nothing_left_to_write(self._unread):
                return self._end_next()
            if self._next is None:
                self.leaves_line_usable = error is None
                return None
            self._now, self._next = self._next, None
            self._now.replies = self._answers[1:]
            self._take_in_envelope(self._now)
            self.stalled_after_body = isinstance(error, TimeoutError)

    def _begin_next(self) -> _Try | None:
        """Begin the next email, if its envelope may go with this one's body."""
        if not self._chains:
            return None
        # What went before leaves no envelope behind, so there is no RSET.
        self._line.holds_envelope = False
        while (taken := self._another()) is not None:
            if (begun := self._begin(taken)) is not None:
                self.leaves_line_usable = False
                return begun
        self.leaves_line_usable = False
        return None

    async def _give_body(self, current: _Try) -> None:
        """Write the body, and the next envelope with it, and wait for all replies. Raises SMTP_ERRORS."""
        data = stuffed(current.taken[1].content)
        self._unread = 0
        if self._next is not None:
            envelope = b"\r\n".join(self._next.commands) + b"\r\n"
            self._unread = len(envelope)
            data += envelope
        self._line.write(data)
        current.handed_over_at = datetime.now(UTC)
        current.step = Step.BODY
        await self._line.read_replies(1 + (len(self._next.commands) if self._next is not None else 0), self._answers)

    async def _give_envelope(self, current: _Try) -> BaseException | None:
        """Write the envelope, all at once or command by command up to the first refusal; return what broke it off."""
        line, commands = self._line, current.commands
        at_once = len(commands) if line.pipelines else 1
        error: BaseException | None = None
        try:
            while len(current.replies) < len(commands) and current.refusal is None:
                await line.ask(commands[len(current.replies) : len(current.replies) + at_once], current.replies)
                self._take_in_envelope(current)
        except SMTP_ERRORS as failure:
            error = failure
            self.stalled_amid_commands = line.pipelines and bool(current.replies) and isinstance(error, TimeoutError)
            self._take_in_envelope(current)
        return error

    def _take_in_envelope(self, current: _Try) -> None:
        current.judge()
        for step, (code, _) in zip(current.steps, current.replies, strict=False):
            if goes_on(step, code):
                self._line.holds_envelope = step is not Step.RSET

    async def _end_refused(self, current: _Try, error: BaseException | None) -> Taken | None:
        """End what was refused, or broken off by `error`, before its body."""
        outcome = current.refusal
        if outcome is None:
            assert error is not None
            outcome = outcome_of_error(current.step, error)
        elif error is None:
            self.leaves_line_usable = await self._is_in_step_after_refusal(current)
        if _found_line_lost(current, outcome):
            self.leaves_line_usable = False
            return current.taken
        self._settle(current, outcome)
        return None

    def _end_next(self) -> Taken | None:
        """The line is lost, with the next email's envelope on it at most: return it, unless the server refused it."""
        current, self._next = self._next, None
        if current is None:
            return None
        current.replies = self._answers[1:]
        current.judge()
        if current.refusal is None or _found_line_lost(current, current.refusal):
            return current.taken
        self._settle(current, current.refusal)
        return None

    def _give_back_next(self) -> None:
        if self._next is not None:
            self._settle(self._next, given_back("stopped before the body was written"))
            self._next = None

    def _stopped(self) -> None:
        """Settle what was being spoken of when the conversation was canceled."""
        current = self._now
        if current is not None:
            self._settle(current, self._outcome_when_stopped(current))
        self._give_back_next()

    def _outcome_when_stopped(self, current: _Try) -> Outcome:
        if current.refusal is not None:
            return current.refusal
        if current.handed_over_at is None or not self._dot_may_have_left():
            return given_back("stopped during the conversation")
        if self._answers:  # it came together with the cancellation
            return _outcome(Step.BODY, self._answers[0], current.handed_over_at)
        waiting = "stopped while waiting for the reply to the body"
        return Outcome(Verdict.IN_DOUBT, current.handed_over_at, reply=waiting)

    def _dot_may_have_left(self) -> bool:
        """Whether the final dot may be with the kernel, if the body was written and the line is aborted now.

        An abort throws away what the kernel has not taken, so as long as any of the body waits here, the dot, which
        is its end, cannot leave.
        """
        return self._line.nothing_left_to_write(self._unread)

    def _settle(self, current: _Try, outcome: Outcome) -> None:
        if current is self._now:
            self._now = None
        self._bag.settle(current.taken[0], outcome)

    async def _is_in_step_after_refusal(self, current: _Try) -> bool:
        """Whether the server waits for a command again; where it waits for a body, end that without content.

        The lone dot (RFC 2920 section 3.1) is no hand-over as long as the server knows no recipient. Unless RCPT is
        what it refused, it may know one: of this envelope, or of an earlier one that RSET should have ended.
        """
        if current.step is Step.RSET:
            return False
        for step, (code, _) in zip(current.steps, current.replies, strict=False):
            if not leaves_usable(step, code):
                return False
        if len(current.replies) < len(current.steps) or not goes_on(Step.DATA, current.replies[-1][0]):
            return True
        if current.step is not Step.RCPT:
            return False
        answers: list[Reply] = []
        try:
            self._line.write(_LONE_DOT)
            await self._line.read_replies(1, answers)
        except SMTP_ERRORS:
            return False
        return leaves_usable(Step.BODY, answers[0][0])


def given_back(reason: str) -> Outcome:
    """Return the outcome of an email whose final dot was not written."""
    return Outcome(Verdict.NOT_HANDED_OVER, reply=reason)


def _found_line_lost(current: _Try, outcome: Outcome) -> bool:
    """Whether the first command on a line used before met its end, which says nothing about the server's health."""
    if outcome.verdict is not Verdict.NO_SERVER or not current.is_on_used_line:
        return False
    return current.step is Step.RSET or (current.step is Step.MAIL and outcome.smtp_code in (None, SERVICE_CLOSING))


def _outcome(step: Step, reply: Reply, handed_over_at: datetime | None = None) -> Outcome:
    return outcome_of_reply(step, reply[0], reply[1].decode("utf-8", "replace"), handed_over_at)
