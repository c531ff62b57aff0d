"""The next hop of a benchmark and of a test, and what Sendgate is measured by: Postfix's `smtp-sink` and `smtp-source`.

`smtp-source` sends one constant text as fast as C can: no database, no names, nobody to stop it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import child, plain_environment
from client.local.ports import HOST, free_port, is_free
from tests.smtp_log_server import SmtpLogServer

VARIABLE = "BENCH_POSTFIX"
HOW_TO_GET_THEM = (
    "Postfix's smtp-sink and smtp-source are missing; on Debian: apt-get download postfix &&"
    f" dpkg-deb -x postfix_*.deb postfix, then set {VARIABLE} to that folder."
)
#: Who `smtp-sink` becomes when it is started by root.
SINK_USER = "nobody"
_BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Postfix:
    """Where the two programs are."""

    sink_program: str
    source_program: str
    libraries: str | None  # the folder of their shared libraries, when the package is extracted and not installed

    @property
    def environment(self) -> dict[str, str]:
        return plain_environment() | ({"LD_LIBRARY_PATH": self.libraries} if self.libraries else {})

    def sink_command(self, port: int, options: Sequence[str] = ()) -> list[str]:
        identity = ["-u", SINK_USER] if os.geteuid() == 0 else []
        return [self.sink_program, *identity, *options, "-m", "1024", f"{HOST}:{port}", str(_BACKLOG)]

    async def send(self, port: int, *, emails: int, length: int, sessions: int, folder: Path) -> float:
        """Send so many emails of `length` bytes by `smtp-source` over connections that are kept; return the seconds."""
        command = [
            *(self.source_program, "-d", "-s", str(sessions), "-l", str(length), "-m", str(emails)),
            *("-f", "news@example.com", "-t", "reader@example.com", f"{HOST}:{port}"),
        ]
        began = time.perf_counter()
        with child(command, folder / "smtp-source.log", self.environment) as source:
            code = await asyncio.to_thread(source.process.wait)
            seconds = time.perf_counter() - began
        if code != 0:
            raise RuntimeError(f"smtp-source failed: {source.log.read_text(errors='replace').strip()}")
        return seconds


def find_postfix() -> Postfix | None:
    """Return the programs: in the folder that the variable names, else on the PATH; None when they are nowhere."""
    folder = os.environ.get(VARIABLE)
    path = f"{folder}/usr/sbin{os.pathsep}{folder}" if folder else f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
    sink, source = shutil.which("smtp-sink", path=path), shutil.which("smtp-source", path=path)
    if sink is None or source is None:
        return None
    libraries = Path(folder) / "usr/lib/postfix" if folder else None
    return Postfix(sink, source, str(libraries.absolute()) if libraries and libraries.is_dir() else None)


@contextmanager
def next_hop(postfix: Postfix | None, folder: Path) -> Iterator[tuple[int, int]]:
    """Run a next hop that takes everything; yields its port and its process. Without Postfix it is the tests' own."""
    if postfix is None:
        with SmtpLogServer(folder) as server:
            assert server.process is not None
            yield server.port, server.process.pid
        return
    with running_sink(postfix, folder) as found:
        yield found


@contextmanager
def running_sink(postfix: Postfix, folder: Path, options: Sequence[str] = ()) -> Iterator[tuple[int, int]]:
    """Run `smtp-sink` with more options, its log in the folder; yields its port and its process."""
    port = free_port()
    with child(postfix.sink_command(port, options), folder / f"smtp-sink-{port}.log", postfix.environment) as sink:
        deadline = time.monotonic() + 10
        while is_free(port):
            if sink.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"smtp-sink did not start: {sink.log.read_text(errors='replace').strip()}")
            time.sleep(0.02)
        yield port, sink.pid
