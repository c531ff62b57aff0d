"""The import of contacts from a CSV: one transaction, so that a crash in the middle leaves nothing of it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from models.contact import MOST_REJECTED_NAMED, ImportResult, RejectedLine, check_list_name
from models.errors import blaming
from storage.contact_csv import ContactCsv, ContactRow
from storage.database import Pool
from storage.named_sql import load

_sql = load("contact_import")

#: What is read and checked at a time, in a thread: a few milliseconds of work, and little memory.
_CHUNK_LINES, _CHUNK_BYTES = 2000, 1024 * 1024
_PROGRESS_EVERY_SECONDS = 0.1

Progress = Callable[[int, int], None]


async def import_csv(
    pool: Pool, path: str | Path, *, list_name: str | None = None, on_progress: Progress | None = None
) -> ImportResult:
    """Import the contacts of a CSV file and put them on the list, which is created if need be.

    A contact that exists already keeps the attributes that the file does not name, its address as it was first
    written, and its time zone unless the line has one. Lines that cannot be used are left out and named in the result.

    The file is streamed; of it, memory holds the rejected lines that are named alone. `on_progress(bytes_done,
    bytes_total)` is called at most ten times a second, and once when everything has been read. Durable when it
    returns; before that nobody sees any of it. Raises InvalidInput, with nothing changed, when the whole file cannot
    be used.
    """
    if list_name is not None:
        with blaming("list"):
            list_name = check_list_name(list_name)
    rejected = _Rejected()
    with await asyncio.to_thread(ContactCsv, path) as source:
        async with pool.acquire() as connection, connection.transaction():
            await _sql.create_incoming(connection)
            await connection.copy_records_to_table(
                "incoming",
                records=_good_rows(source, rejected, on_progress),
                columns=["line", "address", "address_key", "time_zone", "attributes"],
            )
            await _sql.analyze_incoming(connection)
            repeated = _Rejected()
            async for row in _sql.repeated_addresses(connection, most=MOST_REJECTED_NAMED):
                reason = f"The address stands in line {row['first_line']} already."
                repeated.named.append(RejectedLine(line=row["line"], reason=reason))
                repeated.total = row["repeated"]
            list_id = None
            if list_name is not None:
                await _sql.create_list(connection, name=list_name)
                list_id = await _sql.list_id(connection, name=list_name)
            merged = await _sql.merge_incoming(connection, list_id=list_id)
    return ImportResult(
        created=merged["created"],
        updated=merged["updated"],
        rejected=list(
            itertools.islice(heapq.merge(rejected.named, repeated.named, key=lambda one: one.line), MOST_REJECTED_NAMED)
        ),
        rejected_total=rejected.total + repeated.total,
    )


@dataclass
class _Rejected:
    """The first rejected lines of a kind, by line, and how many there are."""

    named: list[RejectedLine] = field(default_factory=list)
    total: int = 0

    def add(self, line: RejectedLine) -> None:
        self.total += 1
        if len(self.named) < MOST_REJECTED_NAMED:
            self.named.append(line)


async def _good_rows(
    source: ContactCsv, rejected: _Rejected, on_progress: Progress | None
) -> AsyncIterator[tuple[int, str, str, str | None, str]]:
    """Yield the good rows as COPY takes them, and add the others to `rejected`."""
    lines = iter(source)
    told_at = 0.0
    while chunk := await asyncio.to_thread(_chunk, source, lines):
        for one in chunk:
            if isinstance(one, ContactRow):
                yield one.line, one.address, one.address_key, one.time_zone, one.attributes
            else:
                rejected.add(one)
        if on_progress and time.monotonic() - told_at >= _PROGRESS_EVERY_SECONDS:
            told_at = time.monotonic()
            on_progress(source.bytes_done, max(source.bytes_total, source.bytes_done))
    if on_progress:
        on_progress(source.bytes_done, source.bytes_done)


def _chunk(source: ContactCsv, lines: Iterator[ContactRow | RejectedLine]) -> list[ContactRow | RejectedLine]:
    """Return the next of its lines; none at the end."""
    chunk: list[ContactRow | RejectedLine] = []
    begun = source.bytes_done
    for line in lines:
        chunk.append(line)
        if len(chunk) >= _CHUNK_LINES or source.bytes_done - begun >= _CHUNK_BYTES:
            break
    return chunk
