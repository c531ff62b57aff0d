"""When a pause is acknowledged nothing more leaves: many trials, judged by the SMTP server's own clock and log."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from client.temporal import Workflows
from models.commands import Receipt, ReceiptOutcome
from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.smtp_log_server import Accepted
from workflows.state import Knobs

RECIPIENTS = 5_000
#: Milliseconds before each reply of the next hop, a trial each.
DELAYS = [0] * 8 + [20] * 8 + [200] * 4
LONG_ENOUGH = timedelta(seconds=60)


def emails_of(harness: Harness, subject: str) -> list[Accepted]:
    return [email for email in harness.smtp.accepted() if email.subject == subject]


async def pause_in_mid_send(harness: Harness, message_id: str) -> Receipt:
    """Pause while rows are claimed; return the receipt."""

    async def is_in_flight() -> bool:
        counts = await harness.counts(message_id)
        return counts.sent > 0 and counts.claimed > 0

    await eventually(is_in_flight, within=30, every=0)
    result = await harness.use_cases.pause(message_id, asked_by(), wait=LONG_ENOUGH)
    assert result.receipt is not None
    assert result.receipt.outcome is ReceiptOutcome.DONE
    assert result.receipt.status_after == MessageStatus.PAUSED
    return result.receipt


def late(emails: list[Accepted], receipt: Receipt) -> list[Accepted]:
    assert receipt.effective_at is not None
    return [email for email in emails if email.at > receipt.effective_at.timestamp()]


async def test_nothing_leaves_after_the_receipt(harness: Harness, tmp_path: Path) -> None:
    await harness.add_contacts(RECIPIENTS)
    trials: list[tuple[str, str, Receipt]] = []
    with harness.worker_process(tmp_path / "worker.log"):
        for trial, delay in enumerate(DELAYS):
            harness.smtp.set(delay_ms=delay)
            subject = f"Trial {trial}"
            message_id = await harness.draft(subject=subject)
            await harness.send(message_id)
            receipt = await pause_in_mid_send(harness, message_id)
            trials.append((subject, message_id, receipt))
    # Judged at the end: whatever slipped out long after a receipt is in the log by now.
    for subject, message_id, receipt in trials:
        emails = emails_of(harness, subject)
        assert 0 < len(emails) < RECIPIENTS, f"{subject} was not paused in mid-send"
        assert not late(emails, receipt), f"{subject}: emails left after the receipt"
        assert receipt.counts is not None
        assert receipt.counts["sent"] == len(emails) == len({email.recipient for email in emails})
        assert receipt.counts["claimed"] == receipt.counts["in_doubt"] == 0
        assert await harness.counts(message_id) == await harness.counted(message_id)


@pytest.mark.parametrize("trial", range(3))
async def test_a_worker_frozen_in_mid_send_sends_nothing_after_the_receipt(
    harness: Harness, tmp_path: Path, trial: int
) -> None:
    """It wakes with conversations half done and must look at the clock before it writes a body."""
    # Temporal gives the frozen lanes up sooner than it would, so that the test need not wait for it.
    harness.workflows = Workflows(harness.client, knobs=Knobs(lane_heartbeat_timeout=timedelta(seconds=3)))
    await harness.add_contacts(RECIPIENTS)
    harness.smtp.set(delay_ms=200)
    message_id = await harness.draft()
    with (
        harness.worker_process(tmp_path / "one.log") as one,
        harness.worker_process(tmp_path / "two.log") as two,
    ):
        logs = [tmp_path / "one.log", tmp_path / "two.log"]
        await eventually(lambda: all("working on" in log.read_text() for log in logs), within=30)
        await harness.send(message_id)
        await harness.until_left(30)
        workers = {process.pid: process for process in (one, two)}
        frozen = workers[(await lanes_of(harness, message_id, set(workers)))[0]]
        await eventually(lambda: is_about_to_write_bodies(harness), within=30, every=0)
        os.kill(frozen.pid, signal.SIGSTOP)
        receipt = await pause_in_mid_send(harness, message_id)
        os.kill(frozen.pid, signal.SIGCONT)
        assert receipt.counts is not None
        assert receipt.counts["in_doubt"] > 0, "the frozen worker held nothing"
        # It has done what it had in mind when it ends at once, as a worker at rest does.
        os.kill(frozen.pid, signal.SIGTERM)
        await eventually(lambda: frozen.poll() is not None, within=70)
        assert not late(harness.smtp.accepted(), receipt)

        if trial == 0:
            harness.smtp.set(delay_ms=0)
            await harness.use_cases.resume(message_id, asked_by(), wait=LONG_ENOUGH)
            await harness.until(message_id, MessageStatus.SENT, within=60)
    await harness.assert_once_each(message_id)
    counts = await harness.counts(message_id)
    assert counts.sent + counts.in_doubt + counts.pending == counts.total == RECIPIENTS
    assert (counts.pending == 0) == (trial == 0)
    assert 0 < counts.in_doubt <= 4 * 2 * 64


def is_about_to_write_bodies(harness: Harness) -> bool:
    """Most connections have sent DATA and wait for its reply: on waking, the body is what comes next."""
    seen = harness.smtp.seen()
    return seen["DATA"] - seen["dot"] > seen["open"] / 2


async def lanes_of(harness: Harness, message_id: str, pids: set[int]) -> list[int]:
    """Return the process of each lane that runs: Temporal knows a worker as pid@host."""
    handle = harness.handle(message_id)

    async def running() -> list[int]:
        description = (await handle.describe()).raw_description
        found = [int(lane.last_worker_identity.split("@")[0] or 0) for lane in description.pending_activities]
        return [pid for pid in found if pid in pids]

    return await eventually(running, within=30)
