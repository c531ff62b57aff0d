"""Where does the time of a send go? The worker under Python's profiler, PostgreSQL with its functions timed.

The profiler makes Python several times as slow, and C not at all: its shares are for finding, not for judging.
"""

from __future__ import annotations

import pstats
from pathlib import Path

import psutil

from benchmarks.figures import Findings
from benchmarks.postfix import Postfix, next_hop
from benchmarks.processes import ROOT, Child, CpuMeter
from benchmarks.stack import open_stack

MOST_FUNCTIONS = 15
_LONGEST_SECONDS = 600.0


async def measure(postfix: Postfix | None, *, emails: int) -> Findings:
    """Send once as it is and once profiled."""
    found = Findings(f"Where the time of {emails:,} emails goes")
    async with open_stack(postgres_options=("-c", "track_functions=all")) as stack:
        await stack.add_contacts(emails, "everybody")
        profile = stack.folder / "worker.prof"
        with next_hop(postfix, stack.folder) as (port, sink):
            async with stack.worker(port) as worker:
                await stack.send_and_wait("everybody", within=_LONGEST_SECONDS)  # warm
                await stack.pool.execute("select pg_stat_reset()")
                threads = _event_loop_and_rest(worker)
                meter = CpuMeter({"the worker": worker.pid, **stack.processes(), "the next hop": sink})
                sent = await stack.send_and_wait("everybody", within=_LONGEST_SECONDS)
                cpu = meter.seconds()
                threads = [after - before for before, after in zip(threads, _event_loop_and_rest(worker), strict=True)]
            functions = await stack.pool.fetch(
                "select funcname, calls, total_time, self_time from pg_stat_user_functions"
                " where self_time > 1 order by self_time desc"
            )
            async with stack.worker(port, profile=profile) as worker:
                await stack.send_and_wait("everybody", within=_LONGEST_SECONDS)
        top = _top(profile)
    found.add("rate, not profiled", f"{sent.rate:,.0f} emails/s")
    for part, seconds in cpu.items():
        found.add(f"CPU of {part}", f"{seconds / emails * 1e6:.0f} µs an email")
    found.add("  of it the event loop's thread", f"{threads[0] / emails * 1e6:.0f} µs an email")
    found.add("  of it Temporal's SDK and other threads", f"{threads[1] / emails * 1e6:.0f} µs an email")
    for row in functions:
        found.add(
            f"PostgreSQL: {row['funcname']}, {row['calls']:,} calls",
            f"{row['self_time'] / emails * 1e3:.1f} µs an email",
        )
    for name, calls, own, total in top:
        found.add(
            f"worker: {name}",
            f"{own / emails * 1e6:.1f} µs own, {total / emails * 1e6:.1f} with callees, {calls / emails:.1f} calls",
        )
    found.figures = {
        "emails": emails,
        "per_second": sent.rate,
        "cpu_seconds": cpu,
        "event_loop_seconds": threads[0],
        "other_threads_seconds": threads[1],
        "postgresql_functions": {row["funcname"]: row["self_time"] / 1e3 for row in functions},
        "profile": [{"name": name, "calls": calls, "own": own, "total": total} for name, calls, own, total in top],
    }
    return found


def _event_loop_and_rest(worker: Child) -> list[float]:
    """Return the seconds of CPU of the worker's first thread, which runs the event loop, and of all others."""
    threads = psutil.Process(worker.pid).threads()
    own = [thread.user_time + thread.system_time for thread in threads if thread.id == worker.pid]
    rest = [thread.user_time + thread.system_time for thread in threads if thread.id != worker.pid]
    return [sum(own), sum(rest)]


def _top(profile: Path) -> list[tuple[str, int, float, float]]:
    """Return (name, calls, own seconds, seconds with what it calls) of the functions that take longest themselves."""
    stats = pstats.Stats(str(profile))
    functions = stats.stats  # type: ignore[attr-defined]  # documented, and missing in the stubs
    rows = [
        (_name(*where), calls, own, total)
        for where, (_, calls, own, total, _callers) in functions.items()
        if "select.epoll" not in where[2]
    ]
    return sorted(rows, key=lambda row: -row[2])[:MOST_FUNCTIONS]


def _name(file: str, line: int, function: str) -> str:
    path = Path(file)
    if file == "~":
        return function
    return f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}:{line} {function}"
