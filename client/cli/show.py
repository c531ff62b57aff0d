"""How messages, their recipients and their history look on a terminal. Times are local and say their offset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from client.cli.output import one_line
from client.cli.receipts import counts_sentence, moment, receipt_sentence
from client.cli.schedule_words import batches_in_words, start_in_words, zones_in_words
from client.interface import AudiencePreview
from models.audience import Audience
from models.commands import HistoryEntry
from models.message import Message, MessageStatus
from models.recipient import Recipient
from models.schedule import Schedule
from models.transitions import allowed_commands

_LOOKS: dict[MessageStatus, tuple[str, str]] = {
    MessageStatus.DRAFT: ("✎", "dim"),
    MessageStatus.SCHEDULED: ("◷", "cyan"),
    MessageStatus.SENDING: ("▶", "green"),
    MessageStatus.PAUSED: ("⏸", "yellow"),
    MessageStatus.SENT: ("✔", "bold green"),
    MessageStatus.CANCELED: ("✖", "red"),
}


def status_text(status: MessageStatus) -> Text:
    symbol, style = _LOOKS[status]
    return Text(f"{symbol} {status}", style=style)


def table(*columns: str, numbers: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """Return an empty table. Columns in `numbers` and `whole` keep their width, the others give way to them."""
    result = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        kept = column in numbers or column in whole
        result.add_column(column, justify="right" if column in numbers else "left", no_wrap=kept, overflow="fold")
    return result


def add_row(rows: Table, *cells: str | Text) -> None:
    """Add a row of one line; what does not fit ends with an ellipsis."""
    rows.add_row(
        *(Text(one_line(cell), no_wrap=True, overflow="ellipsis") if isinstance(cell, str) else cell for cell in cells)
    )


def messages_table(messages: Sequence[Message]) -> Table:
    rows = table("id", "name", "status", "sent", "of", "when", numbers=("sent", "of"), whole=("id", "status", "when"))
    for message in messages:
        counts, status = message.counts, status_text(message.status)
        if message.pending_command:
            status.append(f" ({message.pending_command} asked for)", style="bold yellow")
        total = f"{counts.total:,}"
        if not counts.total:
            total = "–" if message.audience_estimate is None else f"~{message.audience_estimate:,}"
        add_row(rows, message.id, message.name, status, f"{counts.sent:,}", total, _when(message))
    return rows


def _when(message: Message) -> str:
    """The instant that matters most: the next one of a message that waits, else the last change."""
    if message.status is not MessageStatus.SCHEDULED or message.next_slot_at is None:
        return short(message.updated_at)
    schedule = message.schedule
    goes_on = schedule is not None and (schedule.is_by_contact_zone or schedule.throttle is not None)
    # Beside a pending command there is no room for the word in 80 columns.
    first = "from " if goes_on and not message.pending_command else ""
    return first + short(message.next_slot_at)


def short(instant: datetime) -> str:
    """Return the local date and time to the minute, for tables."""
    local = instant.astimezone()
    return f"{local:%Y-%m-%d %H:%M}"


def message_sheet(message: Message) -> Table:
    """Return everything about a message but its bodies."""
    rows = sheet()
    status = status_text(message.status)
    if message.held:
        status.append("  held", style="bold red")
    add_line(rows, "Message", Text(one_line(message.name), style="bold"))
    add_line(rows, "Id", message.id)
    add_line(rows, "Status", status)
    if message.pending_command:
        flying = f"{message.in_flight:,} emails in flight"
        add_line(rows, "", Text(f"{message.pending_command} asked for, NOT confirmed; {flying}", style="bold yellow"))
    add_line(rows, "Can now", ", ".join(allowed_commands(message.status)))
    sender = f"{message.from_name} <{message.from_address}>" if message.from_name else message.from_address
    add_line(rows, "From", sender)
    if message.reply_to:
        add_line(rows, "Reply to", message.reply_to)
    add_line(rows, "Subject", message.subject)
    bodies = [f"{kind}, {len(body):,} characters" for kind, body in _bodies(message)]
    add_line(rows, "Body", "; ".join(bodies) or "none")
    for label, text in _audience_rows(message.audience):
        add_line(rows, label, text)
    if message.copied_from:
        add_line(rows, "Copy of", message.copied_from)
    for label, text in _schedule_rows(message.schedule):
        add_line(rows, label, text)
    if message.next_slot_at:
        add_line(rows, "Next", moment(message.next_slot_at))
    if message.counts.total or message.audience_estimate is None:
        add_line(rows, "Recipients", f"{message.counts.total:,}: {counts_sentence(message.counts)}")
    else:
        add_line(rows, "Recipients", f"about {message.audience_estimate:,}, chosen when the send begins")
    if message.receipt:
        add_line(rows, "Last receipt", receipt_sentence(message.receipt))
    if message.workflow_id:
        add_line(rows, "Workflow", message.workflow_id)
    add_line(rows, "Created", moment(message.created_at))
    add_line(rows, "Changed", moment(message.updated_at))
    return rows


def _bodies(message: Message) -> list[tuple[str, str]]:
    return [(kind, body) for kind, body in (("HTML", message.html), ("text", message.text)) if body is not None]


def _audience_rows(audience: Audience) -> Iterable[tuple[str, str]]:
    yield "Lists", ", ".join(audience.lists) or "none: nobody is in the audience"
    if audience.where:
        yield "Where", str(audience.model_dump(mode="json")["where"])
    if audience.exclude_lists:
        yield "Not on", ", ".join(audience.exclude_lists)
    if audience.exclude_recipients_of:
        yield "Not reached by", ", ".join(audience.exclude_recipients_of)


def _schedule_rows(schedule: Schedule | None) -> Iterable[tuple[str, str]]:
    if schedule is None:
        return
    yield "Schedule", start_in_words(schedule)
    if zones := zones_in_words(schedule):
        yield "", zones
    if batches := batches_in_words(schedule):
        yield "", batches


def audience_report(audience: AudiencePreview) -> list[str]:
    """Return what a preview says about the audience, a sentence a line."""
    lines = [
        f"{audience.count:,} contacts, of whom {audience.suppressed:,} are suppressed and get nothing; "
        f"{audience.excluded:,} more are kept out by exclusions."
    ]
    lines += [
        f"{number:,} of them lack {one_line(name)}, which renders empty." for name, number in audience.lacking.items()
    ]
    return lines


def history_table(entries: Sequence[HistoryEntry]) -> Table:
    rows = table("when", "command", "by", "through", "reason", "answer", whole=("when", "command"))
    for entry in entries:
        receipt = entry.receipt
        answer = Text("NOT confirmed", style="bold yellow") if receipt is None else Text(receipt_sentence(receipt))
        add_row(rows, moment(entry.requested_at), entry.command, entry.actor, entry.source, entry.reason, answer)
    return rows


def recipients_table(recipients: Sequence[Recipient]) -> Table:
    rows = table("address", "status", "tries", "handed over", "reply", numbers=("tries",), whole=("status",))
    for recipient in recipients:
        reply = " ".join(part for part in (str(recipient.smtp_code or ""), recipient.reply, recipient.reason) if part)
        handed_over = moment(recipient.handed_over_at)
        add_row(rows, recipient.address, recipient.status, str(recipient.attempts), handed_over, reply)
    return rows


def sheet() -> Table:
    """Return an empty sheet: a label and what belongs to it, line by line."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    return rows


def add_line(rows: Table, label: str, value: str | Text) -> None:
    """Add what belongs to a label; it is broken into lines where it does not fit."""
    rows.add_row(Text(label), Text(one_line(value)) if isinstance(value, str) else value)
