"""The same send with one thing changed: the window of a claim, the number of workers, the way to the next hop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from benchmarks.drawing import bars
from benchmarks.figures import Findings
from benchmarks.newsletter import example
from benchmarks.postfix import Postfix, next_hop
from benchmarks.processes import child, plain_environment, python_module
from benchmarks.stack import WINDOW, open_stack
from client.local.ports import free_port

WINDOWS = (16, 32, 64, 128, 256)
WORKERS = (1, 2, 4)
CONNECTIONS = (16, 64)
ROUND_TRIP_MS = 20
_LONGEST_SECONDS = 900.0


async def windows(postfix: Postfix | None, *, emails: int) -> Findings:
    """Send with windows of several sizes: what a killed lane leaves in doubt, against what larger ones would gain."""
    rates: dict[str, float] = {}
    async with open_stack() as stack:
        await stack.add_contacts(emails, "everybody")
        with next_hop(postfix, stack.folder) as (port, _):
            for window in WINDOWS:
                async with stack.worker(port, window=window):
                    sent = await stack.send_and_wait("everybody", within=_LONGEST_SECONDS)
                    rates[str(window)] = sent.rate
    found = Findings(f"{emails:,} emails by the rows a lane claims at once", figures={"per_second": rates})
    usual = rates[str(WINDOW)]
    for label, rate in rates.items():
        found.add(f"window of {label}", f"{rate:,.0f} emails/s, {rate / usual:.2f} × that of {WINDOW}")
    found.drawings = [bars("bench-windows", "Rows a lane claims at once", "emails/s", rates)]
    return found


async def workers(postfix: Postfix | None, *, emails: int) -> Findings:
    """Send one message by several worker processes, all on this machine."""
    rates: dict[str, float] = {}
    async with open_stack() as stack:
        await stack.add_contacts(emails, "everybody")
        with next_hop(postfix, stack.folder) as (port, _):
            for number in WORKERS:
                async with AsyncExitStack() as running:
                    for _ in range(number):
                        await running.enter_async_context(stack.worker(port))
                    sent = await stack.send_and_wait("everybody", within=_LONGEST_SECONDS)
                    rates[str(number)] = sent.rate
    found = Findings(f"{emails:,} emails by several worker processes", figures={"per_second": rates})
    for label, rate in rates.items():
        found.add(f"workers: {label}", f"{rate:,.0f} emails/s, {rate / rates['1']:.2f} × that of one")
    found.drawings = [bars("bench-workers", "Worker processes on one message", "emails/s", rates)]
    return found


async def far(postfix: Postfix | None, *, emails: int) -> Findings:
    """Send to a next hop a round trip of 20 ms away: there connections make the rate, and round trips an email."""
    rates: dict[str, float] = {}
    source: dict[str, float] = {}
    async with open_stack() as stack:
        await stack.add_contacts(emails, "everybody")
        with next_hop(postfix, stack.folder) as (port, _), _distant(port, stack.folder) as distant:
            for connections in CONNECTIONS:
                async with stack.worker(distant, smtp_connections=str(connections)):
                    sent = await stack.send_and_wait("everybody", within=_LONGEST_SECONDS)
                    rates[str(connections)] = sent.rate
                if postfix is not None:
                    few = max(emails // 4, 20 * connections)
                    length = len(example()[1])
                    seconds = await postfix.send(
                        distant, emails=few, length=length, sessions=connections, folder=stack.folder
                    )
                    source[str(connections)] = few / seconds
    found = Findings(f"{emails:,} emails to a next hop {ROUND_TRIP_MS} ms away")
    found.figures = {"round_trip_ms": ROUND_TRIP_MS, "per_second": rates, "smtp_source_per_second": source}
    for label, rate in rates.items():
        round_trips = int(label) / rate * 1000 / ROUND_TRIP_MS
        found.add(f"{label} connections", f"{rate:,.0f} emails/s, {round_trips:.1f} round trips an email")
        if label in source:
            found.add(f"smtp-source, {label} sessions", f"{source[label]:,.0f} emails/s")
    found.drawings = [bars("bench-far", f"A next hop {ROUND_TRIP_MS} ms away, by connections", "emails/s", rates)]
    return found


@contextmanager
def _distant(port: int, folder: Path) -> Iterator[int]:
    """Put the next hop farther away; yields the port to connect to."""
    here = free_port()
    command: Sequence[str] = python_module("benchmarks.distance", str(here), str(port), str(ROUND_TRIP_MS))
    log = folder / "distance.log"
    with child(command, log, plain_environment()):
        yield here
