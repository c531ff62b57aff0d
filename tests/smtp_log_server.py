"""The tests' own SMTP server as a test sees it: started, told what to do, and its log read."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.smtp_log_process import Script


@dataclass(frozen=True, slots=True)
class Accepted:
    """One line of the log. `at` is unix time in seconds."""

    at: float
    recipient: str
    message_id: str
    sha1: str
    subject: str


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
                *(sys.executable, "-m", "tests.smtp_log_process"),
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
        """How often each happened: connect, lost, packet, MAIL, RCPT, DATA, dot, …; `open`: connections now."""
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


@pytest.fixture(scope="module")
def shared_smtp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpLogServer]:
    """One process for a whole file, whose tests reset it."""
    with SmtpLogServer(tmp_path_factory.mktemp("smtp")) as server:
        yield server
