"""A worker that is told to end at a bad moment: while it starts, and so in the middle of its first sweep."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.eventually import eventually
from tests.harness import Harness


async def test_a_worker_that_is_told_to_end_as_it_starts_ends_within_the_grace_time(
    harness: Harness, tmp_path: Path
) -> None:
    await harness.prepare_server()
    for number in range(8):  # a cancellation that the database's driver swallowed kept one in four of them for ever
        await ended_as_it_starts(harness, tmp_path / f"{number}.log")


async def ended_as_it_starts(harness: Harness, log: Path) -> None:
    def said(text: str) -> bool:
        return text in log.read_text()

    with harness.worker_process(log) as process:
        await eventually(lambda: said("working on"), within=60, every=0.002)
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None, within=60)
        assert process.returncode == 0
        assert not said("Traceback")
