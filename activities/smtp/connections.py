"""The way to the next hop: an email takes a place in the pool, and a line that is open or opened for it.

`activities.smtp.pool` keeps the lines, `opening` opens them, `lines` is what they are, `conversation` speaks on one.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from typing import Literal

from activities.ports import Email, Permit
from activities.smtp.conversation import Conversation, given_back
from activities.smtp.lines import Line
from activities.smtp.opening import NextHop, Opener
from activities.smtp.outcomes import SERVICE_CLOSING, Step
from activities.smtp.pool import Pool
from models.recipient import Outcome, Verdict


class SmtpTransport:
    """`activities.ports.Transport` over SMTP. One for all lanes of a worker, on one event loop (asyncio or uvloop).

    `timeout` is the longest wait for a connection and for each reply; the reply to a body includes taking the body in.
    `emails_per_connection`: a connection is closed after so many; 0: it is kept as long as it works.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: Literal["none", "starttls", "tls"] = "none",
        connections: int = 16,
        emails_per_connection: int = 0,
        timeout: timedelta = timedelta(seconds=60),
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._pool = Pool(connections)
        self._opener = Opener(NextHop(host, port, username, password, tls, tls_context, timeout), self._others_work)
        self._emails_per_connection = emails_per_connection
        self._quitting: set[asyncio.Task[None]] = set()
        self._closed = False

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        """See `activities.ports.Transport.hand_over`. Waits for a connection while all are in use."""
        if self._closed or not permit.may_start():
            return given_back("stopped before the conversation began")
        conversation = Conversation(email, permit)
        try:
            while True:
                line = await self._pool.take()
                outcome = await self._hand_over(conversation, line)
                if outcome is not None:
                    return outcome
        except asyncio.CancelledError:
            return given_back("stopped while waiting for a connection")  # a conversation answers for itself

    async def aclose(self) -> None:
        """Close the idle connections with QUIT, and those in use as soon as their conversation is over."""
        self._closed = True
        await asyncio.gather(*(line.quit() for line in self._pool.empty()), *self._quitting, self._opener.ended())

    async def _hand_over(self, conversation: Conversation, line: Line | None) -> Outcome | None:
        """Hand over in a place of the pool, and give that back. None: no new line is to be had, but others work."""
        try:
            if line is not None:
                outcome = await self._speak(conversation, line)
                if not _found_line_lost(conversation, outcome):
                    return outcome
                self._pool.closed(line)
                line = None
            if self._closed or not conversation.permit.may_start():  # it may have waited for long
                return given_back("stopped while waiting for a connection")
            opened = await self._open()
            if isinstance(opened, Outcome):
                return None if self._is_one_to_wait_for(opened) else opened
            line = opened
            self._pool.opened(line)
            return await self._speak(conversation, line)
        finally:
            self._give_back(line)

    async def _open(self) -> Line | Outcome:
        opened = await self._opener.open()
        if isinstance(opened, Outcome) and opened.smtp_code == SERVICE_CLOSING and self._quitting:
            await asyncio.wait(self._quitting)  # the server still counted them
            opened = await self._opener.open()
        return opened

    def _others_work(self) -> bool:
        return self._pool.working > 0 or bool(self._quitting)

    def _is_one_to_wait_for(self, refusal: Outcome) -> bool:
        too_many = refusal.smtp_code == SERVICE_CLOSING
        return self._pool.refused(too_many=too_many, retry_at=self._opener.not_before)

    async def _speak(self, conversation: Conversation, line: Line) -> Outcome:
        """Speak on `line`. Every way out leaves it ready for the next conversation, or else not open."""
        usable = False
        try:
            outcome = await conversation.speak(line)
            usable = conversation.leaves_line_usable
        except asyncio.CancelledError:
            outcome = conversation.outcome_when_stopped(line)
        finally:
            if not usable:
                line.abort()
        if conversation.stalled_amid_commands:
            self._opener.distrust_pipelining()
            for idle in self._pool.empty():
                self._quit(idle)
        return outcome

    def _give_back(self, line: Line | None) -> None:
        """Give a place back to the pool, with the line if it is to be used again."""
        if line is not None and not self._is_to_be_kept(line):
            self._pool.closed(line)
            if line.is_open and not self._closed:
                self._quit(line)
            else:
                line.abort()
            line = None
        self._pool.free(line)

    def _is_to_be_kept(self, line: Line) -> bool:
        full = 0 < self._emails_per_connection <= line.conversations
        return line.is_open and not full and not self._closed and self._opener.trusts(line)

    def _quit(self, line: Line) -> None:
        """Close a line without waiting for it."""
        quitting = asyncio.create_task(line.quit())
        self._quitting.add(quitting)
        quitting.add_done_callback(self._quitting.discard)


def _found_line_lost(conversation: Conversation, outcome: Outcome) -> bool:
    """Whether the first command on a line used before met its end, which says nothing about the server's health."""
    if outcome.verdict is not Verdict.NO_SERVER:
        return False
    return conversation.step is Step.RSET or (
        conversation.step is Step.MAIL and outcome.smtp_code in (None, SERVICE_CLOSING)
    )
