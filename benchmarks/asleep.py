"""What do ten thousand scheduled messages cost while nothing happens, and does one of them begin on time?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from benchmarks.figures import Findings
from benchmarks.postfix import Postfix, next_hop
from benchmarks.processes import CpuMeter
from benchmarks.stack import Stack, open_stack
from tests.eventually import eventually

MOST_OF_A_CORE = 0.02
MOST_LATE_SECONDS = 1.0
_PUNCTUAL = 10  # messages whose instant no other shares
_WRITERS = 16
_FAR_AWAY = timedelta(days=30)
_REST_SECONDS = 75.0  # what was just started or written comes to rest: autovacuum looks every minute
_LONGEST_SECONDS = 3_600.0


async def measure(postfix: Postfix | None, *, messages: int, watched_seconds: float) -> Findings:
    """Let so many messages sleep, watch for a while, and then let some begin."""
    async with open_stack() as stack:
        await stack.add_contacts(1, "one")
        with next_hop(postfix, stack.folder) as (port, _):
            async with stack.worker(port) as worker:
                parts = {"the worker": worker.pid, **stack.processes()}
                idle = await _shares(parts, watched_seconds)
                began = time.perf_counter()
                await _schedule_many(stack, messages)
                scheduling_seconds = time.perf_counter() - began
                asleep = await _shares(parts, watched_seconds)
                lateness = await _begin_some(stack)
                resident = worker.resident()
    found = Findings(f"{messages:,} messages asleep")
    found.figures = {
        "messages": messages,
        "scheduling_seconds": scheduling_seconds,
        "watched_seconds": watched_seconds,
        "cpu_of_a_core": asleep,
        "cpu_of_a_core_with_none_asleep": idle,
        "late_seconds": lateness,
        "worker_bytes": resident,
    }
    found.add("scheduling them", f"{messages / scheduling_seconds:,.0f} a second")
    for part, share in asleep.items():
        found.add(f"CPU of {part}", f"{share:.2%} of a core; with none asleep {idle[part]:.2%}")
    together = sum(asleep.values())
    found.add(
        "CPU of all together",
        f"{together:.2%} of a core; with none asleep {sum(idle.values()):.2%}",
        f"< {MOST_OF_A_CORE:.0%}",
        together < MOST_OF_A_CORE,
    )
    found.add("memory of the worker", f"{resident / 2**20:,.0f} MiB")
    worst = max(lateness)
    found.add(
        f"late to begin, worst of {len(lateness)}", f"{worst * 1000:,.0f} ms", "< 1,000 ms", worst < MOST_LATE_SECONDS
    )
    return found


async def _shares(parts: Mapping[str, int], watched_seconds: float) -> dict[str, float]:
    """Let what was just started come to rest, and return name → the share of a core that each process takes."""
    await asyncio.sleep(_REST_SECONDS)
    meter, began = CpuMeter(parts), time.perf_counter()
    await asyncio.sleep(watched_seconds)
    cpu, watched = meter.seconds(), time.perf_counter() - began
    return {part: seconds / watched for part, seconds in cpu.items()}


async def _schedule_many(stack: Stack, messages: int) -> None:
    """Schedule messages for a month from now, a second apart, and wait until a workflow sleeps for each."""
    instants: Iterator[int] = iter(range(messages))
    first = datetime.now(UTC).replace(microsecond=0) + _FAR_AWAY

    async def write() -> None:
        for number in instants:
            await stack.send("one", at=first + timedelta(seconds=number))

    async def all_adopted() -> bool:
        return not await stack.pool.fetchval("select exists (select from messages where adopted_at is null)")

    async with asyncio.timeout(_LONGEST_SECONDS):
        await asyncio.gather(*(write() for _ in range(_WRITERS)))
    await eventually(all_adopted, within=_LONGEST_SECONDS, every=0.5)


async def _begin_some(stack: Stack) -> list[float]:
    """Let some messages begin, three seconds apart; return by how many seconds each was late."""
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15)
    due = {await stack.send("one", at=first + timedelta(seconds=3 * number)): number for number in range(_PUNCTUAL)}

    async def all_begun() -> bool:
        begun = await stack.pool.fetchval(
            "select count(*) from messages where id = any($1) and began_at is not null", list(due)
        )
        return bool(begun == len(due))

    await eventually(all_begun, within=120, every=0.2)
    rows = await stack.pool.fetch("select id, began_at from messages where id = any($1)", list(due))
    return [(row["began_at"] - first).total_seconds() - 3 * due[row["id"]] for row in rows]
