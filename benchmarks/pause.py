"""How long does a pause take, from the request to the receipt, and does anything leave after it?

At full speed, to a next hop that answers at once. The judge is the next hop's own log: a process that knows nothing of
us writes down when it read each email's final dot.
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.drawing import lines
from benchmarks.figures import Findings, percentile
from benchmarks.stack import Stack, asked, open_stack
from models.commands import Receipt, ReceiptOutcome
from models.message import MessageStatus
from tests.eventually import eventually
from tests.smtp_log_server import SmtpLogServer

MOST_SECONDS = 0.250  # of the 99th percentile
_EMAILS_BETWEEN = (100, 1_500)  # about so many leave before the next pause
_BYTES_OF_A_LINE = 170
_ENOUGH_LEFT = 8_000  # with fewer the message could end before its next pause
_LONGER = 0.1  # of the pauses last so much longer
_LONGER_SECONDS = 1.0
_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Pause:
    """One pause in the life of a message."""

    seconds: float
    from_: float  # when it took hold, unix time
    until: float  # when the resume or cancel after it did
    message: int
    sent: int  # of the message, by the receipt


async def measure(*, pauses: int, people: int) -> Findings:
    """Pause so often, in messages to `people`."""
    trials: list[_Pause] = []
    async with open_stack() as stack:
        await stack.add_contacts(people, "everybody")
        with SmtpLogServer(stack.folder) as smtp:
            async with stack.worker(smtp.port):
                message = 0
                while len(trials) < pauses:
                    message += 1
                    trials += await _pause_often(stack, smtp.log, message, pauses - len(trials))
            left_at = sorted(email.at for email in smtp.accepted())
    found = Findings(f"{pauses:,} pauses at full speed, from the request to the receipt")
    times = [trial.seconds for trial in trials]
    late = sum(bisect_left(left_at, trial.until) - bisect_right(left_at, trial.from_) for trial in trials)
    found.figures = {"seconds": times, "emails_after_a_receipt": late, "emails": len(left_at), "messages": message}
    worst = percentile(times, 0.99)
    found.add("median", f"{percentile(times, 0.5) * 1000:.0f} ms")
    found.add("99th percentile", f"{worst * 1000:.0f} ms", "< 250 ms", worst < MOST_SECONDS)
    found.add("longest", f"{max(times) * 1000:.0f} ms")
    found.add(f"of {len(left_at):,} emails, left after a receipt", f"{late:,}", "= 0", late == 0)
    wrong = _receipts_that_differ(trials, left_at)
    found.add("receipts that count otherwise than the next hop", f"{wrong:,}", "= 0", wrong == 0)
    curve = [(100 * (place + 1) / len(times), 1000 * seconds) for place, seconds in enumerate(sorted(times))]
    found.drawings = [
        lines("bench-pause", f"{pauses:,} pauses", "ms to the receipt", "percent of pauses", {"": curve}, bar=250)
    ]
    return found


async def _pause_often(stack: Stack, log: Path, message: int, most: int) -> list[_Pause]:
    """Send one message and pause it again and again until few are left; then cancel it."""
    trials: list[_Pause] = []
    message_id = await stack.send("everybody")
    while len(trials) < most:
        await eventually(_grows(log, random.randint(*_EMAILS_BETWEEN) * _BYTES_OF_A_LINE), within=60, every=0.002)
        began = time.perf_counter()
        receipt = (await stack.use_cases.pause(message_id, asked(), wait=_WAIT)).receipt
        seconds = time.perf_counter() - began
        if receipt is None or receipt.outcome is not ReceiptOutcome.DONE:
            raise RuntimeError("a pause was not confirmed")
        if receipt.status_after == MessageStatus.SENT:
            break  # the last email overtook it
        assert receipt.counts is not None
        is_last = receipt.counts["pending"] < _ENOUGH_LEFT or len(trials) + 1 == most
        if is_last or random.random() < _LONGER:
            await asyncio.sleep(_LONGER_SECONDS)  # what comes very late is seen, too
        go_on = stack.use_cases.cancel if is_last else stack.use_cases.resume
        next_receipt = (await go_on(message_id, asked(), wait=_WAIT)).receipt
        trials.append(_Pause(seconds, _effective(receipt), _effective(next_receipt), message, receipt.counts["sent"]))
        if is_last:
            break
    return trials


def _grows(log: Path, by: int) -> Callable[[], bool]:
    """Return whether the log has grown by so many bytes since now."""
    enough = log.stat().st_size + by
    return lambda: log.stat().st_size >= enough


def _effective(receipt: Receipt | None) -> float:
    """Return when it took hold, as unix time; of a resume that is right before the gate opens."""
    assert receipt is not None
    assert receipt.effective_at is not None
    return receipt.effective_at.timestamp()


def _receipts_that_differ(trials: list[_Pause], left_at: list[float]) -> int:
    """Count the receipts whose number of sent is not what the next hop had of that message by then."""
    before: dict[int, int] = {}  # message → emails of the messages before it
    wrong = 0
    for place, trial in enumerate(trials):
        before.setdefault(trial.message, bisect_right(left_at, trials[place - 1].until) if place else 0)
        wrong += bisect_right(left_at, trial.until) - before[trial.message] != trial.sent
    return wrong
