"""`make demo` as a newcomer runs it: a real stack, a real send, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from client.local.postgres import temporary_directory
from tests.eventually import eventually

ROOT = Path(__file__).parent.parent.parent
ENDS_WITHIN = 180.0  # it takes half a minute on two idle cores
GONE_WITHIN = 60.0
CLAIMS = (
    "The pause took hold in mid-send:",
    "Nothing more arrived in the 2 seconds that we watched.",
    "the rest and the 60 who joined.",
    "2,460 people got it exactly once, the 60 joiners too, and no email is dated between the receipts",
    "It is a draft again, its time has come and gone, and nothing of it arrived.",
    "The cancel took hold in mid-send:",
    "over both, 2,460 people got it exactly once, and nothing is dated behind the receipt of the cancel",
    "others Thursday.",
    "738 people got it exactly once, the 19 joiners too.",
    "Nobody got it before 09:00 on their own clock.",
    "No batch had more than 75.",
    "They left at the turns alone: every 2 hours from Mon 20:15 UTC.",
    "Nothing left between pause and resume.",
    "The 3 turns that passed meanwhile were dropped, not made up for: the 13 batches are those worked out",
)


class Demo:
    """One run of the demo. Its temporary folder tells every process that it started."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder / "tmp"
        self.folder.mkdir(mode=0o755)
        self.output = folder / "output"
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("SENDGATE_", "TEMPORAL_"))
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "examples.demo", *arguments],
                cwd=ROOT,
                env=inherited | {"TMPDIR": str(self.folder), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"} | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def started(self) -> list[psutil.Process]:
        """Return the processes of this run that are alive, but for the demo itself."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.pid != self.process.pid and process.environ().get("TMPDIR") == str(self.folder):
                    found.append(process)
        return found

    async def says(self, text: str) -> None:
        def said_it() -> bool:
            assert self.process.poll() is None, self.said
            return text in self.said

        await eventually(said_it, within=ENDS_WITHIN)

    async def ended(self, within: float) -> int:
        await eventually(lambda: self.process.poll() is not None, within=within, every=0.1)
        return self.process.returncode


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can pass when we are root."""
    path = temporary_directory("sendgate-demo-test-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    """Those put here are ended, and what they started, when a test fails in the middle."""
    started: list[Demo] = []
    yield started
    for demo in started:
        demo.process.kill()
        demo.process.wait()
        for process in demo.started():
            with suppress(psutil.NoSuchProcess):
                process.kill()


async def test_every_claim_is_made_and_true_and_nothing_is_left(folder: Path, demos: list[Demo]) -> None:
    with ExitStack() as taken:
        for port in (7233, 8233):  # by us, or by somebody else already
            with suppress(OSError):
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        # Addresses of other systems in the environment: the demo has to leave them alone.
        nowhere = {"SENDGATE_SMTP_HOST": "127.0.0.1", "SENDGATE_SMTP_PORT": "1", "TEMPORAL_ADDRESS": "127.0.0.1:1"}
        demo = Demo(folder, **nowhere, SENDGATE_DATA=str(folder / "elsewhere"))
        demos.append(demo)
        await demo.says("Temporal UI")
        started = demo.started()
        code = await demo.ended(within=ENDS_WITHIN)
    assert code == 0, demo.said
    assert "✘" not in demo.said
    made = [line.strip() for line in demo.said.splitlines() if "✔" in line]
    assert len(made) == len(CLAIMS)
    assert [claim for claim, line in zip(CLAIMS, made, strict=True) if claim not in line] == []
    assert f"All {len(CLAIMS)} claims are true." in demo.said
    assert "http://127.0.0.1:8233" not in demo.said
    assert len(started) >= 5  # up and its four parts
    assert not [process for process in started if process.is_running()]
    assert demo.started() == []
    assert list(demo.folder.iterdir()) == []
    assert not (folder / "elsewhere").exists()


async def test_ended_while_it_starts_it_leaves_nothing(folder: Path, demos: list[Demo]) -> None:
    demo = Demo(folder)
    demos.append(demo)
    await eventually(demo.started, within=ENDS_WITHIN)
    await left_nothing_behind(demo, signal.SIGTERM)


async def test_interrupted_in_mid_send_it_leaves_nothing(folder: Path, demos: list[Demo]) -> None:
    demo = Demo(folder)
    demos.append(demo)
    await demo.says("Its workflow:")
    await eventually(lambda: len(list(demo.folder.glob("*/stack/mail/new/*"))) > 100, within=ENDS_WITHIN)
    await left_nothing_behind(demo, signal.SIGINT)
    assert "✔" not in demo.said


@pytest.mark.parametrize(
    ("said", "number"),
    [("A line is a batch", signal.SIGTERM), ("Tue 02:15 UTC", signal.SIGINT), ("paused:", signal.SIGHUP)],
    ids=["as its server starts", "in mid-send", "in its pause"],
)
async def test_interrupted_in_fast_motion_it_leaves_nothing(
    folder: Path, demos: list[Demo], said: str, number: signal.Signals
) -> None:
    demo = Demo(folder, "--fast-motion")
    demos.append(demo)
    await demo.says(said)
    await left_nothing_behind(demo, number)
    assert "✔" not in demo.said


async def left_nothing_behind(demo: Demo, number: signal.Signals) -> None:
    demo.process.send_signal(number)
    assert await demo.ended(within=GONE_WITHIN) == 130, demo.said
    assert "Interrupted; the stack is stopped and its data removed." in demo.said
    assert "Traceback" not in demo.said
    assert demo.started() == []
    assert list(demo.folder.iterdir()) == []
