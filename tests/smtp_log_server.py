"""The tests' own SMTP server: a process of its own that logs each email it accepts and obeys a script.

`python -m tests.smtp_log_server --log FILE --port-file FILE [--delay-ms D]` runs it; `SmtpLogServer` does it for
a test.

The log gets one line an accepted recipient, written with one `os.write` when the final dot is read, before the
reply and before any delay: unix time (microseconds), envelope recipient, Message-ID, sha1 of the content
(dot-stuffing undone), subject as sent; separated by tabs. So a killed server loses no line, and the log, not our
ledger, is the judge.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

# ---------------------------------------------------------------------------------------------------- for the tests


@dataclass(frozen=True, slots=True)
class Accepted:
    """One line of the log. `at` is unix time in seconds."""

    at: float
    recipient: str
    message_id: str
    sha1: str
    subject: str


@dataclass
class Script:
    """What the server does; every field can be changed while it runs by `SmtpLogServer.set`."""

    delay_ms: float = 0.0  # before each reply to MAIL, RCPT, DATA and the final dot
    #: Refusals: {"at": mail|rcpt|data|dot|rset, "pattern": regex found in the recipient (mail: sender), "reply": …}
    refuse: list[dict[str, str]] = dataclasses.field(default_factory=list)
    #: Cut the connection, without a reply, when this is read: connect, mail, rcpt, data, dot (which accepts and logs),
    #: or `body`: after the reply 354, before the final dot was read.
    drop: str = ""
    greeting: str = "220 log.test ESMTP"
    listening: bool = True  # False: new connections are refused by the kernel
    stop_reading: bool = False  # after 354: take no more bytes
    smtputf8: bool = True


class SmtpLogServer:
    """The server as a child process on a free port of 127.0.0.1; a context manager."""

    host = "127.0.0.1"

    def __init__(self, directory: Path, *, log: Path | None = None, **script: Any) -> None:
        self.log = log or directory / f"smtp-{os.urandom(4).hex()}.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._script = script

    def start(self) -> SmtpLogServer:
        """Start the server, on the port it had before if it is started again; it takes connections on return."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.smtp_log_server"),
                *("--log", str(self.log), "--port", str(self.port), "--until-eof"),
            ],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,  # its end tells the server that the tests are gone, however they ended
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        if len(line) != 2:
            raise AssertionError("the SMTP log server did not start")
        self.port = int(line[0])
        self._control = socket.create_connection((self.host, int(line[1])), timeout=10)
        if self._script:
            self.set(**self._script)
        return self

    def stop(self) -> None:
        """Kill the server; the log stays."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None

    def set(self, **script: Any) -> None:
        """Change fields of the Script; in force on return."""
        unknown = set(script) - {field.name for field in dataclasses.fields(Script)}
        if unknown:
            raise TypeError(f"the script has no {', '.join(sorted(unknown))}")
        self._ask(script)

    def refuse(self, pattern: str, reply: str, *, at: str = "rcpt") -> None:
        """Refuse whom the regular expression `pattern` is found in, instead of any refusal before."""
        self.set(refuse=[{"at": at, "pattern": pattern, "reply": reply}])

    def drop_connections(self) -> None:
        """Cut every connection that is open now."""
        self._ask({"drop_connections": True})

    def reset(self) -> None:
        """Be as if newly started, on the same port: no connection, an empty log, nothing seen, the first script."""
        self._ask({"reset": True, **self._script})

    def seen(self) -> Counter[str]:
        """How often each happened: connect, lost, MAIL, RCPT, DATA, dot, RSET, QUIT …; `open`: connections now."""
        return Counter(self._ask({}))

    def accepted(self) -> list[Accepted]:
        """Every email accepted so far, in order."""
        if not self.log.exists():
            return []
        complete = self.log.read_text(encoding="utf-8", errors="surrogateescape").rpartition("\n")[0]
        rows = (line.split("\t") for line in complete.split("\n") if line)
        return [Accepted(float(at), recipient, mid, sha1, subject) for at, recipient, mid, sha1, subject in rows]

    def _ask(self, request: dict[str, Any]) -> dict[str, int]:
        assert self._control is not None, "the server is not started"
        self._control.sendall(json.dumps(request).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            piece = self._control.recv(65536)
            if not piece:
                raise AssertionError("the SMTP log server has gone")
            answer += piece
        return dict(json.loads(answer))

    def __enter__(self) -> SmtpLogServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.fixture
def smtp_server(tmp_path: Path) -> Iterator[SmtpLogServer]:
    """A server of the test's own that accepts everything until told otherwise."""
    with SmtpLogServer(tmp_path) as server:
        yield server


# ------------------------------------------------------------------------------------------------------- the server

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
        self._listener: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", port, backlog=1024, reuse_address=True
        )
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
            if self._listener is not None and not self.script.listening:
                self._listener.close()
                self._listener = None
            elif self._listener is None and self.script.listening:
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
        self._replies: deque[bytes] = deque()
        self._in_data = False
        self._sender: bytes | None = None
        self._recipients: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP transport, which writes
        self._seen["connect"] += 1
        self._server.connections.add(self)
        if self._dropped("connect"):
            return
        greeting = self._server.script.greeting.encode()
        self.transport.write(greeting + b"\r\n")
        if not greeting.startswith(b"220"):
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen["lost"] += 1
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._input += data
        while not self.transport.is_closing():
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
                self._command(line)

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper().decode("ascii", "replace")
        self._seen[verb] += 1
        if verb in ("MAIL", "RCPT", "DATA"):
            if not self._dropped(verb.lower()):
                getattr(self, f"_{verb.lower()}")(line)
        elif verb == "EHLO":
            utf8 = b"250-SMTPUTF8\r\n" if self._server.script.smtputf8 else b""
            self.transport.write(
                b"250-log.test\r\n250-PIPELINING\r\n" + utf8 + b"250-8BITMIME\r\n250 SIZE 33554432\r\n"
            )
        elif verb == "QUIT":
            self.transport.write(b"221 2.0.0 Bye\r\n")
            self.transport.close()
        elif verb == "RSET" and (refusal := self._server.refusal("rset", b"")):
            self._reply(refusal)
        elif verb in ("RSET", "NOOP", "HELO"):
            self._sender, self._recipients = None, []
            self.transport.write(b"250 2.0.0 Ok\r\n")
        else:
            self.transport.write(b"500 5.5.1 What?\r\n")

    def _mail(self, line: bytes) -> None:
        path = _PATH.match(line)
        sender = path[1] if path else b""
        if self._sender is not None:
            self._reply(b"503 5.5.1 Nested MAIL")
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
        if not self._recipients:
            self._reply(b"554 5.5.1 No valid recipients")
        elif refusal := self._server.refusal("data", self._recipients[0]):
            self._reply(refusal)
        else:
            self._in_data = True
            self._reply(b"354 Go on")

    def _final_dot(self, content: bytes) -> None:
        now = time.time()
        self._seen["dot"] += 1
        recipients, self._sender, self._recipients = self._recipients, None, []
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
        if not self._dropped("dot"):
            self._reply(b"250 2.0.0 Ok: queued")

    def _dropped(self, at: str) -> bool:
        if self._server.script.drop == at:
            self.transport.abort()
        return self._server.script.drop == at

    def _reply(self, reply: bytes) -> None:
        self._replies.append(reply)
        if self._server.script.delay_ms > 0:
            self._loop.call_later(self._server.script.delay_ms / 1000, self._write_next)
        elif len(self._replies) == 1:
            self._write_next()
        else:  # behind one that was delayed, before the delay was taken away
            self._loop.call_later(0.001, self._write_next)

    def _write_next(self) -> None:
        """Write the oldest reply: their order holds whatever the delay becomes."""
        reply = self._replies.popleft()
        if self.transport.is_closing():
            return
        self.transport.write(reply + b"\r\n")
        if reply.startswith(b"421"):
            self.transport.close()
        elif reply.startswith(b"354"):
            if self._server.script.stop_reading:
                self.transport.pause_reading()
            if self._server.script.drop == "body":
                self.transport.close()


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
