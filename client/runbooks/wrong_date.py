"""wrong-date: unschedule, correct the time, schedule again. See docs/runbooks/wrong-date.md."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from client.cli.inputs import Instant
from client.cli.receipts import moment, receipt_sentence
from client.runbooks._registry import Runbook
from client.runbooks._run import SOURCE, Run, label
from models.commands import Verb
from models.errors import Refused
from models.message import Message, MessageStatus
from models.schedule import Schedule, check_schedule
from models.transitions import require


async def wrong_date(run: Run, *, message_id: str, at: datetime) -> None:
    """Give a scheduled message another time.

    It is unscheduled and scheduled again; between the two it is a draft, and cannot leave. Refused once the send has
    begun.
    """
    schedule = Schedule(at=at)
    why = run.reason(f"at {at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    message = await run.look.message(message_id)
    if message.status not in (MessageStatus.DRAFT, MessageStatus.CANCELED) and message.schedule == schedule:
        run.tell("note", f"{label(message)} has that time already, and is {message.status}.", message)
        return
    check_schedule(schedule, now=datetime.now(UTC))  # before it is a draft that nobody schedules
    if message.status is MessageStatus.DRAFT:
        await _require_unscheduled_here(run, message)
        await run.confirm(f"Schedule {label(message)} for {moment(at)}?")
    else:
        require(message.status, Verb.UNSCHEDULE)
        was = moment(message.schedule.at) if message.schedule and message.schedule.at else "now"
        await run.confirm(f"Move {label(message)} from {was} to {moment(at)}?")
        await run.unschedule(message, why)
    # It was scheduled before, with an audience that was empty at that time or not: that was decided then.
    await run.send(message, schedule, why, allow_empty=True)


async def _require_unscheduled_here(run: Run, draft: Message) -> None:
    """Go on from the middle of a run that ended early; refuse a draft that nobody meant to send."""
    last = await run.last_effective(draft)
    if last is None or last.command is not Verb.UNSCHEDULE or last.source != SOURCE:
        raise Refused(
            f"{label(draft)} is a draft, and not one that this runbook unscheduled; "
            f"schedule it with `sendgate send {draft.id} --at WHEN`.",
            status=draft.status,
        )
    assert last.receipt is not None  # it took effect
    run.tell(Verb.UNSCHEDULE, f"{label(draft)}: {receipt_sentence(last.receipt)}", draft, last.receipt)


RUNBOOK = Runbook(
    steps=wrong_date,
    parameters=(
        click.Argument(["message_id"], metavar="ID"),
        click.Option(
            ["--at"], type=Instant(), required=True, metavar="WHEN", help="The right time, with an offset or Z."
        ),
    ),
    examples=(
        "sendgate runbook wrong-date ID --at 2026-12-01T09:00+01:00 --dry-run",
        "sendgate runbook wrong-date ID --at 2026-12-01T09:00+01:00",
    ),
)
