"""How fast does a send go, from claim to settle, beside the fastest program that knows no recipients?

In turns, so that what else the machine does blurs all of them alike: Sendgate as it is run (a worker process for each
core, PostgreSQL with fsync, Temporal), Postfix's `smtp-source`, and plain aiosmtplib; to the same next hop, over as
many connections (the workers share them), with emails of the same size.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from benchmarks.drawing import bars
from benchmarks.figures import Findings, middle_and_range
from benchmarks.newsletter import example
from benchmarks.postfix import Postfix, next_hop
from benchmarks.processes import CpuMeter, child, plain_environment, python_module
from benchmarks.stack import Sent, open_stack
from settings import Settings

CONNECTIONS = Settings().smtp_connections
LEAST_RATIO = 0.4
_LONGEST_SECONDS = 600.0


async def measure(postfix: Postfix | None, *, emails: int, rounds: int) -> Findings:
    """Send `emails` so often by each of the three; without Postfix's programs by two."""
    length = len(example()[1])
    ours: list[Sent] = []
    source: list[float] = []
    plain: list[float] = []
    cores = os.cpu_count() or 1
    shares: list[dict[str, float]] = []
    async with open_stack() as stack:
        await stack.add_contacts(emails, "everybody")
        with next_hop(postfix, stack.folder) as (port, sink):
            async with AsyncExitStack() as workers:
                each = str(max(CONNECTIONS // cores, 1))
                started = [
                    await workers.enter_async_context(stack.worker(port, smtp_connections=each)) for _ in range(cores)
                ]
                pids = {f"worker {number}": worker.pid for number, worker in enumerate(started, 1)}
                for _ in range(rounds):
                    meter = CpuMeter({**pids, **stack.processes(), "the next hop": sink})
                    ours.append(await stack.send_and_wait("everybody", within=_LONGEST_SECONDS))
                    shares.append(meter.seconds())
                    if postfix is not None:
                        seconds = await postfix.send(
                            port, emails=emails, length=length, sessions=CONNECTIONS, folder=stack.folder
                        )
                        source.append(emails / seconds)
                    few = max(emails // 20, 500)  # it is slow
                    plain.append(few / await _send_plainly(port, few, stack.folder))
    found = Findings(
        f"{emails:,} personalised emails of {length:,} bytes, fsync on, a worker for each of {cores} cores,"
        f" {rounds} times in turns"
    )
    rates = [sent.rate for sent in ours]
    found.figures = {
        "emails": emails,
        "bytes": length,
        "workers": cores,
        "connections": CONNECTIONS,
        "sendgate_per_second": rates,
        "sendgate_since_begun_per_second": [sent.rate_since_begun for sent in ours],
        "smtp_source_per_second": source,
        "plain_aiosmtplib_per_second": plain,
        "ratios": [our / its for our, its in zip(rates, source, strict=False)],
        "cpu_seconds": shares,
    }
    found.add("Sendgate, first claim to last settle", f"{middle_and_range(rates)} emails/s")
    found.add(
        "the same, with the audience turned into recipients",
        f"{middle_and_range([sent.rate_since_begun for sent in ours])} emails/s",
    )
    found.add("plain aiosmtplib, EmailMessage, uvloop", f"{middle_and_range(plain)} emails/s")
    found.add("Sendgate ÷ plain aiosmtplib", f"{median(rates) / median(plain):.1f}")
    medians = {"plain aiosmtplib": median(plain), "Sendgate": median(rates)}
    if source:
        ratios = [our / its for our, its in zip(rates, source, strict=True)]
        found.add(f"Postfix's smtp-source, {CONNECTIONS} sessions kept", f"{middle_and_range(source)} emails/s")
        is_met = median(ratios) >= LEAST_RATIO
        found.add("Sendgate ÷ smtp-source", middle_and_range(ratios, ".2f"), f"≥ {LEAST_RATIO}", is_met)
        medians["smtp-source"] = median(source)
    for part in shares[0]:
        spent = [share[part] / emails * 1e6 for share in shares]
        found.add(f"CPU of {part}", f"{middle_and_range(spent)} µs an email")
    found.drawings = [bars("bench-rate", "Emails a second, side by side", "emails/s, median", medians)]
    return found


async def _send_plainly(port: int, emails: int, folder: Path) -> float:
    """Send by plain aiosmtplib in a process of its own; return the seconds that it took."""
    command = python_module("benchmarks.plain_aiosmtplib", str(port), str(emails), str(CONNECTIONS))
    log = folder / "plain-aiosmtplib.log"
    log.unlink(missing_ok=True)
    with child(command, log, plain_environment()) as sender:
        code = await asyncio.to_thread(sender.process.wait)
    said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    if code != 0:
        raise RuntimeError(f"plain aiosmtplib failed: {said[-1]}")
    return float(said[-1])
