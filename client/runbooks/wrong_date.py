"""wrong-date: unschedule, correct the time, schedule again. See docs/runbooks/wrong-date.md."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from client.cli.inputs import When
from client.cli.receipts import receipt_sentence
from client.cli.schedule_words import in_words, start_in_words
from client.runbooks._registry import Runbook
from client.runbooks._run import SOURCE, Run, label, took_effect
from models.commands import Verb
from models.contact import time_zones
from models.errors import Refused
from models.message import Message, MessageStatus
from models.schedule import Schedule, check_schedule
from models.slots import check_plan, make_plan
from models.transitions import require


async def wrong_date(run: Run, *, message_id: str, at: datetime) -> None:
    """Give a scheduled message another time.

    Time zone and throttle stay as they are: with a time zone, the time is wall-clock time there. The message is
    unscheduled and scheduled again; between the two it is a draft, and cannot leave. Refused once the send has begun.
    """
    message = await run.look.message(message_id)
    is_draft = message.status is MessageStatus.DRAFT
    before = await _schedule_unscheduled_here(run, message) if is_draft else message.schedule or Schedule()
    schedule = before.model_copy(update={"at": at})
    if not is_draft:
        if message.status is not MessageStatus.CANCELED and schedule == before:
            run.tell("note", f"{label(message)} has that time already, and is {message.status}.", message)
            return
        require(message.status, Verb.UNSCHEDULE)
    _check(schedule)  # before it is a draft that nobody schedules
    why = run.reason(f"at {_as_typed(at)}")
    if is_draft:
        await run.confirm(f"Send {label(message)} {in_words(schedule)}?")
    else:
        await run.confirm(f"Send {label(message)} {start_in_words(schedule)} instead of {start_in_words(before)}?")
        await run.unschedule(message, why)
    # It was scheduled before, with an audience that was empty at that time or not: that was decided then.
    await run.send(message, schedule, why, allow_empty=True)


async def _schedule_unscheduled_here(run: Run, draft: Message) -> Schedule:
    """Return the schedule that an earlier run took from a draft; refuse a draft that nobody meant to send."""
    effective = [entry for entry in await run.look.history(draft.id) if took_effect(entry)]
    last = effective[-1] if effective else None
    if last is None or last.command is not Verb.UNSCHEDULE or last.source != SOURCE:
        raise Refused(
            f"{label(draft)} is a draft, and not one that this runbook unscheduled; "
            f"schedule it with `sendgate send {draft.id} --at WHEN`.",
            status=draft.status,
        )
    assert last.receipt is not None  # it took effect
    run.tell(Verb.UNSCHEDULE, f"{label(draft)}: {receipt_sentence(last.receipt)}", draft, last.receipt)
    # One that was asked again has no details of its own.
    sends = [entry for entry in effective if entry.command is Verb.SEND and entry.details]
    return Schedule.model_validate(sends[-1].details) if sends else Schedule()


def _check(schedule: Schedule) -> None:
    """Refuse what `send` would refuse whatever zones the audience has. Raises InvalidInput."""
    now = datetime.now(UTC)
    check_schedule(schedule, now=now)
    check_plan(schedule, make_plan(schedule, accepted_at=now), dict.fromkeys(time_zones(), 0), accepted_at=now)


def _as_typed(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at.tzinfo else at.isoformat()


RUNBOOK = Runbook(
    steps=wrong_date,
    parameters=(
        click.Argument(["message_id"], metavar="ID"),
        click.Option(
            ["--at"],
            type=When("at"),
            required=True,
            metavar="WHEN",
            help="The right time, with an offset or Z; wall-clock time where the message has a time zone.",
        ),
    ),
    examples=(
        "sendgate runbook wrong-date ID --at 2026-12-01T09:00+01:00 --dry-run",
        "sendgate runbook wrong-date ID --at 2026-12-01T09:00+01:00",
        "sendgate runbook wrong-date ID --at 2026-12-01T09:00   # it has a time zone",
    ),
)
