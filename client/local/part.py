"""One part of the stack: a program that is started, watched, started again when it dies, and stopped."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from client.local.postgres import CannotRun, ProcessUser
from client.local.processes import ProcessFile, kill_session, listens_on

_READY_WITHIN_SECONDS = 60.0  # PostgreSQL's crash recovery may take a while
_LOOK_EVERY_SECONDS = 0.02
_FIRST_BACK_OFF_SECONDS = 0.5
_LONGEST_BACK_OFF_SECONDS = 10.0
_SOUND_AFTER_SECONDS = 60.0  # a life this long resets the back-off
_KILLED_WITHIN_SECONDS = 5.0
_LOG_BYTES = 20 * 1024 * 1024
_LAST_WORDS_BYTES = 16 * 1024
#: Waits for a line before it becomes the program, so that a process which is not written down yet does nothing, and
#: ends by itself when we are killed in between.
_WAIT_FOR_THE_WORD = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sendgate-part")

Say = Callable[[str], None]


async def _always() -> bool:
    return True


@dataclass(frozen=True)
class Program:
    """What runs as a part, and how it is spoken to."""

    name: str  # as people call it: "Temporal"
    key: str  # as files call it: "temporal"
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path  # its working directory
    log: Path
    ports: tuple[int, ...] = ()  # it is not ready before it listens on all of them
    answers: Callable[[], Awaitable[bool]] = _always  # asked until true, once it listens
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0  # between the stop signal and the hurry signal
    hurry_signal: signal.Signals = signal.SIGKILL
    user: ProcessUser = field(default_factory=ProcessUser)


class DidNotStart(CannotRun):
    """A part ended, or did not answer in time, when it was started."""


class Part:
    """A program under supervision. Its process leads a session of its own: a Ctrl-C at the terminal is not for it."""

    def __init__(self, program: Program, processes: ProcessFile) -> None:
        self.program = program
        self._processes = processes
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = 0.0  # monotonic clock
        self._log_offset = 0  # where this life's output begins

    async def start(self) -> None:
        """Start the program and return when it is ready. Raises DidNotStart; no process is left then."""
        try:
            process = await self._spawn()
        except OSError as error:
            raise DidNotStart(f"{self.program.name} cannot be started: {error.strerror}.") from error
        try:
            await self._wait_until_ready(process)
        except DidNotStart:
            await self._end(process)
            self._processes.remove(self.program.key)
            raise

    async def keep_running(self, say: Say, on_restart: Callable[[], object]) -> None:
        """Start the program again whenever it ends, until canceled. Never gives up: the cause may go away."""
        back_off = _FIRST_BACK_OFF_SECONDS
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if time.monotonic() - self._started_at > _SOUND_AFTER_SECONDS:
                back_off = _FIRST_BACK_OFF_SECONDS
            say(f"{self.program.name} {_how_it_ended(code)}; starting it again in {back_off:g} s ({self.program.log}).")
            while True:
                await asyncio.sleep(back_off)
                back_off = min(back_off * 2, _LONGEST_BACK_OFF_SECONDS)
                try:
                    await self.start()
                    break
                except DidNotStart as error:
                    say(f"{error.message} Trying again in {back_off:g} s.")
            say(f"{self.program.name} runs again.")
            on_restart()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ask the program to end and wait for it; harder once `hurry` is set or its grace is over."""
        process = self._process
        if process is not None and process.returncode is None:
            if not hurry.is_set():
                with suppress(ProcessLookupError):
                    process.send_signal(self.program.stop_signal)
                await _first_of(process.wait(), hurry.wait(), within=self.program.grace_seconds)
            await self._end(process)
        self._processes.remove(self.program.key)

    async def _spawn(self) -> asyncio.subprocess.Process:
        program = self.program
        self._log_offset = _rotate(program.log)
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *_WAIT_FOR_THE_WORD,
                *program.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=program.directory,
                env=dict(program.environment),
                start_new_session=True,
                umask=0o077,
                **program.user,
            )
        # No await from here to the end: whoever cancels us finds the process written down.
        self._process, self._started_at = process, time.monotonic()
        self._processes.add(
            program.key, process.pid, stop_signal=program.stop_signal, grace_seconds=program.grace_seconds
        )
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
        return process

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        while process.returncode is None:
            if listens_on(process.pid, self.program.ports) and await self.program.answers():
                return
            if time.monotonic() > deadline:
                raise DidNotStart(
                    f"{self.program.name} does not answer after {_READY_WITHIN_SECONDS:g} s (log: {self.program.log})."
                )
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        raise DidNotStart(f"{self.program.name} did not start: {self._last_words()} (log: {self.program.log}).")

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        for number in (self.program.hurry_signal, signal.SIGKILL):
            if process.returncode is None:
                kill_session(process.pid, number)
                await _first_of(process.wait(), within=_KILLED_WITHIN_SECONDS)

    def _last_words(self) -> str:
        """Return what the program said of its end: its last line that speaks of an error, else its last line."""
        with self.program.log.open("rb") as log:
            log.seek(max(self._log_offset, self.program.log.stat().st_size - _LAST_WORDS_BYTES))
            lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
        return (errors or lines or ["it said nothing"])[-1].rstrip(".")


def _rotate(log: Path) -> int:
    """Put a log that has grown too long aside (one is kept), and return the size of the one to go on with."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= _LOG_BYTES:
        return size
    log.replace(log.with_name(f"{log.name}.1"))
    return 0


async def _first_of(*waits: Awaitable[object], within: float) -> None:
    """Return when one of `waits` is over, or after `within` seconds."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}"
