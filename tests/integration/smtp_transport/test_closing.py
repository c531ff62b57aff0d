"""What our kernel does with an email that it has not sent when the connection is closed, by us or with our process.

Every test in this process runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from activities.smtp import SmtpTransport
from models.recipient import Verdict
from tests.integration.smtp_transport.transports import CONTENT, Allow, email, hand_over, on_both_loops, transport
from tests.secured_server import CERTIFICATE, trusting

ROOT = Path(__file__).parents[3]
#: Our kernel takes it at once, and of the server's it fills all that is free many times over.
LARGE = CONTENT + (b"x" * 70 + b"\r\n") * 2_000
TAKEN_AT_MOST = 4096
PATIENCE_SECONDS = 30


class SlowReader:
    """A server for one connection, by blocking calls: it reads when it is told to, and has hardly a place for more."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext | None, offers: bytes) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._context = context
        self._offers = offers
        self._socket: socket.socket | None = None
        self._unread = b""

    def until_the_body_comes(self) -> None:
        """Answer up to DATA, and then wait for the body without reading any of it."""
        self._socket, _ = self._listener.accept()
        self._socket.settimeout(PATIENCE_SECONDS)
        if self._context is not None:
            self._socket = self._context.wrap_socket(self._socket, server_side=True, suppress_ragged_eofs=False)
        self._say(b"220 slow")
        while self._answer() != b"DATA":
            pass
        select.select([self._socket], [], [], PATIENCE_SECONDS)

    def read_body(self) -> None:
        """Read the body, and take it."""
        while not self._unread.endswith(b"\r\n.\r\n"):
            self._unread += self._receive()
        self._unread = b""
        self._say(b"250 Ok")

    def until_the_end(self) -> tuple[bytes, Literal["closed", "reset"]]:
        """Read all that comes; return it, and how it ended."""
        read = self._unread
        try:
            while data := self._receive():
                read += data
        except (ConnectionResetError, ssl.SSLEOFError):  # beneath TLS a reset looks like any end without a goodbye
            return read, "reset"
        return read, "closed"

    def answer_quit(self) -> None:
        assert self._answer() == b"QUIT"

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _answer(self) -> bytes:
        """Read a command and answer it; return its verb."""
        while b"\r\n" not in self._unread:
            self._unread += self._receive()
        line, _, self._unread = self._unread.partition(b"\r\n")
        verb = line[:4].upper()
        answers = {b"EHLO": b"250-slow\r\n250 " + self._offers, b"DATA": b"354 Go on", b"QUIT": b"221 Bye"}
        self._say(answers.get(verb, b"250 Ok"))
        return verb

    def _say(self, line: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(line + b"\r\n")

    def _receive(self) -> bytes:
        assert self._socket is not None
        return self._socket.recv(TAKEN_AT_MOST)


@contextmanager
def slow_reader(*, tls: bool = False, offers: bytes = b"PIPELINING") -> Iterator[SlowReader]:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TAKEN_AT_MOST)  # and so of what it accepts
        listener.settimeout(PATIENCE_SECONDS)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = SlowReader(listener, context, offers)
        try:
            yield server
        finally:
            server.close()


@pytest.mark.parametrize("tls", ["none", "tls"])
@pytest.mark.parametrize("offers", [b"PIPELINING", b"8BITMIME"], ids=["pipelined", "one by one"])
@on_both_loops
async def test_of_an_email_that_is_aborted_nothing_leaves_afterwards(
    tls: Literal["none", "tls"], offers: bytes
) -> None:
    with slow_reader(tls=tls == "tls", offers=offers) as server:
        task = hand_over(transport(server, tls=tls, tls_context=trusting()), email(content=LARGE))
        await asyncio.to_thread(server.until_the_body_comes)
        task.cancel()
        outcome = await task
        assert outcome.verdict is Verdict.IN_DOUBT, "it was not with the kernel"
        for _ in range(5):
            await asyncio.sleep(0)  # the loop closes the socket in its next turn
        read, end = await asyncio.to_thread(server.until_the_end)
    assert end == "reset"
    assert len(read) < len(LARGE) / 2
    assert not read.endswith(b"\r\n.\r\n")


@pytest.mark.parametrize("answers", [True, False])
@on_both_loops
async def test_a_line_that_is_not_needed_any_more_is_quit_and_not_reset(answers: bool) -> None:
    with slow_reader() as server:
        way = transport(server)
        task = hand_over(way)
        await asyncio.to_thread(server.until_the_body_comes)
        await asyncio.to_thread(server.read_body)
        assert (await task).verdict is Verdict.SENT
        closing = asyncio.create_task(way.aclose())
        if answers:
            await asyncio.to_thread(server.answer_quit)
        read, end = await asyncio.to_thread(server.until_the_end)
        await closing
    assert (read, end) == (b"" if answers else b"QUIT\r\n", "closed")


def test_of_an_email_whose_process_is_killed_nothing_leaves_afterwards() -> None:
    with slow_reader() as server:
        process = subprocess.Popen([sys.executable, "-m", __name__, str(server.port)], cwd=ROOT)
        try:
            server.until_the_body_comes()
        finally:
            process.kill()
            process.wait()
        read, end = server.until_the_end()
    assert end == "reset"
    assert not read.endswith(b"\r\n.\r\n")


async def _hand_over_large(port: int) -> None:
    await SmtpTransport("127.0.0.1", port).hand_over(email(content=LARGE), Allow())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_hand_over_large(int(sys.argv[1])))
