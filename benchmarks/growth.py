"""A throttle of a thousand batches: does a send grow slower, or its history longer, the more batches there are?

The real workflow on the time-skipping server, so that a thousand turns of a minute take some minutes; PostgreSQL is
real, the next hop takes everything.
"""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from activities.ports import Email, Permit
from benchmarks.figures import Findings
from benchmarks.servers import database
from models.message import MessageStatus, workflow_id
from models.recipient import Outcome
from tests.smtp_log_server import SmtpLogServer
from tests.workflow.runs import runs_of
from tests.workflow.virtual import RecordingTransport, VirtualHarness, time_skipping_server

PEOPLE_A_BATCH = 5
MINUTE = timedelta(minutes=1)
MOST_EVENTS = 4_096  # the server asks for a new run at this many
MOST_BYTES = 50 * 2**20  # the server ends a workflow whose history is larger
MOST_RATIO = 1.5


class _Stopwatch(RecordingTransport):
    """The recorder of the tests, with the real time of each batch's first email."""

    def __init__(self, recorder: RecordingTransport) -> None:
        self._recorder = recorder
        self.taken = recorder.taken
        self.began: list[float] = []

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        if len(self.taken) % PEOPLE_A_BATCH == 0:
            self.began.append(time.perf_counter())
        return await self._recorder.hand_over(email, permit)


async def measure(batches: int) -> Findings:
    """Send to so many batches, one a minute of the server's clock."""
    with tempfile.TemporaryDirectory() as folder, SmtpLogServer(Path(folder)) as smtp:
        async with database() as (pool, url), time_skipping_server() as skipping:
            harness = VirtualHarness(pool, url, skipping, smtp)
            await harness.add_contacts(batches * PEOPLE_A_BATCH)
            message_id = await harness.draft()
            stopwatch = _Stopwatch(harness.next_hop)
            harness.next_hop = stopwatch
            async with harness.recording_worker(lanes=1):
                began = time.perf_counter()
                throttle = {"batch_size": PEOPLE_A_BATCH, "every": MINUTE}
                await harness.send(message_id, throttle=throttle)
                while await harness.status(message_id) is not MessageStatus.SENT:
                    await skipping.sleep(20 * MINUTE)  # a call for longer times out on a busy machine
                seconds = time.perf_counter() - began
            runs = await runs_of(skipping.client, workflow_id(message_id, 1))
            assert len(set(harness.next_hop.taken)) == len(harness.next_hop.taken)
            counts = await harness.counts(message_id)
            assert counts == await harness.counted(message_id)
    people = batches * PEOPLE_A_BATCH
    longest, failed = max(run.events for run in runs), sum(run.failed_tasks for run in runs)
    largest = max(run.size for run in runs)
    ratio = _last_tenth_by_first([later - earlier for earlier, later in pairwise(stopwatch.began)])
    found = Findings(f"a throttle of {batches:,} batches, one a minute, in fast motion")
    found.figures = {
        "batches": batches,
        "seconds": seconds,
        "runs": len(runs),
        "most_events": longest,
        "most_bytes": largest,
        "failed_tasks": failed,
        "last_tenth_by_first": ratio,
        "sent": counts.sent,
    }
    found.add("sent, each once", f"{counts.sent:,}", f"= {people:,}", counts.sent == people)
    found.add("runs of the workflow", f"{len(runs)}")
    found.add("events of the longest run", f"{longest:,}", f"< {MOST_EVENTS:,}", longest < MOST_EVENTS)
    found.add("largest history", f"{largest / 2**20:.1f} MiB", "< 50 MiB", largest < MOST_BYTES)
    found.add("failed workflow tasks", f"{failed}", "= 0", failed == 0)
    found.add("time a batch, last tenth ÷ first tenth", f"{ratio:.2f}", f"≤ {MOST_RATIO}", ratio <= MOST_RATIO)
    found.add("a batch takes", f"{seconds / batches * 1000:.0f} ms")
    return found


def _last_tenth_by_first(gaps: list[float]) -> float:
    tenth = max(len(gaps) // 10, 1)
    return median(gaps[-tenth:]) / median(gaps[:tenth])
