"""A throttle of a thousand batches: does a send grow slower, or its history longer, the more batches there are?

The real workflow on the time-skipping server, so that a thousand turns of a minute take some minutes; PostgreSQL is
real, the next hop takes everything.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from activities.ports import Email, Permit
from benchmarks.servers import database
from models.message import MessageStatus, workflow_id
from models.recipient import Outcome
from tests.smtp_log_server import SmtpLogServer
from tests.workflow.runs import Run, runs_of
from tests.workflow.virtual import RecordingTransport, VirtualHarness, time_skipping_server

PEOPLE_A_BATCH = 5
MINUTE = timedelta(minutes=1)
#: The bar of the design: the server asks for a new run at this many.
MOST_EVENTS = 4_096


@dataclass(frozen=True, slots=True)
class Growth:
    """What a long throttle cost."""

    batches: int
    seconds: float
    runs: list[Run]
    first: float  # median seconds from batch to batch, over the first tenth
    last: float  # and over the last
    sent: int

    @property
    def ratio(self) -> float:
        return self.last / self.first

    def rows(self) -> Iterator[tuple[str, str, str, bool]]:
        """Yield what was measured, the figure, the bar, and whether it is met."""
        people = self.batches * PEOPLE_A_BATCH
        longest, failed = max(run.events for run in self.runs), sum(run.failed_tasks for run in self.runs)
        yield "sent, each once", f"{self.sent:,}", f"= {people:,}", self.sent == people
        yield "runs of the workflow", f"{len(self.runs)}", "", True
        yield "events of the longest run", f"{longest:,}", f"< {MOST_EVENTS:,}", longest < MOST_EVENTS
        yield "size of the largest history", f"{max(run.size for run in self.runs) / 2**20:.1f} MiB", "< 50 MiB", True
        yield "failed workflow tasks", f"{failed}", "= 0", failed == 0
        yield "last tenth ÷ first tenth, time a batch", f"{self.ratio:.2f}", "≤ 1.5", self.ratio <= 1.5
        yield "a batch takes", f"{self.seconds / self.batches * 1000:.0f} ms", "", True


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


async def measure(batches: int) -> Growth:
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
    gaps = [later - earlier for earlier, later in pairwise(stopwatch.began)]
    tenth = max(len(gaps) // 10, 1)
    return Growth(batches, seconds, runs, median(gaps[:tenth]), median(gaps[-tenth:]), counts.sent)
