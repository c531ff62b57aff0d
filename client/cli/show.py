"""How messages, their counts and their history look on a terminal. Times are local and say their offset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from client.cli.output import one_line
from client.cli.receipts import counts_sentence, moment, receipt_sentence, span
from client.interface import AudiencePreview, Progress
from models.audience import Audience
from models.commands import HistoryEntry
from models.message import Counts, Message, MessageStatus
from models.recipient import Recipient, RecipientStatus
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
        add_row(rows, message.id, message.name, status, f"{counts.sent:,}", total, _short(_when(message)))
    return rows


def _when(message: Message) -> datetime:
    """The instant that matters most: the next one of a message that waits, else the last change."""
    if message.status is MessageStatus.SCHEDULED:
        scheduled = message.schedule.at if message.schedule else None
        return message.next_slot_at or scheduled or message.updated_at
    return message.updated_at


def _short(instant: datetime) -> str:
    local = instant.astimezone()
    return f"{local:%Y-%m-%d %H:%M}"


def message_sheet(message: Message) -> Table:
    """Return everything about a message but its bodies."""
    sheet = _sheet()
    status = status_text(message.status)
    if message.held:
        status.append("  held", style="bold red")
    _row(sheet, "Message", Text(one_line(message.name), style="bold"))
    _row(sheet, "Id", message.id)
    _row(sheet, "Status", status)
    if message.pending_command:
        flying = f"{message.in_flight:,} emails in flight"
        _row(sheet, "", Text(f"{message.pending_command} asked for, NOT confirmed; {flying}", style="bold yellow"))
    _row(sheet, "Can now", ", ".join(allowed_commands(message.status)))
    sender = f"{message.from_name} <{message.from_address}>" if message.from_name else message.from_address
    _row(sheet, "From", sender)
    if message.reply_to:
        _row(sheet, "Reply to", message.reply_to)
    _row(sheet, "Subject", message.subject)
    bodies = [f"{kind}, {len(body):,} characters" for kind, body in _bodies(message)]
    _row(sheet, "Body", "; ".join(bodies) or "none")
    for label, text in _audience_rows(message.audience):
        _row(sheet, label, text)
    if message.copied_from:
        _row(sheet, "Copy of", message.copied_from)
    if message.schedule is not None:
        _row(sheet, "Schedule", moment(message.schedule.at) if message.schedule.at else "now")
    if message.next_slot_at:
        _row(sheet, "Next", moment(message.next_slot_at))
    if message.counts.total or message.audience_estimate is None:
        _row(sheet, "Recipients", f"{message.counts.total:,}: {counts_sentence(message.counts)}")
    else:
        _row(sheet, "Recipients", f"about {message.audience_estimate:,}, chosen when the send begins")
    if message.receipt:
        _row(sheet, "Last receipt", receipt_sentence(message.receipt))
    if message.workflow_id:
        _row(sheet, "Workflow", message.workflow_id)
    _row(sheet, "Created", moment(message.created_at))
    _row(sheet, "Changed", moment(message.updated_at))
    return sheet


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


def progress_sheet(progress: Progress) -> Table:
    """Return a bar, every count, the pace and what is being waited for."""
    counts, sheet = progress.counts, _sheet()
    finished = _finished(counts)
    status = status_text(progress.status)
    if progress.pending_command:
        waiting = f"  {progress.pending_command} asked for, NOT confirmed; {progress.in_flight:,} in flight"
        status.append(waiting, style="bold yellow")
    _row(sheet, "Status", status)
    sheet.add_row(Text(""), ProgressBar(total=max(counts.total, 1), completed=finished, width=48))
    _row(sheet, "Recipients", f"{counts.total:,}, finished {finished:,} ({percent(counts)})")
    for group in (
        (RecipientStatus.SENT, RecipientStatus.PENDING, RecipientStatus.CLAIMED, RecipientStatus.DEFERRED),
        (RecipientStatus.IN_DOUBT, RecipientStatus.BOUNCED, RecipientStatus.FAILED, RecipientStatus.SUPPRESSED),
        (RecipientStatus.WITHDRAWN, RecipientStatus.EXPIRED, RecipientStatus.CANCELED),
    ):
        _row(sheet, "", ", ".join(f"{counts.of(status):,} {status.replace('_', ' ')}" for status in group))
    _row(sheet, "Pace", pace(progress))
    if progress.next_slot_at:
        _row(sheet, "Next", moment(progress.next_slot_at))
    if progress.began_at:
        _row(sheet, "Began", moment(progress.began_at))
    if progress.finished_at:
        taken = f" ({span(progress.finished_at - progress.began_at)})" if progress.began_at else ""
        _row(sheet, "Finished", moment(progress.finished_at) + taken)
    return sheet


def progress_line(progress: Progress) -> str:
    """Return the progress as one plain line."""
    parts = [f"{progress.status}, {percent(progress.counts)}: {counts_sentence(progress.counts)}"]
    if progress.pending_command:
        parts.append(f"{progress.pending_command} asked for, NOT confirmed, {progress.in_flight:,} in flight")
    if progress.rate_per_second:
        parts.append(pace(progress))
    return "; ".join(parts)


def percent(counts: Counts) -> str:
    """Return how much is finished; 100 % only when all of it is."""
    if not counts.total:
        return "0 %"
    return f"{_finished(counts) * 100 // counts.total} %"


def _finished(counts: Counts) -> int:
    """Return how many have their outcome; canceled ones do not count, or a canceled send would look like a full one."""
    return counts.total - counts.unfinished - counts.canceled


def pace(progress: Progress) -> str:
    if not progress.rate_per_second:
        return "nothing is leaving"
    eta = f", done about {moment(progress.eta)}" if progress.eta else ""
    return f"{progress.rate_per_second:,.0f} emails/s{eta}"


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


def _sheet() -> Table:
    sheet = Table.grid(padding=(0, 2))
    sheet.add_column(style="dim", no_wrap=True)
    sheet.add_column(overflow="fold")
    return sheet


def _row(sheet: Table, label: str, value: str | Text) -> None:
    sheet.add_row(Text(label), Text(one_line(value)) if isinstance(value, str) else value)
