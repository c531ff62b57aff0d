"""Verbs of the hold, the kill switch over all messages."""

from __future__ import annotations

import click

from client.cli.output import Output, one_line
from client.cli.receipts import moment
from client.cli.verb import asked_by, verb
from client.interface import UseCases
from models.hold import Hold


@verb("hold", examples=("sendgate hold --reason 'the price is wrong everywhere'", "sendgate hold"))
@click.option("--reason", metavar="TEXT", help="Put the hold, and say why; without it nothing is changed.")
async def hold(use: UseCases, out: Output, *, reason: str | None) -> None:
    """Stop everything: nothing begins and nothing more leaves, in any message, until `sendgate release`.

    It works on the database alone, so also while Temporal or the workers are away. What is being handed over in that
    moment still leaves, within seconds, and is counted. Without --reason it says whether the hold is on.
    """
    found = await use.hold() if reason is None else await use.put_hold(asked_by(reason))
    out.answer(found, _sentence(found))


@verb("release", examples=("sendgate release",))
async def release(use: UseCases, out: Output) -> None:
    """Take the hold away, and let what waited go on, the oldest first. Paused messages stay paused."""
    out.answer(await use.release_hold(asked_by()), "Released: messages go on.")


def _sentence(found: Hold) -> str:
    if not found.held:
        return "The hold is off."
    by = f"On hold since {moment(found.since)} by {one_line(found.actor or '')}: {one_line(found.reason or '')}."
    return f"{by} In flight: {found.in_flight:,}."
