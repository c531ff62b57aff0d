"""Opening lines to the next hop: how, and when again after it failed.

As long as the last attempt failed, or there was none yet, one attempt is made at a time and speaks for everybody who
waits; and none before a back-off is over, which doubles from 0.1 s to 5 s. Whoever comes meanwhile gets what the last
attempt got. Once one succeeds, the others open theirs side by side.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import aiosmtplib

from activities.smtp.lines import Line, PipelinedLine, PlainLine
from activities.smtp.outcomes import SERVICE_CLOSING, SMTP_ERRORS, Step, outcome_of_error
from models.recipient import Outcome

logger = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where lines lead and how they are secured.

    `timeout` is the longest wait for the connection, for TLS, and for each reply, now and later.
    """

    host: str
    port: int
    username: str | None
    password: str | None
    tls: Literal["none", "starttls", "tls"]
    tls_context: ssl.SSLContext | None
    timeout: timedelta


class Opener:
    """Opens lines to one next hop, on one event loop."""

    def __init__(self, next_hop: NextHop, others_work: Callable[[], bool]) -> None:
        """`others_work` tells whether the server serves lines opened before: then its 421 is about their number."""
        self._next_hop = next_hop
        self._others_work = others_work
        self._own_name: str | None = None
        self._trusts_pipelining = True
        #: Whether an envelope may go in one write with the body before it.
        self.chains = True
        self._failure: Outcome | None = None  # of the last attempt
        self._succeeded = False  # the last attempt
        self._wait_seconds = _FIRST_WAIT_SECONDS
        self._probe: asyncio.Future[None] | None = None  # the end of the one attempt that is made for all
        self._endings: set[asyncio.Task[None]] = set()  # of attempts that nobody wanted any more
        #: When the next attempt may be made; the event loop's clock, seconds.
        self.not_before = 0.0

    async def open(self) -> Line | Outcome:
        """Return a new line, or NO_SERVER with what went wrong. Canceled, it leaves nothing open."""
        while self._probe is not None:
            await asyncio.shield(self._probe)
        if self._succeeded:
            return await self._attempt()
        if self._failure is not None and asyncio.get_running_loop().time() < self.not_before:
            return self._failure
        return await self._attempt_for_all()

    def distrust_pipelining(self) -> None:
        """Open lines without PIPELINING from now on, whatever the server offers."""
        if self._trusts_pipelining:
            self._trusts_pipelining = False
            logger.warning(
                "The SMTP server offered PIPELINING and then answered only the first of several commands in time; "
                "commands are sent one by one from now on."
            )

    def distrust_chaining(self) -> None:
        """Wait for the reply to a body before the next envelope from now on."""
        if self.chains:
            self.chains = False
            logger.warning(
                "The SMTP server answered a body and then not the envelope that came with it in time; an envelope waits"
                " for the reply to the body before it from now on."
            )

    def trusts(self, line: Line) -> bool:
        """Whether `line` is of a kind that would be opened now."""
        return self._trusts_pipelining or not line.pipelines

    async def ended(self) -> None:
        """Return when the attempts that nobody wanted any more are over."""
        await asyncio.gather(*self._endings)

    async def _attempt_for_all(self) -> Line | Outcome:
        self._probe = probe = asyncio.get_running_loop().create_future()
        try:
            return await self._attempt()
        finally:
            self._probe = None
            probe.set_result(None)

    async def _attempt(self) -> Line | Outcome:
        opening = asyncio.create_task(self._open())
        try:
            await asyncio.wait({opening})
        except asyncio.CancelledError:
            ending = asyncio.create_task(_end(opening))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            raise
        try:
            line = opening.result()
        except Exception as error:  # noqa: BLE001  # a host name that is none, say: whatever it is, there is no line
            failure = outcome_of_error(Step.CONNECT, self._told(error))
            if failure.smtp_code != SERVICE_CLOSING or not self._others_work():
                self._note_failure(failure)
            return failure
        self._succeeded = True
        self._wait_seconds = _FIRST_WAIT_SECONDS
        return line

    def _told(self, error: Exception) -> Exception:
        """Put what neither SMTP nor a socket says into a sentence that names the server."""
        if isinstance(error, SMTP_ERRORS):
            return error
        next_hop = self._next_hop
        return aiosmtplib.SMTPException(f"Error connecting to {next_hop.host} on port {next_hop.port}: {error!r}")

    def _note_failure(self, failure: Outcome) -> None:
        self._succeeded = False
        self._failure = failure
        now = asyncio.get_running_loop().time()
        if now >= self.not_before:  # else it was made side by side with one that has been noted
            self.not_before = now + self._wait_seconds * random.uniform(0.5, 1)
            self._wait_seconds = min(self._wait_seconds * 2, _LONGEST_WAIT_SECONDS)

    async def _open(self) -> Line:
        if self._own_name is None:
            self._own_name = await asyncio.to_thread(socket.getfqdn)
        next_hop = self._next_hop
        client = aiosmtplib.SMTP(
            hostname=next_hop.host,
            port=next_hop.port,
            local_hostname=self._own_name,
            timeout=next_hop.timeout.total_seconds(),
            use_tls=next_hop.tls == "tls",
            start_tls=False,  # not by `connect`, which would lose a 421 to EHLO
            tls_context=next_hop.tls_context,
        )
        try:
            await client.connect()
            await _say_hello(client)
            if next_hop.tls == "starttls":
                await client.starttls()
                await _say_hello(client)
            if next_hop.username is not None:
                await client.login(next_hop.username, next_hop.password or "")
            if self._trusts_pipelining and "pipelining" in client.esmtp_extensions:
                return PipelinedLine(client, next_hop.timeout)
            return PlainLine(client, next_hop.timeout)
        except BaseException:
            client.close()
            raise


async def _say_hello(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        if error.code == SERVICE_CLOSING:
            raise
        await client.helo()


async def _end(opening: asyncio.Task[Line]) -> None:
    """Cancel until it is over: asyncio.wait_for (3.11) swallows a cancellation that comes together with a reply."""
    while not opening.done():
        opening.cancel()
        await asyncio.sleep(0)
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()
