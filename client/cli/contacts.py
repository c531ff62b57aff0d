"""Verbs over people: contacts, lists and suppressed addresses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from client.cli.inputs import WholeFrom
from client.cli.output import Output, console_of, one_line
from client.cli.show import add_row, table
from client.cli.verb import family, verb
from client.interface import UseCases
from models.contact import ImportResult

_REJECTED_SHOWN = 20


@verb(
    "import",
    examples=(
        "sendgate contacts import people.csv --list newsletter",
        "sendgate contacts import people.csv --json | jq '.rejected'",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True), metavar="FILE.csv")
@click.option("--list", "list_name", metavar="NAME", help="Also put them on this list; it is made if it is new.")
async def import_contacts(use: UseCases, out: Output, *, file: str, list_name: str | None) -> None:
    """Import contacts from a CSV file with a header row.

    The column email is required, time_zone (like Europe/Oslo) is optional, and every other column becomes an
    attribute for templates: {{ contact.first_name }}. One address is one contact: importing it again updates it.
    Bad lines are named by number and reason, and the good ones go in; a crash in the middle leaves none of them.
    """
    with _bar(Path(file).name) as on_progress:
        result = await use.import_contacts(file, list_name=list_name, on_progress=on_progress)
    out.answer(result, *_import_report(result))


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar on standard error if it is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console_of(stream_is_stdout=False), transient=True) as bar:
        task = bar.add_task(one_line(label), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _import_report(result: ImportResult) -> list[str]:
    rejected, total = result.rejected, result.rejected_total
    lines = [f"{result.created:,} created, {result.updated:,} updated, {total:,} rejected."]
    lines += [f"line {line.line:,}: {one_line(line.reason)}" for line in rejected[:_REJECTED_SHOWN]]
    if total > _REJECTED_SHOWN:
        named = "them all" if total == len(rejected) else f"the first {len(rejected):,}"
        lines.append(f"... and {total - _REJECTED_SHOWN:,} more rejected lines; --json names {named}.")
    return lines


@verb("list", examples=("sendgate contacts list", "sendgate contacts list --list newsletter --limit 20"))
@click.option("--list", "list_name", metavar="NAME", help="Only those on this list.")
@click.option("--limit", type=WholeFrom(1, 1000), default=100, show_default=True, help="How many at most.")
@click.option("--after", type=WholeFrom(0, 2**63 - 1), default=0, help="Go on behind the contact with this id.")
async def list_contacts(use: UseCases, out: Output, *, list_name: str | None, limit: int, after: int) -> None:
    """List contacts by id, with their lists; suppressed ones say why."""
    found = await use.contacts(list_name=list_name, limit=limit, after=after)
    following = found[-1].id if len(found) == limit else None
    rows = table("id", "address", "time zone", "lists", "suppressed", numbers=("id",), whole=("address",))
    for contact in found:
        add_row(
            rows,
            str(contact.id),
            contact.address,
            contact.time_zone or "–",
            ", ".join(contact.lists),
            contact.suppressed or ("yes" if contact.suppressed is not None else ""),
        )
    more = [f"There may be more: --after {following}"] if following is not None else []
    out.answer({"items": found, "next": following}, *([rows, *more] if found else ["No contacts."]))


@verb("lists", examples=("sendgate lists",))
async def lists(use: UseCases, out: Output) -> None:
    """Show the lists and how many contacts are on each."""
    found = await use.lists()
    rows = table("list", "contacts", numbers=("contacts",), whole=("list",))
    for entry in found:
        add_row(rows, entry.name, f"{entry.contacts:,}")
    nothing = "No lists yet; `sendgate contacts import FILE.csv --list NAME` makes one."
    out.answer({"items": found}, rows if found else nothing)


@verb(
    "suppress",
    examples=("sendgate suppress ada@example.org", "sendgate suppress ada@example.org --reason 'asked by phone'"),
)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--reason", default="", help="Why; shown wherever the address appears.")
async def suppress(use: UseCases, out: Output, *, addresses: Sequence[str], reason: str) -> None:
    """Never mail these addresses again, whatever list they are on.

    It takes hold at once, also in a send that is running. The address need not belong to a contact.
    """
    done = await use.suppress(addresses, reason=reason)
    out.answer({"suppressed": done}, f"Addresses suppressed: {done:,}.")


@verb("unsuppress", examples=("sendgate unsuppress ada@example.org",))
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
async def unsuppress(use: UseCases, out: Output, *, addresses: Sequence[str]) -> None:
    """Let these addresses be mailed again.

    Messages that are running take them up at their next resume.
    """
    done = await use.unsuppress(addresses)
    out.answer({"unsuppressed": done}, f"Addresses that may be mailed again: {done:,}.")


contacts = family("contacts", "Import and list contacts.", import_contacts, list_contacts)
