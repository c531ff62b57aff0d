"""The tests' own SMTP server, in a process of its own: it logs each email it accepts and obeys a script.

`python -m tests.smtp_log_process --log FILE --port-file FILE [--delay-ms D]` runs it; `tests.smtp_log_server` does it
for a test.

The log gets one line an accepted recipient, written with one `os.write` when the final dot is read, before the
reply and before any delay: unix time (microseconds), envelope recipient, Message-ID, sha1 of the content
(dot-stuffing undone), subject as sent; separated by tabs. So a killed server loses no line, and the log, not our
ledger, is the judge.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import signal
import ssl
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path

import uvloop


@dataclass
class Script:
    """What the server does; every field can be changed while it runs by `SmtpLogServer.set`."""

    delay_ms: float = 0.0  # before each reply to MAIL, RCPT, DATA and the final dot, one reply after the other
    #: Refusals: {"at": ehlo|mail|rcpt|data|dot|rset, "pattern": regex, "reply": …}; it is found in the recipient,
    #: at mail in the sender.
    refuse: list[dict[str, str]] = dataclasses.field(default_factory=list)
    #: Cut the connection, without a reply, when this is read: connect, mail, rcpt, data, dot (which accepts and logs),
    #: or `body`: after the reply 354, before the final dot was read.
    drop: str = ""
    drop_after_bytes: int = 0  # cut each connection when it has read so many, whatever they are; 0: never
    die_at_dot: bool = False  # accept and log, and then the process is gone, without a reply
    greeting: str = "220 log.test ESMTP"
    listening: bool = True  # False: new connections are refused by the kernel
    stop_reading: bool = False  # after 354: take no more bytes
    #: What EHLO offers. STARTTLS and AUTH PLAIN (user `us`, password `right`) then work too.
    offers: list[str] = dataclasses.field(
        default_factory=lambda: ["PIPELINING", "SMTPUTF8", "8BITMIME", "SIZE 33554432"]
    )
    tls: bool = False  # from the first byte
    #: STARTTLS, AUTH, or both, to be done before MAIL: else it is refused by 530.
    demands: list[str] = dataclasses.field(default_factory=list)
    reply_bytes: int = 0  # write replies in pieces of so many bytes, wherever that cuts them; 0: as they are
    loses_pipelined: bool = False  # throw away what follows a command in the same packet
    takes_data_always: bool = False  # answer DATA with 354 even if every RCPT was refused
    #: 421 to every k-th connection or MAIL, counted over all connections; 0: never
    busy_every_connection: int = 0
    busy_every_mail: int = 0
    most_connections: int = 0  # at once: 421 to those above; 0: any number
    most_emails: int = 0  # on one connection: 421 to the MAIL after them; 0: any number


_CERTIFICATE = Path(__file__).parent / "certificates" / "localhost.pem"
_RIGHT = base64.b64encode(b"\0us\0right")
_MESSAGE_ID = re.compile(rb"^message-id:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)
_SUBJECT = re.compile(rb"^subject:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)
_BREAKS = re.compile(rb"[\r\n\t]+[ \t]*")
_PATH = re.compile(rb"[^<]*<(.*)>")


class _Server:
    """The script, the log and the open connections."""

    def __init__(self, log: Path) -> None:
        self.script = Script()
        self.seen: Counter[str] = Counter()
        self.connections: set[_Connection] = set()
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.port = 0
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(_CERTIFICATE)
        self._listener: asyncio.Server | None = None
        self._listens_with_tls = False

    async def listen(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Connection(self),
            "127.0.0.1",
            port,
            backlog=1024,
            reuse_address=True,
            ssl=self.tls if self.script.tls else None,
        )
        self._listens_with_tls = self.script.tls
        self.port = int(self._listener.sockets[0].getsockname()[1])

    async def obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one control connection: a line of JSON changes the script, the answer tells what was seen."""
        while line := await reader.readline():
            request = json.loads(line)
            reset = request.pop("reset", False)
            if request.pop("drop_connections", False) or reset:
                for connection in list(self.connections):
                    connection.transport.abort()
            if reset:
                os.ftruncate(self.log, 0)
                self.script, self.seen, self.connections = Script(), Counter(), set()
            self.script = dataclasses.replace(self.script, **request)
            wanted = self.script.listening and self._listens_with_tls == self.script.tls
            if self._listener is not None and not wanted:
                self._listener.close()
                self._listener = None
            if self._listener is None and self.script.listening:
                await self.listen(self.port)
            writer.write(json.dumps({**self.seen, "open": len(self.connections)}).encode() + b"\n")
        writer.close()

    def refusal(self, at: str, subject: bytes) -> bytes | None:
        for rule in self.script.refuse:
            if rule["at"] == at and re.search(rule["pattern"], subject.decode("utf-8", "replace")):
                return rule["reply"].encode()
        return None


class _Connection(asyncio.Protocol):
    """One SMTP session (RFC 5321, PIPELINING). Input is acted on at once; only replies wait for the delay."""

    transport: asyncio.Transport

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._seen = server.seen  # after a reset, that of before: what an old connection does counts no more
        self._loop = asyncio.get_running_loop()
        self._input = bytearray()
        self._read = 0  # bytes
        self._replies: deque[bytes] = deque()
        self._next_reply_at = 0.0
        self._output = bytearray()  # waits to be written in pieces
        self._closes = False  # when that is written
        self._in_data = False
        self._upgrade: asyncio.Task[None] | None = None
        self._done: set[str] = set()  # of STARTTLS and AUTH
        self._sender: bytes | None = None
        self._recipients: list[bytes] = []
        self._emails = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP transport, which writes
        self._seen["connect"] += 1
        self._server.connections.add(self)
        script = self._server.script
        greeting = script.greeting.encode()
        if _is_turn(script.busy_every_connection, self._seen["connect"]) or (
            0 < script.most_connections < len(self._server.connections)
        ):
            greeting = b"421 4.7.0 Too many connections"
        if self._dropped("connect"):
            return
        self._write(greeting + b"\r\n")
        if not greeting.startswith(b"220"):
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen["lost"] += 1
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._seen["packet"] += 1
        most = self._server.script.drop_after_bytes
        self._input += data[: max(0, most - self._read)] if most else data
        self._read += len(data)
        self._act()
        if 0 < most <= self._read:
            self.transport.abort()

    def _act(self) -> None:
        while not (self._closes or self.transport.is_closing() or self._upgrade):
            if self._in_data:
                # The dot may be the very first line: an email without content.
                end = 0 if self._input.startswith(b".\r\n") else self._input.find(b"\r\n.\r\n") + 2
                if end == 1:
                    return
                content = bytes(self._input[:end])
                del self._input[: end + 3]
                self._in_data = False
                self._final_dot(content)
            else:
                end = self._input.find(b"\r\n")
                if end < 0:
                    return
                line = bytes(self._input[:end])
                del self._input[: end + 2]
                if self._server.script.loses_pipelined:
                    self._input.clear()
                self._command(line)

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper().decode("ascii", "replace")
        self._seen[verb] += 1
        if verb in ("MAIL", "RCPT", "DATA"):
            if not self._dropped(verb.lower()):
                getattr(self, f"_{verb.lower()}")(line)
        elif verb in ("EHLO", "RSET") and (refusal := self._server.refusal(verb.lower(), b"")):
            self._reply(refusal)
        elif verb == "EHLO":
            lines = ["log.test", *self._server.script.offers]
            self._write("".join(f"250-{line}\r\n" for line in lines[:-1]).encode() + f"250 {lines[-1]}\r\n".encode())
        elif verb == "QUIT":
            self._write(b"221 2.0.0 Bye\r\n")
            self._close()
        elif verb in ("RSET", "NOOP", "HELO"):
            self._sender, self._recipients = None, []
            self._write(b"250 2.0.0 Ok\r\n")
        elif verb == "STAR" and "STARTTLS" in self._server.script.offers:
            self._write(b"220 2.0.0 Go on\r\n")
            self._upgrade = asyncio.create_task(self._start_tls())
        elif verb == "AUTH" and "AUTH PLAIN" in self._server.script.offers:
            right = line == b"AUTH PLAIN " + _RIGHT
            self._done |= {"AUTH"} if right else set()
            self._write(b"235 2.7.0 Ok\r\n" if right else b"535 5.7.8 Wrong\r\n")
        else:
            self._write(b"500 5.5.1 What?\r\n")

    async def _start_tls(self) -> None:
        try:
            secured = await self._loop.start_tls(self.transport, self, self._server.tls, server_side=True)
        except OSError:
            return  # the client has thought better of it
        assert secured is not None
        self.transport, self._upgrade = secured, None
        self._done.add("STARTTLS")

    def _mail(self, line: bytes) -> None:
        path = _PATH.match(line)
        sender = path[1] if path else b""
        script = self._server.script
        if self._sender is not None:
            self._reply(b"503 5.5.1 Nested MAIL")
        elif missing := [what for what in script.demands if what not in self._done]:
            self._reply(f"530 5.7.0 {missing[0]} first".encode())
        elif _is_turn(script.busy_every_mail, self._seen["MAIL"]) or 0 < script.most_emails <= self._emails:
            self._reply(b"421 4.7.0 Enough for now")
        elif refusal := self._server.refusal("mail", sender):
            self._reply(refusal)
        else:
            self._sender = sender
            self._reply(b"250 2.1.0 Ok")

    def _rcpt(self, line: bytes) -> None:
        path = _PATH.match(line)
        recipient = path[1] if path else b""
        if self._sender is None:
            self._reply(b"503 5.5.1 MAIL first")
        elif refusal := self._server.refusal("rcpt", recipient):
            self._reply(refusal)
        else:
            self._recipients.append(recipient)
            self._reply(b"250 2.1.5 Ok")

    def _data(self, line: bytes) -> None:
        if not self._recipients and not self._server.script.takes_data_always:
            self._reply(b"554 5.5.1 No valid recipients")
        elif refusal := self._server.refusal("data", b"".join(self._recipients[:1])):
            self._reply(refusal)
        else:
            self._in_data = True
            self._reply(b"354 Go on")

    def _final_dot(self, content: bytes) -> None:
        now = time.time()
        self._seen["dot"] += 1
        recipients, self._sender, self._recipients = self._recipients, None, []
        if not recipients:
            self._seen["body for nobody" if content else "lone dot"] += 1
            self._reply(self._server.refusal("dot", b"") or b"250 2.0.0 Ok")
            return
        self._emails += 1
        if refusal := self._server.refusal("dot", recipients[0]):
            self._reply(refusal)
            return
        if content.startswith(b".."):
            content = content[1:]
        content = content.replace(b"\r\n..", b"\r\n.")
        head = content[: content.find(b"\r\n\r\n") + 2]
        values = [_BREAKS.sub(b" ", match[1]) if (match := p.search(head)) else b"" for p in (_MESSAGE_ID, _SUBJECT)]
        tail = b"\t".join((values[0], hashlib.sha1(content).hexdigest().encode(), values[1]))
        lines = b"".join(b"%.6f\t%s\t%s\n" % (now, recipient, tail) for recipient in recipients)
        os.write(self._server.log, lines)
        if self._server.script.die_at_dot:
            os._exit(1)
        if not self._dropped("dot"):
            self._reply(b"250 2.0.0 Ok: queued")

    def _dropped(self, at: str) -> bool:
        if self._server.script.drop == at:
            self.transport.abort()
        return self._server.script.drop == at

    def _reply(self, reply: bytes) -> None:
        self._replies.append(reply)
        now = self._loop.time()
        if self._server.script.delay_ms > 0:
            self._next_reply_at = max(self._next_reply_at, now) + self._server.script.delay_ms / 1000
            self._loop.call_at(self._next_reply_at, self._write_next)
        elif len(self._replies) == 1:
            self._write_next()
        else:  # behind one that was delayed, before the delay was taken away
            self._loop.call_later(0.001, self._write_next)

    def _write_next(self) -> None:
        """Write the oldest reply: their order holds whatever the delay becomes."""
        reply = self._replies.popleft()
        if self.transport.is_closing():
            return
        self._write(reply + b"\r\n")
        if reply.startswith(b"421"):
            self._close()
        elif reply.startswith(b"354"):
            if self._server.script.stop_reading:
                self.transport.pause_reading()
            if self._server.script.drop == "body":
                self._close()

    def _write(self, data: bytes) -> None:
        if self._server.script.reply_bytes:
            self._output += data
            if len(self._output) == len(data):
                self._write_piece()
        else:
            self.transport.write(data)

    def _write_piece(self) -> None:
        """Write the first piece of the output, and the rest later: never two in one packet."""
        size = self._server.script.reply_bytes or len(self._output)  # all, when it is told to be well again meanwhile
        self.transport.write(bytes(self._output[:size]))
        del self._output[:size]
        if self._output:
            self._loop.call_later(0.0005, self._write_piece)
        elif self._closes:
            self.transport.close()

    def _close(self) -> None:
        if self._output:
            self._closes = True
        else:
            self.transport.close()


def _is_turn(every: int, count: int) -> bool:
    return every > 0 and count % every == 0


async def _serve(arguments: argparse.Namespace) -> None:
    server = _Server(arguments.log)
    server.script.delay_ms = arguments.delay_ms
    await server.listen(arguments.port)
    control = await asyncio.start_server(server.obey, "127.0.0.1", 0)
    ports = f"{server.port} {control.sockets[0].getsockname()[1]}\n"
    if arguments.port_file:
        unfinished = arguments.port_file.with_suffix(".new")
        unfinished.write_text(ports)
        unfinished.rename(arguments.port_file)
    print(ports, end="", flush=True)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    if arguments.until_eof:
        loop.add_reader(sys.stdin.fileno(), over.set)
    await over.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="An SMTP server that logs what it accepts.")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--port-file", type=Path, help="gets the SMTP port and the control port once it listens")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
