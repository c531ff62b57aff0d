"""A line: one connection to the next hop that is ready for MAIL. Two kinds, as the server offers PIPELINING or not.

aiosmtplib connected, secured and authenticated it (`activities.smtp.opening`). Its protocol knows one command at a
time, so `PipelinedLine` puts one of its own in its place; `PlainLine` leaves it where it is.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, cast

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from activities.smtp.outcomes import SMTP_ERRORS
from activities.smtp.replies import Reply, ReplyReader

_QUIT_WITHIN_SECONDS = 1.0
#: SO_LINGER (on or off, seconds). On for 0 s: a close throws away what the kernel has not sent, and resets the peer.
_DISCARD, _SEND_ON = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


class Line(ABC):
    """A connection that is ready for MAIL. One conversation at a time speaks on it."""

    #: Whether several commands may be asked at once.
    pipelines: ClassVar[bool]

    def __init__(self, transport: asyncio.Transport, extensions: Mapping[str, str], timeout: timedelta) -> None:
        self._transport = transport
        self._timeout_seconds = timeout.total_seconds()
        self._secured = transport.get_extra_info("sslcontext") is not None
        #: What EHLO offered: keyword in lower case → its parameters.
        self.extensions = extensions
        #: Whether the server has an envelope of an earlier conversation, so that RSET must come before MAIL.
        self.holds_envelope = False
        #: Conversations that were begun on it.
        self.conversations = 0
        #: Since when nobody uses it; the event loop's clock, seconds.
        self.idle_since = 0.0
        # A plain close has the kernel go on sending for minutes: an email could leave when we, or our claims, are gone.
        # Set here and not at the abort, since a process that is killed closes without us.
        self._linger(_DISCARD)

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether it can be used, as far as the event loop has seen."""

    @abstractmethod
    async def ask(self, commands: Sequence[bytes], replies: list[Reply]) -> None:
        """Write the commands and append the reply to each; more than one command only if it `pipelines`.

        Raises SMTP_ERRORS; the replies that came before it, or before a cancellation, have been appended.
        """

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write at once, whole. Raises SMTP_ERRORS, having written nothing, if it is not open."""

    @abstractmethod
    async def read_replies(self, number: int, replies: list[Reply]) -> None:
        """Append the next replies, so many, as `ask` does."""

    def nothing_left_to_write(self, but: int = 0) -> bool:
        """Whether all that was written, but for the last `but` bytes, has gone to the kernel. When unsure: True."""
        # Beneath TLS the event loops count differently; there we never claim to know.
        return self._secured or self._transport.get_write_buffer_size() <= but

    def abort(self) -> None:
        """Cut it; what the other side's kernel has not got by now is thrown away, here and in our kernel."""
        self._transport.abort()

    async def quit(self) -> None:
        """Close it as RFC 5321 wants it, within a second; or else cut it.

        To be called when all that was written has been answered: then QUIT is all that our kernel may go on sending.
        """
        self._linger(_SEND_ON)
        try:
            async with asyncio.timeout(_QUIT_WITHIN_SECONDS):
                await self.ask([b"QUIT"], [])
        except SMTP_ERRORS:
            pass  # it is gone, which is all that was wanted
        finally:
            self.abort()

    def _linger(self, how: bytes) -> None:
        if not self._transport.is_closing():  # else its number may be another connection's by now
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)


class PlainLine(Line):
    """To a server without PIPELINING: aiosmtplib's protocol, one command after the other."""

    pipelines = False

    def __init__(self, client: aiosmtplib.SMTP, timeout: timedelta) -> None:
        protocol, transport = connected(client)
        super().__init__(transport, dict(client.esmtp_extensions), timeout)  # aiosmtplib forgets them with the loss
        self._client = client
        self._protocol = protocol

    @property
    def is_open(self) -> bool:
        return self._client.is_connected

    async def ask(self, commands: Sequence[bytes], replies: list[Reply]) -> None:
        for command in commands:
            await self._append(self._client.execute_command(command), replies)

    def write(self, data: bytes) -> None:
        self._protocol.write(data)

    async def read_replies(self, number: int, replies: list[Reply]) -> None:
        for _ in range(number):
            await self._append(self._protocol.read_response(timeout=self._timeout_seconds), replies)

    async def _append(self, answer: Awaitable[aiosmtplib.SMTPResponse], replies: list[Reply]) -> None:
        cancellations = _cancellations()
        response = await answer
        replies.append((response.code, response.message.encode("utf-8", "surrogateescape")))
        if _cancellations() > cancellations:  # asyncio.wait_for (3.11) swallows one that comes together with the reply
            raise asyncio.CancelledError

    def abort(self) -> None:
        super().abort()
        self._client.close()


class PipelinedLine(Line, asyncio.Protocol):
    """To a server with PIPELINING (RFC 2920): the commands of an envelope in one write, one wait for their replies."""

    pipelines = True

    def __init__(self, client: aiosmtplib.SMTP, timeout: timedelta) -> None:
        _, transport = connected(client)
        super().__init__(transport, client.esmtp_extensions, timeout)
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._waiter: asyncio.Future[None] | None = None  # for so many replies, in:
        self._wanted = 0
        self._replies: list[Reply] = []
        self._failure: Exception | None = None  # why it cannot be used any more
        # One timer for the whole life, set again only when it rings: replies come much more often than it does.
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        return self._failure is None and not self._transport.is_closing()

    async def ask(self, commands: Sequence[bytes], replies: list[Reply]) -> None:
        self.write(b"\r\n".join(commands) + b"\r\n")
        await self._wait(len(commands), replies)

    def write(self, data: bytes) -> None:
        if self._failure is not None:
            raise self._failure
        if self._transport.is_closing():
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._transport.write(data)

    async def read_replies(self, number: int, replies: list[Reply]) -> None:
        await self._wait(number, replies)

    async def _wait(self, number: int, replies: list[Reply]) -> None:
        self._waiter = self._loop.create_future()
        self._replies = replies
        self._wanted = len(replies) + number
        self._deadline = self._loop.time() + self._timeout_seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self._fail(aiosmtplib.SMTPReadTimeoutError("Timed out waiting for the server's reply"))

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self._spoken_out_of_turn(data)
            return
        replies = self._replies
        before = len(replies)
        failure: Exception | None = None
        try:
            self._reader.feed(data, replies)
        except aiosmtplib.SMTPException as error:
            failure = error
        if len(replies) >= self._wanted:
            if failure is not None or len(replies) > self._wanted or self._reader.is_amid_reply:
                del replies[self._wanted :]
                self._spoken_out_of_turn(data)
            self._waiter.set_result(None)
        elif failure is not None:
            self._fail(failure)
        elif len(replies) > before:
            self._deadline = self._loop.time() + self._timeout_seconds  # for each reply

    def _spoken_out_of_turn(self, data: bytes) -> None:
        """Never use it again: the next reply would be taken for the answer to something else.

        Mostly it is 421: the server is closing the connection, which is nobody's fault.
        """
        text = data.rstrip().rpartition(b"\n")[2][:200].decode("utf-8", "replace")
        self._failure = aiosmtplib.SMTPServerDisconnected(f"The server spoke out of turn: {text}")
        self._transport.abort()

    def eof_received(self) -> None:
        self._fail(aiosmtplib.SMTPServerDisconnected("The server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        lost = aiosmtplib.SMTPServerDisconnected("Connection lost")
        lost.__cause__ = exc
        self._fail(lost)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fail(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._failure)


def connected(client: aiosmtplib.SMTP) -> tuple[SMTPProtocol, asyncio.Transport]:
    """Return what aiosmtplib connected. Raises SMTPServerDisconnected if it has been lost since."""
    if client.protocol is None or client.protocol.transport is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    # uvloop's transport is one in all but its base class.
    return client.protocol, cast(asyncio.Transport, client.protocol.transport)


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
