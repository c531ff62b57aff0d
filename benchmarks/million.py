"""A million recipients: does the worker's memory grow, and does the send grow slower?"""

from __future__ import annotations

import time

from benchmarks.drawing import lines
from benchmarks.figures import Findings
from benchmarks.postfix import Postfix, next_hop
from benchmarks.stack import open_stack

MOST_BYTES = 300 * 2**20
MOST_GROWTH = 1.1
MOST_SLOWER = 0.10
_LONGEST_SECONDS = 3600.0


async def measure(postfix: Postfix | None, *, many: int, few: int) -> Findings:
    """Send to `few` and then to `many`, each by a fresh worker."""
    peaks: dict[int, int] = {}
    rates: dict[int, float] = {}
    memory: dict[str, list[tuple[float, float]]] = {}
    async with open_stack() as stack:
        await stack.add_contacts(few, "few")
        await stack.add_contacts(many, "many")
        with next_hop(postfix, stack.folder) as (port, _):
            for people, list_name in ((few, "few"), (many, "many")):
                async with stack.worker(port) as worker:
                    began, curve = time.monotonic(), list[tuple[float, float]]()
                    sent = await stack.send_and_wait(
                        list_name,
                        within=_LONGEST_SECONDS,
                        meanwhile=lambda: curve.append((time.monotonic() - began, worker.resident() / 2**20)),  # noqa: B023
                    )
                    rates[people], peaks[people] = sent.rate, worker.most_resident()
                    memory[f"{people:,} recipients"] = curve
            over_time = await stack.rate_over_time(sent.message_id, 1.0 if many <= 100_000 else 5.0)
    found = Findings(f"{many:,} recipients beside {few:,}")
    found.figures = {
        "many": many,
        "few": few,
        "per_second": {str(people): rate for people, rate in rates.items()},
        "most_bytes": {str(people): peak for people, peak in peaks.items()},
        "resident_mb": memory,
        "per_second_over_time": over_time,
    }
    rate, growth = rates[many] / rates[few], peaks[many] / peaks[few]
    found.add(f"rate to {few:,}", f"{rates[few]:,.0f} emails/s")
    found.add(f"rate to {many:,}", f"{rates[many]:,.0f} emails/s")
    found.add("rate, many ÷ few", f"{rate:.2f}", f"≥ {1 - MOST_SLOWER:g}", rate >= 1 - MOST_SLOWER)
    found.add("most memory of the worker", f"{peaks[many] / 2**20:,.0f} MiB", "≤ 300 MiB", peaks[many] <= MOST_BYTES)
    found.add("memory, many ÷ few", f"{growth:.2f}", f"≤ {MOST_GROWTH}", growth <= MOST_GROWTH)
    found.drawings = [
        lines("bench-memory", "Memory of the worker", "MiB resident", "seconds", memory, bar=MOST_BYTES / 2**20),
        lines("bench-rate-over-time", f"The rate of {many:,} emails", "emails/s", "seconds", {"": over_time}),
    ]
    return found
