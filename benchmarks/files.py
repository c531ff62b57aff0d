"""A million contacts in by CSV and a million recipients out, over the API: how fast, and does its memory grow?"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx

from benchmarks.figures import Findings
from benchmarks.postfix import Postfix, next_hop
from benchmarks.stack import Stack, open_stack

MOST_GROWTH = 1.1
_ADMIN_KEY = "the-key-of-the-benchmark"
_ROWS_A_CHUNK = 1_000
_LONGEST_SECONDS = 1_800.0


async def measure(postfix: Postfix | None, *, many: int, few: int) -> Findings:
    """Import, send, pause and export `few` and then `many`, each by an API process of its own."""
    peaks: dict[int, int] = {}
    async with open_stack() as stack:
        with next_hop(postfix, stack.folder) as (port, _):
            async with stack.worker(port):
                for people in (few, many):
                    async with stack.api(_ADMIN_KEY) as (url, process), _api(url) as api:
                        into = await _import(api, people)
                        out, size = await _export(api, stack, people)
                        peaks[people] = process.most_resident()
    growth = peaks[many] / peaks[few]
    found = Findings(f"CSV of {many:,} contacts in and of {many:,} recipients out, over the API, beside {few:,}")
    found.figures = {
        "many": many,
        "few": few,
        "import_seconds": into,
        "export_seconds": out,
        "export_bytes": size,
        "most_bytes": {str(people): peak for people, peak in peaks.items()},
    }
    found.add("contacts in", f"{many / into:,.0f} a second, {into:,.0f} s")
    found.add("recipients out", f"{many / out:,.0f} a second, {size / out / 2**20:,.1f} MiB/s, {out:,.0f} s")
    found.add("most memory of the API", f"{peaks[many] / 2**20:,.0f} MiB")
    found.add("memory, many ÷ few", f"{growth:.2f}", f"≤ {MOST_GROWTH}", growth <= MOST_GROWTH)
    return found


def _api(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {_ADMIN_KEY}"}, timeout=_LONGEST_SECONDS)


async def _import(api: httpx.AsyncClient, people: int) -> float:
    """Import so many contacts to a list of that name; return the seconds."""
    began = time.perf_counter()
    answer = await api.post(
        "/v1/contacts/import",
        params={"list": str(people)},
        headers={"Content-Type": "text/csv"},
        content=_contacts(people),
    )
    seconds = time.perf_counter() - began
    if answer.status_code != httpx.codes.OK or answer.json()["created"] != people or answer.json()["rejected"]:
        raise RuntimeError(f"the import was answered {answer.status_code}: {answer.text[:500]}")
    return seconds


async def _contacts(people: int) -> AsyncIterator[bytes]:
    """Yield a CSV of contacts a chunk at a time."""
    yield b"email,time_zone,first_name,city\n"
    zones = ("Europe/Oslo", "America/New_York", "Asia/Kolkata", "")
    for first in range(0, people, _ROWS_A_CHUNK):
        chunk = range(first, min(first + _ROWS_A_CHUNK, people))
        yield "".join(f"c{n}.of.{people}@example.com,{zones[n % 4]},Name {n},Oslo\n" for n in chunk).encode()


async def _export(api: httpx.AsyncClient, stack: Stack, people: int) -> tuple[float, int]:
    """Send to that list, pause, and export the recipients; return the seconds and the bytes."""
    message_id = await stack.send_and_pause(str(people), emails_per_second=1_000)
    lines = size = 0
    began = time.perf_counter()
    address = f"/v1/batchmessages/{message_id}/recipients"
    async with api.stream("GET", address, headers={"Accept": "text/csv"}) as answer:
        answer.raise_for_status()
        async for chunk in answer.aiter_bytes():
            lines, size = lines + chunk.count(b"\n"), size + len(chunk)
    seconds = time.perf_counter() - began
    if lines != people + 1:
        raise RuntimeError(f"the export has {lines:,} lines for {people:,} recipients and a header")
    return seconds, size
