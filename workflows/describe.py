"""What the Temporal UI shows of a send: the current details, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from models.ledger import Adoption, Survey
    from models.message import MessageStatus
    from models.recipient import RecipientStatus
    from workflows.state import NumberedCommand

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
    if status is MessageStatus.SCHEDULED and plan.first_due_at:
        lines.append(f"To be sent at {instant(plan.first_due_at)}.")
    if queue:
        lines.append("Asked and not yet answered: " + ", ".join(entry.command.verb for entry in queue))
    counts = survey.counts
    if counts.total:
        rows = [(s, counts.of(s)) for s in RecipientStatus if counts.of(s) or s in _ALWAYS]
        lines += ["", "| recipients | |", "|---|--:|"]
        lines += [f"| {name.value.replace('_', ' ')} | {number:,} |" for name, number in rows]
        lines += [f"| **total** | **{counts.total:,}** |", "", f"As of {instant(as_of)}."]
    return "\n".join(lines)
