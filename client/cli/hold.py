"""Verbs of the hold, the kill switch over all messages."""

from __future__ import annotations

from collections.abc import Mapping

import click

from client.cli.inputs import WholeFrom
from client.cli.output import Output, one_line
from client.cli.receipts import moment
from client.cli.show import add_row, table
from client.cli.verb import asked_by, one_of, verb
from client.interface import UseCases
from models.hold import Hold

_SHOWN = 50


def _check(given: Mapping[str, object]) -> None:
    one_of("reason", "history")(given)
    if (given["limit"] or given["after"]) and not given["history"]:
        raise click.UsageError("--limit and --after go with --history.")


@verb(
    "hold",
    examples=("sendgate hold --reason 'the price is wrong everywhere'", "sendgate hold", "sendgate hold --history"),
    check=_check,
)
@click.option("--reason", metavar="TEXT", help="Put the hold, and say why; without it nothing is changed.")
@click.option("--history", is_flag=True, help="List who put and released it, when and why; the latest first.")
@click.option(
    "--limit", type=WholeFrom(1, 1000), metavar="NUMBER", help="With --history: how many at most.  [default: 50]"
)
@click.option("--after", type=WholeFrom(1, 2**63 - 1), metavar="NEXT", help="With --history: go on there.")
async def hold(
    use: UseCases, out: Output, *, reason: str | None, history: bool, limit: int | None, after: int | None
) -> None:
    """Stop everything: nothing begins and nothing more leaves, in any message, until `sendgate release`.

    It works on the database alone, so also while Temporal or the workers are away. What is being handed over in that
    moment still leaves, within seconds, and is counted; test emails leave all the same. Without --reason it says
    whether the hold is on; with --history, who put and released it before.
    """
    if history:
        await _show_history(use, out, limit or _SHOWN, after)
        return
    found = await use.hold() if reason is None else await use.put_hold(asked_by(reason))
    out.answer(found, _sentence(found))


@verb("release", examples=("sendgate release", "sendgate release --reason 'the price is right again'"))
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the history.")
async def release(use: UseCases, out: Output, *, reason: str) -> None:
    """Take the hold away, and let what waited go on, the oldest first. Paused messages stay paused."""
    out.answer(await use.release_hold(asked_by(reason)), "Released: messages go on.")


async def _show_history(use: UseCases, out: Output, limit: int, after: int | None) -> None:
    found, following = await use.hold_history(limit=limit, after=after)
    rows = table("when", "what", "by", "through", "why", whole=("when", "what"))
    for entry in found:
        add_row(rows, moment(entry.at), entry.act.value, entry.actor, entry.source, entry.reason)
    more = [f"There are more: --after {following}"] if following is not None else []
    out.answer({"items": found, "next": following}, rows if found else "Nobody has ever put the hold.", *more)


def _sentence(found: Hold) -> str:
    if not found.held:
        return "The hold is off."
    by = f"On hold since {moment(found.since)} by {one_line(found.actor or '')}: {one_line(found.reason or '')}."
    return f"{by} In flight: {found.in_flight:,}."
