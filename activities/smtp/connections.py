"""The way to the next hop: emails take a place in the pool, and a line that is open or opened for them.

`activities.smtp.pool` keeps the lines, `opening` opens them, `lines` is what they are, `conversation` speaks on one.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from typing import Any, Literal

from activities.ports import Bag, Email, Permit, Taken
from activities.smtp.conversation import Conversation, given_back
from activities.smtp.lines import Line
from activities.smtp.opening import NextHop, Opener
from activities.smtp.outcomes import SERVICE_CLOSING
from activities.smtp.pool import Pool
from models.recipient import Outcome


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
        #: By the identity of a bag: what those wait for who would hand it over.
        self._queues: dict[int, set[asyncio.Future[Any]]] = {}
        self._closed = False

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        """See `activities.ports.Transport.hand_over`."""
        bag = _One(email)
        await self.hand_over_each(bag, permit)
        return bag.outcome

    async def hand_over_each(self, bag: Bag, permit: Permit) -> None:
        """See `activities.ports.Transport.hand_over_each`. Waits for a connection while all are in use."""
        errand = _Errand(bag, permit)
        try:
            while not self._closed and errand.has_one_to_begin():
                queue = self._queues.setdefault(id(bag), set())
                await self._in_place(errand, await self._pool.take(queue))
        except asyncio.CancelledError:
            pass  # a conversation answers for what it took
        finally:
            errand.settle_waiting(given_back("stopped before the conversation began"))
            if not self._queues.get(id(bag)):
                self._queues.pop(id(bag), None)

    def let_go(self, bag: Bag) -> None:
        """See `activities.ports.Transport.let_go`."""
        for waiter in list(self._queues.get(id(bag), ())):
            waiter.cancel()

    async def aclose(self) -> None:
        """Close the idle connections with QUIT, and those in use as soon as their conversation is over."""
        self._closed = True
        await asyncio.gather(*(line.quit() for line in self._pool.empty()), *self._quitting, self._opener.ended())

    async def _in_place(self, errand: _Errand, line: Line | None) -> None:
        """Go on with an errand in a place of the pool, and give that back.

        What waits afterwards wants another place: a line was lost, or no new one is to be had while others work.
        """
        try:
            if self._closed or not errand.permit.may_start():  # it may have waited for long
                return
            if line is not None:
                await self._speak(errand, line, is_new=False)
                if errand.waiting is None:
                    return
                self._pool.closed(line)
                line = None
            opened = await self._open_unless_let_go(errand.bag)
            if isinstance(opened, Outcome):
                if not self._is_one_to_wait_for(opened):
                    errand.settle_waiting(opened)
                return
            line = opened
            self._pool.opened(line)
            if not errand.permit.may_start():  # opening may have taken long, too
                return
            await self._speak(errand, line, is_new=True)
        finally:
            self._give_back(line)

    async def _open_unless_let_go(self, bag: Bag) -> Line | Outcome:
        """Open a line. Canceled, or with its bag let go of, this raises CancelledError and leaves none open."""
        opening = asyncio.create_task(self._open())
        queue = self._queues.setdefault(id(bag), set())
        queue.add(opening)
        opening.add_done_callback(queue.discard)
        try:
            return await opening
        except asyncio.CancelledError:
            opening.add_done_callback(_abort_what_was_opened)  # in the very moment of the cancellation
            raise

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

    async def _speak(self, errand: _Errand, line: Line, *, is_new: bool) -> None:
        """Speak on `line`. Every way out leaves it ready for the next conversation, or else not open."""
        last_of_turn = line.conversations + self._pool.turn

        def may_go_on() -> bool:
            is_over = line.conversations >= last_of_turn and self._pool.is_waited_for
            return not is_over and self._is_to_be_kept(line)

        conversation = Conversation(
            line, errand.bag, errand.permit, may_go_on, is_new=is_new, chains=self._opener.chains
        )
        usable = False
        try:
            errand.waiting = await conversation.speak(errand.begin())
            usable = conversation.leaves_line_usable
        finally:
            if not usable:
                line.abort()
        if conversation.stalled_after_body:
            self._opener.distrust_chaining()
        if conversation.stalled_amid_commands:
            self._opener.distrust_pipelining()
            for idle in self._pool.empty():
                self._quit(idle)

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


def _abort_what_was_opened(opening: asyncio.Future[Line | Outcome]) -> None:
    if not opening.cancelled() and opening.exception() is None and isinstance(line := opening.result(), Line):
        line.abort()


class _Errand:
    """One call of `hand_over_each`: emails of one bag, on whatever lines are to be had."""

    def __init__(self, bag: Bag, permit: Permit) -> None:
        self.bag = bag
        self.permit = permit
        self.waiting: Taken | None = None  # taken from the bag, and on no line

    def has_one_to_begin(self) -> bool:
        """Whether an email waits, or is to be had, and may be begun."""
        if not self.permit.may_start():
            return False
        self.waiting = self.waiting or self.bag.take()
        return self.waiting is not None

    def begin(self) -> Taken:
        """Return what waits: whoever begins it settles it, or lets it wait again."""
        assert self.waiting is not None
        taken, self.waiting = self.waiting, None
        return taken

    def settle_waiting(self, outcome: Outcome) -> None:
        if self.waiting is not None:
            self.bag.settle(self.waiting[0], outcome)
            self.waiting = None


class _One:
    """A bag with one email."""

    def __init__(self, email: Email) -> None:
        self._email: Email | None = email
        self.outcome = given_back("stopped before the conversation began")

    def take(self) -> Taken | None:
        email, self._email = self._email, None
        return None if email is None else (0, email)

    def settle(self, place: int, outcome: Outcome) -> None:
        self.outcome = outcome
