"""A next hop in the test's own process that answers what it is told to, also what no server should."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

#: Instead of a reply: close the connection, or say nothing.
CLOSE, SILENCE = "close", "silence"

_GOOD = {"EHLO": "250-canned\r\n250 PIPELINING", "RSET": "250 Ok", "MAIL": "250 Ok", "RCPT": "250 Ok"}
_GOOD |= {"DATA": "354 Go on", "body": "250 Ok: queued", "QUIT": "221 Bye"}


class Canned:
    """Answers by `answers`: verb, or `body` for what ends with the final dot → reply, CLOSE or SILENCE.

    Of several replies each is given once, and the last of them from then on. It reads a body after each 354 that it
    gives, whatever went before.
    """

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, str | list[str]] = dict(_GOOD)
        self.most_connections = 1000  # at once: 421 to those above
        self.packets: list[bytes] = []  # as they were read
        self.commands: list[str] = []
        self.bodies: list[bytes] = []  # with the final dot
        self.connections = 0  # that there have been
        self.writers: list[asyncio.StreamWriter] = []  # of those open now

    def answer(self, answers: Mapping[str, str | list[str]]) -> None:
        """Answer so from now on, and well to all else; forget what was seen."""
        self.answers = {**_GOOD, **answers}
        self.packets, self.commands, self.bodies = [], [], []

    def say(self, data: bytes) -> None:
        """Say something on every connection without having been asked."""
        for writer in self.writers:
            writer.write(data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            await self._converse(reader, writer)
        self.writers.remove(writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.writers) > self.most_connections:
            writer.write(b"421 4.7.0 Too many connections\r\n")
            return
        writer.write(b"220 canned\r\n")
        unread = b""
        amid_body = False
        while packet := await reader.read(1 << 20):
            self.packets.append(packet)
            unread += packet
            while b"\r\n.\r\n" in b"\r\n" + unread if amid_body else b"\r\n" in unread:
                if amid_body:
                    size = (b"\r\n" + unread).index(b"\r\n.\r\n") + 3
                    self.bodies.append(unread[:size])
                    unread, verb = unread[size:], "body"
                else:
                    line, _, unread = unread.partition(b"\r\n")
                    verb = line[:4].decode().upper()
                    self.commands.append(verb)
                answer = self.answers.get(verb, "500 What?")
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                if answer == CLOSE:
                    return
                if answer != SILENCE:
                    writer.write(answer.encode() + b"\r\n")
                amid_body = verb == "DATA" and answer.startswith("354")


@asynccontextmanager
async def canned() -> AsyncIterator[Canned]:
    made = Canned()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made.writers:
            writer.transport.abort()
        await server.wait_closed()
