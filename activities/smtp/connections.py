"""The connections to the next hop: opened when needed, kept, reused, and replaced when they break.

aiosmtplib connects, secures (TLS, STARTTLS) and authenticates; `activities.smtp.conversation` speaks on what it made.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, cast

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from activities.ports import Email, Permit
from activities.smtp.conversation import Conversation, given_back
from activities.smtp.outcomes import SMTP_ERRORS, Step, outcome_of_error
from models.recipient import Outcome, Verdict

#: A connection idle for longer is not used again: firewalls forget it without telling either side.
_LONGEST_IDLE = timedelta(seconds=30)
_QUIT_WITHIN = timedelta(seconds=1)


class SmtpTransport:
    """`activities.ports.Transport` over SMTP. One for all lanes of a worker, on one event loop (asyncio or uvloop).

    `timeout` is the longest wait for a connection and for each reply; the reply to a body includes taking the body in.
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
        timeout: timedelta = timedelta(seconds=60),
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._username = username
        self._password = password
        self._tls = tls
        self._tls_context = tls_context
        self._timeout = timeout
        self._places = asyncio.Semaphore(connections)
        self._idle: list[Connection] = []  # used last, taken first: the rest may age and be closed by the server
        self._endings: set[asyncio.Task[None]] = set()  # of connections that were wanted no more while being opened
        self._closed = False
        self._own_name: str | None = None

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        """See `activities.ports.Transport.hand_over`. Waits for a connection while all are in use."""
        if self._closed or not permit.may_start():
            return given_back("stopped before the conversation began")
        try:
            await self._places.acquire()
        except asyncio.CancelledError:
            return given_back("stopped while waiting for a connection")
        try:
            if not permit.may_start():  # it may have waited for long
                return given_back("stopped while waiting for a connection")
            return await self._hand_over(Conversation(email, permit))
        except asyncio.CancelledError:
            return given_back("stopped before the conversation began")  # a conversation answers for itself
        finally:
            self._places.release()

    async def aclose(self) -> None:
        """Close the idle connections with QUIT, and those in use as soon as their conversation is over."""
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle), *self._endings)

    async def _hand_over(self, conversation: Conversation) -> Outcome:
        connection = self._take_idle()
        if connection is not None:
            outcome = await self._speak(conversation, connection)
            if not _found_connection_lost(conversation, outcome):
                return outcome
        try:
            connection = await self._connect()
        except SMTP_ERRORS as error:
            return outcome_of_error(Step.CONNECT, error)
        return await self._speak(conversation, connection)

    async def _speak(self, conversation: Conversation, connection: Connection) -> Outcome:
        """Speak on `connection`, and keep it or throw it away. Every way out leaves it in one of the two states."""
        usable = False
        try:
            outcome = await conversation.speak(connection)
            usable = conversation.leaves_connection_usable
        except asyncio.CancelledError:
            outcome = conversation.outcome_when_stopped(connection)
        finally:
            if usable and not self._closed and connection.is_open:
                connection.idle_since = asyncio.get_running_loop().time()
                connection.holds_envelope = conversation.leaves_envelope
                self._idle.append(connection)
            else:
                connection.abort()
        return outcome

    def _take_idle(self) -> Connection | None:
        youngest = asyncio.get_running_loop().time() - _LONGEST_IDLE.total_seconds()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since >= youngest:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        """Open a connection that is ready for MAIL. Raises SMTP_ERRORS; then, or canceled, nothing is left open."""
        opening = asyncio.create_task(self._open())
        try:
            await asyncio.wait({opening})
        except asyncio.CancelledError:
            ending = asyncio.create_task(_end(opening))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            raise
        return opening.result()

    async def _open(self) -> Connection:
        if self._own_name is None:
            self._own_name = await asyncio.to_thread(socket.getfqdn)
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            local_hostname=self._own_name,
            timeout=self._timeout.total_seconds(),
            use_tls=self._tls == "tls",
            start_tls=self._tls == "starttls",  # False: none, even if it is offered
            tls_context=self._tls_context,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:  # it has been done only where TLS or AUTH needed it
                try:
                    await client.ehlo()
                except aiosmtplib.SMTPHeloError:
                    await client.helo()
            return Connection(client, self._timeout)
        except BaseException:
            client.close()
            raise


async def _end(opening: asyncio.Task[Connection]) -> None:
    """Cancel until it is over: asyncio.wait_for (3.11) swallows a cancellation that comes together with a reply."""
    while not opening.done():
        opening.cancel()
        await asyncio.sleep(0)
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()


class Connection:
    """A connection ready for MAIL: `activities.smtp.conversation.Line` on what aiosmtplib connected."""

    def __init__(self, client: aiosmtplib.SMTP, timeout: timedelta) -> None:
        if client.protocol is None or client.protocol.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._client = client
        self._protocol: SMTPProtocol = client.protocol
        self._transport = cast(
            asyncio.Transport, client.protocol.transport
        )  # uvloop's is one in all but its base class
        self._timeout_seconds = timeout.total_seconds()
        self._extensions = dict(client.esmtp_extensions)  # aiosmtplib forgets them when the connection is lost
        self._secured = self._transport.get_extra_info("sslcontext") is not None
        self.idle_since = 0.0  # the event loop's clock, seconds
        self.holds_envelope = False

    @property
    def extensions(self) -> Mapping[str, str]:
        return self._extensions

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as the event loop has seen."""
        return self._client.is_connected

    async def command(self, command: bytes) -> aiosmtplib.SMTPResponse:
        return await self._client.execute_command(command)

    def write(self, data: bytes) -> None:
        self._protocol.write(data)

    async def reply(self) -> aiosmtplib.SMTPResponse:
        return await self._protocol.read_response(timeout=self._timeout_seconds)

    def nothing_left_to_write(self) -> bool:
        # Beneath TLS the event loops count differently; there we never claim to know.
        return self._secured or self._transport.get_write_buffer_size() == 0

    def abort(self) -> None:
        """Cut the connection; what is not yet with the kernel is thrown away."""
        self._transport.abort()
        self._client.close()

    async def quit(self) -> None:
        """Close the connection as RFC 5321 wants it, within a second; or else cut it."""
        try:
            await self._client.quit(timeout=_QUIT_WITHIN.total_seconds())
        except SMTP_ERRORS:
            pass  # it is gone, which is all that was wanted
        finally:
            self.abort()


def _found_connection_lost(conversation: Conversation, outcome: Outcome) -> bool:
    """Whether the first command on a reused connection met its end, which says nothing about the server's health."""
    if outcome.verdict is not Verdict.NO_SERVER:
        return False
    return conversation.step is Step.RSET or (conversation.step is Step.MAIL and outcome.smtp_code in (None, 421))
