"""What an operator reads after a command: when it took hold, what had left by then, and what had not."""

from __future__ import annotations

from datetime import datetime, timedelta

from client.cli.output import one_line
from models.commands import Receipt, ReceiptOutcome, Verb
from models.message import Counts, Message, MessageStatus

_DONE = {
    Verb.SEND: "Accepted",
    Verb.PAUSE: "Paused",
    Verb.RESUME: "Resumed",
    Verb.CANCEL: "Canceled",
    Verb.UNSCHEDULE: "Unscheduled",
}


def clock(instant: datetime) -> str:
    """Return the local time to the millisecond with its offset, and the date unless it is today's."""
    local = instant.astimezone()
    date = "" if local.date() == datetime.now(tz=local.tzinfo).date() else f"{local:%Y-%m-%d} "
    return f"{date}{local:%H:%M:%S}.{local.microsecond // 1000:03d} {_offset(local)}"


def moment(instant: datetime | None) -> str:
    """Return the local date and time with its offset; a dash for none."""
    if instant is None:
        return "–"
    local = instant.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S} {_offset(local)}"


def _offset(local: datetime) -> str:
    if local.utcoffset() == timedelta(0):
        return "UTC"
    written = f"{local:%z}"
    return f"{written[:3]}:{written[3:5]}"


def span(time: timedelta) -> str:
    """Return a length of time in the unit that suits it: 84 ms, 2.5 s, 3 min 5 s, 2 h 10 min."""
    seconds = time.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counts_sentence(counts: Counts) -> str:
    """Return the counts so that they add up to the total: sent, in doubt, not sent, and then each that is not 0."""
    not_sent = counts.unfinished + counts.canceled
    parts = [f"{counts.sent:,} sent", f"{counts.in_doubt:,} in doubt", f"{not_sent:,} not sent"]
    for name in ("bounced", "failed", "suppressed", "withdrawn", "expired"):
        if number := getattr(counts, name):
            parts.append(f"{number:,} {name}")
    return ", ".join(parts)


def receipt_sentence(receipt: Receipt) -> str:
    """Return what a command did. One that had been fulfilled carries the instant at which that was."""
    counts = Counts(**receipt.counts) if receipt.counts is not None else None
    done = _DONE.get(receipt.command, str(receipt.command).capitalize())
    if receipt.outcome is not ReceiptOutcome.DONE:
        why = one_line(receipt.explanation or "")
        return why or f"The {receipt.command} was {receipt.outcome}; nothing was changed."
    if receipt.command in (Verb.ACCEPT, Verb.RESEND) and counts is not None and receipt.effective_at is not None:
        decided = one_line(receipt.explanation or done)
        return f"{decided} At {clock(receipt.effective_at)}: {counts_sentence(counts)}."
    if receipt.command in (Verb.PAUSE, Verb.CANCEL) and receipt.status_after == MessageStatus.SENT:
        done = f"The last email left before the {receipt.command} took hold; sent"
    sentence = done
    if receipt.effective_at is not None:
        sentence += f" at {clock(receipt.effective_at)}"
        taken = receipt.effective_at - receipt.requested_at
        sentence += f", {span(taken)} after the request" if taken >= timedelta(0) else ", before this request"
    if receipt.command is Verb.UNSCHEDULE:
        return f"{sentence}: the message is a draft again, and nothing has left."
    if counts is None or receipt.command is Verb.SEND:  # nothing has happened yet
        return f"{sentence}."
    return f"{sentence}: {counts_sentence(counts)}."


def not_confirmed_sentence(verb: Verb, message: Message, waited: timedelta) -> str:
    """Return the warning for a command that was accepted and has no receipt yet."""
    sentence = f"The {verb} was accepted and is NOT confirmed after {span(waited)}"
    if verb.is_stop:
        flying = f" ({message.in_flight:,} in flight)" if message.in_flight else ""
        sentence += f": emails may still be leaving{flying}, so do not take it as stopped"
    else:
        sentence += f": do not take it as {_DONE[verb].lower()}"
    return f"{sentence}. It stays asked for; look with `sendgate watch {message.id}` (is a worker running?)."
