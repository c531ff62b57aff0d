"""`DIR/processes.json`: the processes that a stack started, so that the next `up` ends what a killed one left.

A process counts as ours only while its id and its time of creation are both those written down; an id that the
system has given to another process since is left alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from client.local.postgres import CannotRun
from client.local.stack_file import write_privately

#: The same process may seem to have been created up to this much earlier or later when the clock was put right.
_CLOCK_TOLERANCE_SECONDS = 2.0
_LOOK_EVERY_SECONDS = 0.02


class StartedProcess(BaseModel):
    """One process of the stack, and how it likes to be ended."""

    model_config = ConfigDict(frozen=True)

    part: str
    pid: int
    created_at: float  # seconds since the epoch, as psutil tells them
    stop_signal: int
    grace_seconds: float

    def find(self) -> psutil.Process | None:
        """Return the process if it still runs and is the one that was written down."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created_at) < _CLOCK_TOLERANCE_SECONDS
            # Where nobody collects the dead, a process that has ended stays in the table.
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


_FILE_FORMAT = TypeAdapter(list[StartedProcess])


class ProcessFile:
    """The file of one data folder; only the holder of the folder's lock writes it."""

    def __init__(self, data: Path) -> None:
        self._file = data / "processes.json"
        self._processes = self._read()

    @property
    def pids(self) -> dict[str, int]:
        """Part → process."""
        return {process.part: process.pid for process in self._processes}

    def add(self, part: str, pid: int, *, stop_signal: int, grace_seconds: float) -> None:
        """Write down a process of ours, in place of the part's last one."""
        started = StartedProcess(
            part=part,
            pid=pid,
            created_at=psutil.Process(pid).create_time(),
            stop_signal=stop_signal,
            grace_seconds=grace_seconds,
        )
        self._write([*(other for other in self._processes if other.part != part), started])

    def remove(self, part: str) -> None:
        """Note that the part's process is gone. A note that cannot be written is harmless, and stops no stopping."""
        with suppress(OSError):  # the disk is full, or somebody deleted the folder under a running stack
            self._write([other for other in self._processes if other.part != part])

    async def end_leftovers(self) -> list[str]:
        """End what an earlier run left, the latest started first, and return the parts that were still running.

        Safe to repeat: a crash in the middle leaves the rest written down. Raises CannotRun when a process belongs
        to another user.
        """
        ended: list[str] = []
        for process in reversed(self._processes):
            if process.find() is not None:
                await _end(process)
                ended.append(process.part)
            self.remove(process.part)
        return ended

    def _read(self) -> list[StartedProcess]:
        try:
            return _FILE_FORMAT.validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return []
        except ValidationError as error:
            raise CannotRun(
                f"{self._file} is damaged; end the stack's processes by hand if any are left, and delete the file."
            ) from error

    def _write(self, processes: list[StartedProcess]) -> None:
        self._processes = processes
        if processes:
            write_privately(self._file, _FILE_FORMAT.dump_json(processes, indent=2).decode() + "\n")
        else:
            self._file.unlink(missing_ok=True)


async def _end(process: StartedProcess) -> None:
    """Ask the process to end, and kill it with all that it started if it does not."""
    found = process.find()
    if found is None:
        return
    try:
        family = [found, *found.children(recursive=True)]
        found.send_signal(process.stop_signal)
        if await _gone(process, process.grace_seconds):
            return
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        if not await _gone(process, 10.0):
            raise CannotRun(f"The process {process.pid} ({process.part}) of an earlier run cannot be ended.")
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise CannotRun(
            f"An earlier run left the process {process.pid} ({process.part}), and it belongs to another user; "
            "end it, or run as the user who started it."
        ) from None


async def _gone(process: StartedProcess, within_seconds: float) -> bool:
    deadline = time.monotonic() + within_seconds
    while process.find() is not None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
    return True


def listens_on(pid: int, ports: tuple[int, ...]) -> bool:
    """Whether this very process listens on all of `ports`: a stranger's server there does not count."""
    if not ports:
        return True
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return set(ports) <= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}


def kill_session(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a child that leads a session of its own, and to all that are in its group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
