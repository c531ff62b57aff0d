"""Verbs that only look: progress, recipients, history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import click
from rich.live import Live

from client import recipients_csv
from client.cli import show, show_progress
from client.cli.inputs import Seconds, WholeFrom
from client.cli.output import Output
from client.cli.verb import one_of, verb
from client.interface import Progress, UseCases
from models.recipient import Recipient, RecipientStatus

_ID = click.argument("message_id", metavar="ID")
#: RFC 4180 rows are put together and written this many at a time.
_ROWS_A_WRITE = 500


@verb(
    "watch",
    examples=("sendgate watch ID", "sendgate watch ID --json | jq -c '[.status, .counts.sent]'"),
)
@_ID
@click.option(
    "--every",
    type=Seconds(least=0.1),
    metavar="SECONDS",
    default=timedelta(seconds=0.5),
    help="How often to look.  [default: 0.5]",
)
async def watch(use: UseCases, out: Output, *, message_id: str, every: timedelta) -> None:
    """Follow a message live.

    It ends when the message is sent or canceled, or at Ctrl-C; watching changes nothing. It shows a bar, all
    counts, the pace, when it will be done, and a stop that is asked for and not confirmed; below that a bar for
    each time zone's slot and each throttle batch around the present, and what is to come. Through a pipe it prints
    one line for each change, which names what comes next while nothing is leaving; with --json one JSON document a
    line.
    """
    if out.as_json or not out.is_terminal:
        async for progress in _changes(use, message_id, every):
            if out.as_json:
                out.line(progress)
            else:
                out.write(show_progress.progress_line(progress) + "\n")
                out.flush()
        return
    with Live(console=out.console, auto_refresh=False) as live:
        async for progress in _changes(use, message_id, every):
            live.update(show_progress.progress_view(progress, now=datetime.now(UTC)), refresh=True)


async def _changes(use: UseCases, message_id: str, every: timedelta) -> AsyncIterator[Progress]:
    """Yield the progress now and whenever it differs; end behind the one that is final."""
    last: Progress | None = None
    while True:
        progress = await use.progress(message_id)
        if progress != last:
            yield progress
        if progress.status.is_final:
            return
        last = progress
        await asyncio.sleep(every.total_seconds())


@verb("progress", examples=("sendgate progress ID", "sendgate progress ID --json | jq .counts"))
@_ID
async def progress(use: UseCases, out: Output, *, message_id: str) -> None:
    """Show counts and pace once, and how far each slot and throttle batch is.

    The counts add up to the total at every moment.
    """
    found = await use.progress(message_id)
    out.answer(found, show_progress.progress_view(found, now=datetime.now(UTC)))


@verb(
    "recipients",
    examples=(
        "sendgate recipients ID --status in_doubt --status bounced",
        "sendgate recipients ID --csv > recipients.csv",
    ),
    check=one_of("as_csv", "as_json"),
)
@_ID
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in RecipientStatus]),
    metavar="STATUS",
    help=f"Only these; may repeat: {', '.join(RecipientStatus)}.",
)
@click.option("--csv", "as_csv", is_flag=True, help="All of them as CSV (RFC 4180, UTF-8, times in UTC).")
@click.option(
    "--limit", type=WholeFrom(1), default=100, show_default=True, help="How many the table shows; no other limit."
)
async def recipients(
    use: UseCases, out: Output, *, message_id: str, statuses: Sequence[str], as_csv: bool, limit: int
) -> None:
    """List the recipients and what became of each.

    They come in the order of the send. Before the send begins there is nobody. --csv and --json give all of them.
    """
    async with aclosing(use.recipients(message_id, statuses=[RecipientStatus(s) for s in statuses])) as rows:
        if as_csv:
            await _write_csv(out, rows)
        elif out.as_json:
            await out.items(rows)
        else:
            await _show_first(out, rows, limit)


async def _show_first(out: Output, rows: AsyncIterator[Recipient], limit: int) -> None:
    shown: list[Recipient] = []
    more: list[str] = []
    async for row in rows:
        if len(shown) == limit:
            more = [f"Only the first {limit:,} are shown; --csv gives all."]
            break
        shown.append(row)
    out.say(*([show.recipients_table(shown), *more] if shown else ["No such recipients."]))


async def _write_csv(out: Output, rows: AsyncIterator[Recipient]) -> None:
    """Write a header and the rows; an error before the first row leaves standard output empty."""
    written, waiting = recipients_csv.header(), []
    async for row in rows:
        waiting.append(row)
        if len(waiting) == _ROWS_A_WRITE:
            out.write(written + recipients_csv.lines(waiting))
            written, waiting = "", []
    out.write(written + recipients_csv.lines(waiting))


@verb("history", examples=("sendgate history ID",))
@_ID
async def history(use: UseCases, out: Output, *, message_id: str) -> None:
    """List every command, with who gave it and what it did.

    Also when, why and through what, and whether it was refused or is not confirmed.
    """
    entries = await use.history(message_id)
    out.answer({"items": entries}, show.history_table(entries) if entries else "No commands yet.")
