"""One long send, and worker after worker that dies in the middle of it while others go on."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness
from worker import WINDOW

SEED = 20_30
WORKERS, LANES, CONNECTIONS = 3, 3, 4


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def is_at_work(self) -> bool:
        return "working on" in self.log.read_text()


class Workers:
    """Worker processes of one send; one that ends is replaced before the next does."""

    def __init__(self, harness: Harness, folder: Path, stack: ExitStack) -> None:
        self._harness = harness
        self._folder = folder
        self._stack = stack
        self._numbers = itertools.count(1)
        self._random = random.Random(SEED)
        self._running = [self._start() for _ in range(WORKERS)]

    def _start(self) -> Worker:
        log = self._folder / f"{next(self._numbers)}.log"
        process = self._stack.enter_context(
            self._harness.worker_process(
                log,
                SENDGATE_LANES=str(LANES),
                SENDGATE_SMTP_CONNECTIONS=str(CONNECTIONS),
                SENDGATE_LEASE="5s",
            )
        )
        return Worker(process, log)

    async def end_one(self, number: signal.Signals) -> subprocess.Popen[bytes]:
        """Wait until some emails more have left, end one of the workers at work, and start another."""
        left = self._harness.smtp.seen()["dot"] + self._random.randint(1, 120)
        await eventually(lambda: self._harness.smtp.seen()["dot"] >= left, within=60)
        await eventually(lambda: sum(worker.is_at_work for worker in self._running) >= 2, within=60)
        worker = self._random.choice([worker for worker in self._running if worker.is_at_work])
        worker.process.send_signal(number)
        self._running.remove(worker)
        self._running.append(self._start())
        return worker.process


async def test_nobody_gets_it_twice_and_nobody_is_lost(
    harness: Harness, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    terminated, killed, recipients = (20, 50, 60_000) if pytestconfig.getoption("--all-deaths") else (3, 8, 15_000)
    await harness.prepare_server()
    await harness.add_contacts(recipients)
    message_id = await harness.draft()
    harness.smtp.set(delay_ms=10)
    with ExitStack() as stack:
        workers = Workers(harness, tmp_path, stack)
        await harness.send(message_id)

        told = [await workers.end_one(signal.SIGTERM) for _ in range(terminated)]
        await eventually(lambda: all(worker.poll() is not None for worker in told), within=70)
        assert {worker.returncode for worker in told} == {0}
        assert (await harness.counts(message_id)).in_doubt == 0

        for _ in range(killed):
            await workers.end_one(signal.SIGKILL)
        counts = await harness.counts(message_id)
        assert counts.pending > 0, "it was over before the last of them died"
        harness.smtp.set(delay_ms=0)
        await harness.until(message_id, MessageStatus.SENT, within=180)

    await harness.assert_once_each(message_id)
    counts = await harness.counts(message_id)
    assert counts.sent + counts.in_doubt == counts.total == recipients
    assert 0 < counts.in_doubt <= killed * LANES * 2 * WINDOW
    unsure = await harness.pool.fetchval(
        "select count(*) from recipients where status = 'in_doubt' and (address is null or reason is null)"
    )
    assert unsure == 0
