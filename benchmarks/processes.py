"""The processes that a benchmark starts, what they cost, and their end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
_LOOK_EVERY_SECONDS = 0.02
_GRACE_SECONDS = 20.0


class Child:
    """A process in a session of its own: a Ctrl-C at the terminal reaches it only through us."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                list(command),
                cwd=ROOT,
                env=dict(environment) if environment is not None else plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def resident(self) -> int:
        """Return the bytes of memory it holds now."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def most_resident(self) -> int:
        """Return the most bytes of memory it has ever held (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])

    async def until_said(self, words: str, within: float = 30.0) -> None:
        """Wait until its log holds `words`. Raises RuntimeError with the log's last line when it ends before."""
        deadline = time.monotonic() + within
        while words not in (said := self.log.read_text(errors="replace")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.log.name}: {(said.strip().splitlines() or ['it said nothing'])[-1]}")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def end(self) -> None:
        """Ask it to end and wait; kill it, with all that it started, when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def child(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Run a process for as long as the context lasts."""
    started = Child(command, log, environment)
    try:
        yield started
    finally:
        started.end()


def plain_environment() -> dict[str, str]:
    """Return our environment without what would point a part at another system."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SENDGATE_", "TEMPORAL_"))}


def python_module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def cpu_seconds(pid: int) -> float:
    """Return the seconds of CPU of a process, of the children it has, and of those it had."""
    process = psutil.Process(pid)
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += float(times.user + times.system + times.children_user + times.children_system)
    return total


class CpuMeter:
    """What each part has cost since the meter was made."""

    def __init__(self, parts: Mapping[str, int]) -> None:
        """`parts`: name → process."""
        self._parts = dict(parts)
        self._began = {name: cpu_seconds(pid) for name, pid in self._parts.items()}

    def seconds(self) -> dict[str, float]:
        """Return the seconds of CPU of each part."""
        return {name: cpu_seconds(pid) - self._began[name] for name, pid in self._parts.items()}
