"""What the Temporal UI shows of a send: the current details, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from models.ledger import Adoption, SlotLine, Survey
    from models.message import MessageStatus
    from models.recipient import RecipientStatus
    from workflows.state import NumberedCommand

_BAR = 10
_ALWAYS = (RecipientStatus.PENDING, RecipientStatus.CLAIMED, RecipientStatus.SENT)


def instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def progress_details(
    plan: Adoption,
    status: MessageStatus | None,
    survey: Survey,
    waiting: str | None,
    queue: Sequence[NumberedCommand],
    as_of: datetime,
) -> str:
    """Return status, what is waited for, and the counts as a table."""
    shown = status.value if status else "over: another scheduling of the message took its place"
    lines = [f"**{shown}**" + (f" · {waiting}" if waiting else "")]
    if status is MessageStatus.SCHEDULED and plan.next_slot_at:
        lines.append(f"To be sent at {instant(plan.next_slot_at)}.")
    if queue:
        lines.append("Asked and not yet answered: " + ", ".join(entry.command.verb for entry in queue))
    if survey.slots:
        lines += ["", "| slot | | finished |", "|---|---|--:|"]
        lines += [f"| {line.label} |{bar(line)}| {line.finished:,} of {line.total:,} |" for line in survey.slots]
    counts = survey.counts
    if counts.total:
        rows = [(s, counts.of(s)) for s in RecipientStatus if counts.of(s) or s in _ALWAYS]
        lines += ["", "| recipients | |", "|---|--:|"]
        lines += [f"| {name.value.replace('_', ' ')} | {number:,} |" for name, number in rows]
        lines += [f"| **total** | **{counts.total:,}** |", "", f"As of {instant(as_of)}."]
    return "\n".join(lines)


def bar(line: SlotLine) -> str:
    """Return how much of a slot is finished as ten characters; full only when all of it is."""
    done = line.finished * _BAR // line.total if line.total else _BAR
    return "\u00a0" + "▰" * done + "▱" * (_BAR - done) + "\u00a0"  # the UI's cells touch each other


def what_is_next(survey: Survey, turn_at: datetime | None) -> str:
    """Return what is slept for: "09:00 Asia/Tokyo, 1,204 recipients"."""
    if turn_at is not None and survey.turns is not None and (survey.next_at is None or turn_at <= survey.next_at):
        if turn_at == survey.turns.ends_at:
            return f"the end date, {survey.turns.waiting:,} recipients in no batch yet"
        return f"the next throttle batch, {survey.turns.waiting:,} recipients in none yet"
    for line in survey.slots:
        if line.due_at == survey.next_at:
            return f"{line.label}, {line.total:,} recipients"
    return f"{survey.counts.unfinished:,} recipients to come"
