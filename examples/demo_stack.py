"""The demo's own local stack: `sendgate up` as a process, in a temporary folder, on whatever ports are free."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from client.local.postgres import temporary_directory
from client.local.stack_file import DATA_VARIABLE, Stack, read_stack
from models.errors import Unreachable

ROOT = Path(__file__).parent.parent
#: One email at a time: about 500 a second, so that there is a middle of the send to pause in.
_UNHURRIED = {"SENDGATE_LANES": "1", "SENDGATE_SMTP_CONNECTIONS": "1"}
_READY_WITHIN_SECONDS = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackDidNotStart(Unreachable):
    """`sendgate up` ended, or was not ready in time; the sentence is its own last one."""


def take_signals() -> None:
    """Let SIGTERM and a terminal that goes away end the demo as Ctrl-C does: by KeyboardInterrupt, so cleanly."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup it stays ignored
            signal.signal(number, signal.default_int_handler)


def forget_other_servers() -> None:
    """Take every address of another system out of this process's environment: the demo mails to nobody real."""
    for name in [name for name in os.environ if name.startswith(("SENDGATE_", "TEMPORAL_"))]:
        if name != "SENDGATE_TEMPORAL_CLI":  # a program to run, not a server
            del os.environ[name]


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start a stack, and stop it at the end, however that comes; commands of this process find it by themselves.

    Raises StackDidNotStart; then its folder stays for the sake of its logs, else it is removed.
    """
    with ExitStack() as at_the_end:
        logs = at_the_end.enter_context(ExitStack())
        with held_back():  # a Ctrl-C just here would leave a folder or a process that nobody knows
            folder = temporary_directory("sendgate-demo-")
            logs.callback(shutil.rmtree, folder, ignore_errors=True)
            data, log = folder / "stack", folder / "up.log"
            process = _start(data, log)
            at_the_end.callback(_stop, process)
        try:
            stack = _wait_until_ready(process, data, log)
        except StackDidNotStart:
            logs.pop_all()
            raise
        os.environ[DATA_VARIABLE] = str(data)
        at_the_end.callback(os.environ.pop, DATA_VARIABLE, None)
        yield stack


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let the signals that end the demo do something else for a while; what is ignored stays so."""
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def held_back() -> Iterator[None]:
    """Let the signals that end the demo wait until the end of this; what came meanwhile is heeded there."""
    came: list[int] = []
    with handled_by(lambda number, _: came.append(number)):
        yield
    for number in came[:1]:
        signal.raise_signal(number)


def _start(data: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "client", "up", "--data", str(data)],
            cwd=ROOT,
            env=dict(os.environ) | _UNHURRIED,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C at the terminal is for us, who stop it in order
        )


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path, log: Path) -> Stack:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while process.poll() is None:
        with suppress(Unreachable):
            stack = read_stack(data)
            assert stack is not None  # a folder that is named has a stack, or else it is Unreachable
            return stack
        if time.monotonic() > deadline:
            raise StackDidNotStart(f"The local stack is not ready after {_READY_WITHIN_SECONDS:g} s (log: {log}).")
        time.sleep(0.05)
    last_words = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    raise StackDidNotStart(f"The local stack did not start: {last_words.removeprefix('Error: ')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask `sendgate up` to end and wait for it; a Ctrl-C meanwhile hurries it."""
    with handled_by(lambda *_: process.terminate()):
        process.terminate()
        process.wait()
