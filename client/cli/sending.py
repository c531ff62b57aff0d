"""Verbs that send and stop: each asks once, waits for the receipt and prints it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from client.cli.exits import ExitCode
from client.cli.inputs import Seconds, When
from client.cli.output import Output, complain, one_line
from client.cli.receipts import not_confirmed_sentence, receipt_sentence
from client.cli.schedule_words import in_words
from client.cli.scheduling import check_options, takes_schedule
from client.cli.show_plan import plan_report
from client.cli.show_resume import resume_report
from client.cli.verb import asked_by, verb
from client.interface import CommandResult, SendTestOutcome, UseCases
from models.commands import ReceiptOutcome, Verb
from models.errors import Refused
from models.recipient import Verdict
from models.schedule import Schedule

_ID = click.argument("message_id", metavar="ID")
_REASON = click.option("--reason", default="", metavar="TEXT", help="Why; kept in the history.")
_WAIT = click.option(
    "--wait",
    type=Seconds(),
    metavar="SECONDS",
    default=timedelta(seconds=10),
    help="How long to wait for the receipt; after that the exit code is 6.  [default: 10]",
)


@verb(
    "send",
    examples=(
        "sendgate send ID",
        "sendgate send ID --at 2026-12-01T09:00+01:00",
        "sendgate send ID --at 2026-12-01T09:00 --time-zone contact --dry-run",
        "sendgate send ID --at '2026-12-01 09:00' --time-zone Europe/Oslo \\\n"
        "      --batch-size 5000 --every 15m --ends-at '2026-12-01 18:00'",
    ),
    check=check_options,
)
@_ID
@takes_schedule
@click.option("--allow-empty", is_flag=True, help="Also when nobody is in the audience at present.")
@click.option("--dry-run", is_flag=True, help="Check it and print the plan; nothing is stored.")
async def send(
    use: UseCases, out: Output, *, message_id: str, schedule: Schedule, allow_empty: bool, dry_run: bool
) -> None:
    """Send a draft now, or schedule it: for an instant, by the clocks of a time zone, all at once or throttled.

    A time without an offset is wall-clock time: what the clocks show in --time-zone. T09:00 with the zone contact
    is 9 in the morning for everybody, in Tokyo hours before Oslo. A time that the clocks skip in spring is later by
    the gap, and one that comes twice in autumn is the first.

    A throttled send mails one batch at each turn, and turns are --every apart from the start on: 5,000 every 15
    minutes until 18:00 is the last example. A turn that passes while the send is paused is dropped, and there is no
    burst afterwards.

    The audience is read when the send begins. Until then `unschedule` makes it a draft again; after that `pause`
    and `cancel` stop it. The command returns as soon as the send is accepted: `watch` shows it leave.
    """
    if dry_run:
        preview = await use.plan(message_id, schedule, allow_empty=allow_empty)
        out.answer(preview, *plan_report(preview))
        return
    result = await use.send(message_id, schedule, asked_by(), allow_empty=allow_empty)
    when = in_words(result.message.schedule or schedule, first_at=result.message.next_slot_at)
    estimate = result.message.audience_estimate
    size = f", to about {estimate:,} contacts" if estimate is not None else ""
    out.answer(
        _with_its_receipt(result),
        f"Accepted: {one_line(result.message.name)} is sent {when}{size}.",
        f"Watch it with `sendgate watch {message_id}`.",
    )


@verb(
    "pause",
    examples=("sendgate pause ID", "sendgate pause ID --reason 'landing page is down' --wait 30"),
)
@_ID
@_REASON
@_WAIT
async def pause(use: UseCases, out: Output, *, message_id: str, reason: str, wait: timedelta) -> ExitCode:
    """Stop a running send so that it can go on later. Nothing leaves once the receipt is printed.

    Emails being handed over at that moment are finished first; the receipt counts what had left. Without a receipt
    within --wait the exit code is 6: it stays asked for, but nobody may take it as stopped.
    """
    return _conclude(out, Verb.PAUSE, wait, await use.pause(message_id, asked_by(reason), wait=wait))


@verb(
    "resume",
    examples=(
        "sendgate resume ID --preview",
        "sendgate resume ID --reason 'page is back'",
        "sendgate resume ID --ends-at 2026-12-02T18:00+01:00",
    ),
)
@_ID
@_REASON
@_WAIT
@click.option("--preview", is_flag=True, help="Only say what it would do; nothing is changed.")
@click.option("--ends-at", type=When("ends_at"), metavar="WHEN", help="Move the end date of a throttled send.")
async def resume(
    use: UseCases,
    out: Output,
    *,
    message_id: str,
    reason: str,
    wait: timedelta,
    preview: bool,
    ends_at: datetime | None,
) -> ExitCode | None:
    """Go on with a paused send. Nobody gets it twice.

    The audience is read again: contacts who joined are added, those who left it or were suppressed get nothing.
    Zones whose time passed in the pause go at once. Of a throttled send the interrupted batch is finished and the
    next waits for its turn; with the end date behind it the rest expires, unless --ends-at moves that.
    """
    if preview:
        would = await use.resume_preview(message_id, ends_at=ends_at)
        out.answer(would, *resume_report(would), "Nothing was changed.")
        return None
    result = await use.resume(message_id, asked_by(reason), ends_at=ends_at, wait=wait)
    return _conclude(out, Verb.RESUME, wait, result)


@verb("cancel", examples=("sendgate cancel ID --reason 'wrong body'",))
@_ID
@_REASON
@_WAIT
async def cancel(use: UseCases, out: Output, *, message_id: str, reason: str, wait: timedelta) -> ExitCode:
    """Stop a send for good. What has not left is never sent; nothing leaves once the receipt is printed.

    There is no way back. To send a corrected version to the rest: `sendgate copy ID --exclude-recipients`.
    """
    return _conclude(out, Verb.CANCEL, wait, await use.cancel(message_id, asked_by(reason), wait=wait))


@verb("unschedule", examples=("sendgate unschedule ID --reason 'wrong date'",))
@_ID
@_REASON
@_WAIT
async def unschedule(use: UseCases, out: Output, *, message_id: str, reason: str, wait: timedelta) -> ExitCode:
    """Make a scheduled message a draft again.

    Nothing of it has left then. If the send has begun it is refused, and pause and cancel are named: it is a draft
    or it is sending, never both.
    """
    # The database decides it at once, so there is nothing to wait for: --wait is taken as with the other stops.
    return _conclude(out, Verb.UNSCHEDULE, wait, await use.unschedule(message_id, asked_by(reason)))


@verb(
    "copy",
    examples=("sendgate copy ID", "sendgate copy ID --exclude-recipients --name 'May news, corrected'"),
)
@_ID
@click.option("--exclude-recipients", is_flag=True, help="Keep out everybody whom the original reached or may have.")
@click.option("--name", help="The copy's name.")
async def copy(use: UseCases, out: Output, *, message_id: str, exclude_recipients: bool, name: str | None) -> None:
    """Copy a message as a new draft.

    With --exclude-recipients the copy goes to the rest: who was sent the original, or may have been, is read when
    the copy begins. It cannot be sent while the original could still mail somebody.
    """
    draft = await use.copy(message_id, exclude_recipients=exclude_recipients, name=name)
    out.answer(
        draft,
        f"Draft: {draft.id} ({one_line(draft.name)}), a copy of {one_line(message_id)}.",
        f"Change it with `sendgate messages edit {draft.id}`, send it with `sendgate send {draft.id}`.",
    )


@verb("sendtest", examples=("sendgate sendtest ID me@example.org you@example.org",))
@_ID
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
async def sendtest(use: UseCases, out: Output, *, message_id: str, addresses: Sequence[str]) -> ExitCode:
    """Send a message to a few addresses to look at it. Nothing is counted and no status changes.

    The exit code is 1 unless the next hop took every one of them.
    """
    outcomes = await use.send_test(message_id, addresses)
    out.answer({"outcomes": outcomes}, *map(_outcome_line, outcomes))
    not_sent = sum(outcome.verdict is not Verdict.SENT for outcome in outcomes)
    if not_sent:
        sentence = f"Not sent: {not_sent} of {len(outcomes)} test emails."
        complain(sentence, as_json=out.as_json, code="error", details={"not_sent": not_sent})
        return ExitCode.FAILED
    return ExitCode.DONE


def _outcome_line(outcome: SendTestOutcome) -> str:
    reply = f"{outcome.smtp_code or ''} {outcome.reply or ''}".strip()
    verdict = outcome.verdict.value.replace("_", " ")
    return one_line(f"{outcome.address}: {verdict}" + (f" ({reply})" if reply else ""))


def _conclude(out: Output, command: Verb, waited: timedelta, result: CommandResult) -> ExitCode:
    """Print what a command did. Raise Refused if its receipt says that it did nothing."""
    receipt = result.receipt
    if receipt is None:
        warning = not_confirmed_sentence(command, result.message, waited)
        if out.as_json:
            out.answer(_with_its_receipt(result))
        complain(warning, label="", as_json=out.as_json, code="not_confirmed", details={"pending_command": command})
        return ExitCode.NOT_CONFIRMED
    if receipt.outcome is not ReceiptOutcome.DONE:
        raise Refused(receipt_sentence(receipt), status=receipt.status_after, receipt=receipt)
    out.answer(_with_its_receipt(result), receipt_sentence(receipt))
    return ExitCode.DONE


def _with_its_receipt(result: CommandResult) -> object:
    """Return the message with the receipt of this command or none: an older one must not be read as the answer."""
    return result.message.model_copy(update={"receipt": result.receipt})
