"""Verbs over recipients in doubt: list them, take them as sent, send to them again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import click

from client.cli.inputs import WholeFrom
from client.cli.output import Output, one_line
from client.cli.receipts import moment, receipt_sentence
from client.cli.verb import asked_by, family, verb
from client.interface import CommandResult, RecipientInDoubt, UseCases
from models.commands import ReceiptOutcome
from models.errors import Refused
from models.message import MessageStatus

_ID = click.argument("message_id", metavar="ID")
_ADDRESSES = click.argument("addresses", nargs=-1, metavar="[ADDRESS...]")
_REASON = click.option("--reason", default="", metavar="TEXT", help="Why; kept in the history.")


@verb(
    "list",
    examples=(
        "sendgate in-doubt list ID",
        "sendgate in-doubt list ID --json | jq -r '.items[].email_message_id'",
    ),
)
@_ID
@click.option(
    "--limit", type=WholeFrom(1), default=100, show_default=True, help="How many are shown; --json gives all."
)
async def list_in_doubt(use: UseCases, out: Output, *, message_id: str, limit: int) -> None:
    """List those whose email the next hop may have taken.

    With each: when it was handed over, or since when nobody knows; the last that was heard; and the Message-ID, by
    which the next hop's log says whether it took the email.
    """
    async with aclosing(use.in_doubt(message_id)) as rows:
        if out.as_json:
            await out.items(rows)
        else:
            await _show_first(out, rows, limit)


async def _show_first(out: Output, rows: AsyncIterator[RecipientInDoubt], limit: int) -> None:
    shown = 0
    async for row in rows:
        if shown == limit:
            out.say(f"Only the first {limit:,} are shown; --json gives all.")
            return
        out.say(*_lines(row))
        shown += 1
    if not shown:
        out.say("Nobody is in doubt.")


def _lines(row: RecipientInDoubt) -> tuple[str, str]:
    """Return two lines: a table would cut the Message-ID, which is there to be searched for."""
    known = " ".join(part for part in (str(row.smtp_code or ""), row.reply, row.reason) if part)
    when = (
        f"handed over {moment(row.handed_over_at)}"
        if row.handed_over_at
        else f"in doubt since {moment(row.settled_at)}"
    )
    return (
        one_line(f"{row.address}  {when}, try {row.attempts}: {known or 'no reply'}"),
        f"    Message-ID {one_line(row.email_message_id)}",
    )


@verb(
    "accept",
    examples=(
        "sendgate in-doubt accept ID ada@example.org",
        "sendgate in-doubt accept ID --reason 'all are in the log of the next hop'",
    ),
)
@_ID
@_ADDRESSES
@_REASON
async def accept(use: UseCases, out: Output, *, message_id: str, addresses: Sequence[str], reason: str) -> None:
    """Take these as sent; without an ADDRESS everybody in doubt.

    For whoever is in the next hop's log. Nothing is mailed. All that are named are accepted, or nobody.
    """
    _conclude(out, await use.accept_in_doubt(message_id, asked_by(reason), addresses or None))


@verb(
    "resend",
    examples=(
        "sendgate in-doubt resend ID ada@example.org bob@example.org",
        "sendgate in-doubt resend ID --reason 'the next hop lost its queue'",
    ),
)
@_ID
@_ADDRESSES
@_REASON
async def resend(use: UseCases, out: Output, *, message_id: str, addresses: Sequence[str], reason: str) -> None:
    """Take these as not sent, and mail them again; without an ADDRESS everybody in doubt.

    Whoever did get the first email gets a second one, with the same Message-ID. Look into the next hop's log before.
    They are mailed at once, or in a paused message at its resume; a message that was sent is sending again. Who has
    been suppressed since gets nothing. All that are named are returned, or nobody.
    """
    _conclude(out, await use.resend_in_doubt(message_id, asked_by(reason), addresses or None))


def _conclude(out: Output, result: CommandResult) -> None:
    """Print what was decided. Raise Refused if the receipt says that nothing was: the command had been asked before."""
    receipt = result.receipt
    assert receipt is not None  # the database decides it at once
    if receipt.outcome is not ReceiptOutcome.DONE:
        raise Refused(receipt_sentence(receipt), status=receipt.status_after, receipt=receipt)
    reopened = receipt.status_before == MessageStatus.SENT != receipt.status_after
    watch = [f"Watch it with `sendgate watch {result.message.id}`."] if reopened else []
    out.answer(result.message.model_copy(update={"receipt": receipt}), receipt_sentence(receipt), *watch)


in_doubt = family("in-doubt", "List and decide about those who may have got it.", list_in_doubt, accept, resend)
