"""How far a send has come, on a terminal: bars for all of it, for its slots and for its throttle batches; or one line.

A sheet fits in 24 lines of 80 columns: of many slots and batches those around the present are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from client.cli.receipts import counts_sentence, moment, span
from client.cli.show import add_line, sheet, short, status_text
from client.interface import Progress
from models.message import Counts, MessageStatus
from models.progress import SlotProgress, ThrottleProgress
from models.recipient import RecipientStatus

#: Slots and batches together that have a bar of their own.
_BARS = 8
_WIDEST_LABEL, _WIDEST_STATE, _BAR_WIDTH = 34, 20, 14  # characters
#: What is worth a word beside a bar when it is not 0.
_WORTH_A_WORD = (
    RecipientStatus.IN_DOUBT,
    RecipientStatus.DEFERRED,
    RecipientStatus.EXPIRED,
    RecipientStatus.CANCELED,
    RecipientStatus.BOUNCED,
    RecipientStatus.FAILED,
)


def progress_view(progress: Progress, *, now: datetime) -> RenderableType:
    """Return the sheet, and below it a bar for each slot and batch around `now`."""
    slots, throttle = progress.slots, progress.throttle
    most = _BARS // 2 if slots and throttle else _BARS
    parts: list[RenderableType] = [_sheet_of(progress)]
    if slots:
        parts += _slot_bars(slots, most, now)
    if throttle is not None:
        parts += _batch_bars(throttle, most, if_resumed=progress.status is MessageStatus.PAUSED)
    return Group(*parts)


def progress_line(progress: Progress) -> str:
    """Return the progress as one plain line."""
    parts = [f"{progress.status}, {percent(progress.counts)}: {counts_sentence(progress.counts)}"]
    if progress.pending_command:
        parts.append(f"{progress.pending_command} asked for, NOT confirmed, {progress.in_flight:,} in flight")
    if progress.rate_per_second or progress.next_slot_at:
        parts.append(pace(progress))
    return "; ".join(parts)


def percent(counts: Counts) -> str:
    """Return how much is finished; 100 % only when all of it is."""
    if not counts.total:
        return "0 %"
    return f"{_finished(counts) * 100 // counts.total} %"


def pace(progress: Progress) -> str:
    """Return how fast emails leave and until when, or what comes next when nothing is leaving."""
    eta = progress.eta
    if progress.rate_per_second:
        done = f", done about {moment(eta)}" if eta else ""
        return f"{progress.rate_per_second:,.0f} emails/s{done}"
    if progress.next_slot_at is None:
        return "nothing is leaving"
    last = f", the last at {moment(eta)}" if eta and eta > progress.next_slot_at else ""
    return f"nothing is leaving, next {_next(progress)}{last}"


def _next(progress: Progress) -> str:
    """Return what begins at `next_slot_at`, and when: batch 13 at …"""
    assert progress.next_slot_at is not None, "checked"
    at = f"at {moment(progress.next_slot_at)}"
    if progress.throttle is not None:
        return f"batch {progress.throttle.opened + 1:,} {at}"
    slot = next((slot for slot in progress.slots if slot.due_at == progress.next_slot_at), None)
    return f"{slot.label} {at}" if slot else at


def _finished(counts: Counts) -> int:
    """Return how many have their outcome; canceled ones do not count, or a canceled send would look like a full one."""
    return counts.total - counts.unfinished - counts.canceled


def _sheet_of(progress: Progress) -> Table:
    """Return a bar, every count, the pace and what is being waited for."""
    counts, rows = progress.counts, sheet()
    finished = _finished(counts)
    status = status_text(progress.status)
    if progress.pending_command:
        waiting = f"  {progress.pending_command} asked for, NOT confirmed; {progress.in_flight:,} in flight"
        status.append(waiting, style="bold yellow")
    add_line(rows, "Status", status)
    rows.add_row(Text(""), ProgressBar(total=max(counts.total, 1), completed=finished, width=48))
    add_line(rows, "Recipients", f"{counts.total:,}, finished {finished:,} ({percent(counts)})")
    for group in (
        (RecipientStatus.SENT, RecipientStatus.PENDING, RecipientStatus.CLAIMED, RecipientStatus.DEFERRED),
        (RecipientStatus.IN_DOUBT, RecipientStatus.BOUNCED, RecipientStatus.FAILED, RecipientStatus.SUPPRESSED),
        (RecipientStatus.WITHDRAWN, RecipientStatus.EXPIRED, RecipientStatus.CANCELED),
    ):
        add_line(rows, "", ", ".join(f"{counts.of(status):,} {status.replace('_', ' ')}" for status in group))
    add_line(rows, "Pace", pace(progress))
    if progress.rate_per_second and progress.next_slot_at:
        add_line(rows, "Next", _next(progress))
    if progress.began_at:
        add_line(rows, "Began", moment(progress.began_at))
    if progress.finished_at:
        taken = f" ({span(progress.finished_at - progress.began_at)})" if progress.began_at else ""
        add_line(rows, "Finished", moment(progress.finished_at) + taken)
    return rows


def _slot_bars(slots: Sequence[SlotProgress], most: int, now: datetime) -> Iterator[RenderableType]:
    """Show the slots from a little before the first that is not finished, and say how many there are beside them."""
    present = next((n for n, slot in enumerate(slots) if slot.counts.unfinished), len(slots))
    first = max(0, min(present - most // 4, len(slots) - most))
    shown, later = slots[first : first + most], slots[first + most :]
    if first:
        yield Text(f"Slots before these: {first:,}, finished", style="dim")
    bars = _bars()
    for slot in shown:
        state = short(slot.due_at) if slot.due_at > now and slot.counts.unfinished else _state(slot.counts)
        _add_bar(bars, slot.label, slot.counts, state)
    yield bars
    if later:
        yield Text(f"Slots behind these: {len(later):,}, the last at {short(later[-1].due_at)}", style="dim")


def _batch_bars(throttle: ThrottleProgress, most: int, *, if_resumed: bool) -> Iterator[RenderableType]:
    """Show the last batches that were opened, and say what is to come of the others."""
    shown = throttle.batches[-most:]
    first = throttle.opened - len(shown) + 1
    if first > 1:
        yield Text(f"Batches before these: {first - 1:,}", style="dim")
    if shown:
        bars = _bars()
        for number, batch in enumerate(shown, first):
            opened_at = f"{batch.opened_at.astimezone():%m-%d %H:%M:%S}"  # without the year: the bars need the room
            _add_bar(bars, f"batch {number:,}, {opened_at}", batch.counts, _state(batch.counts))
        yield bars
    if throttle.next_opens_at is not None:
        times = f"next {_to_the_second(throttle.next_opens_at)}"
        if throttle.last_opens_at is not None and throttle.to_come > 1:
            times += f", last {_to_the_second(throttle.last_opens_at)}"
        yield Text(f"Batches {'if resumed' if if_resumed else 'to come'}: {throttle.to_come:,}, {times}")
    if throttle.ends_at is not None and (throttle.waiting or throttle.will_expire):
        expiring = f"{throttle.will_expire:,} {'would' if if_resumed else 'will'} expire"
        fate = expiring if throttle.will_expire else "everybody has a turn before"
        yield Text(f"End date {short(throttle.ends_at)}: {fate}")


def _to_the_second(instant: datetime) -> str:
    """Return the local date and time; turns may be seconds apart."""
    return f"{instant.astimezone():%Y-%m-%d %H:%M:%S}"


def _bars() -> Table:
    bars = Table.grid(padding=(0, 1))
    bars.add_column(max_width=_WIDEST_LABEL)
    bars.add_column(width=_BAR_WIDTH)
    bars.add_column(justify="right", no_wrap=True)  # a number is never cut: the others give way to it
    bars.add_column(max_width=_WIDEST_STATE, style="dim")
    return bars


def _add_bar(bars: Table, label: str, counts: Counts, state: str) -> None:
    finished = _finished(counts)
    bar = ProgressBar(total=max(counts.total, 1), completed=finished, width=_BAR_WIDTH)
    named, known = (Text(text, no_wrap=True, overflow="ellipsis") for text in (label, state))
    bars.add_row(named, bar, f"{finished:,} of {counts.total:,}", known)


def _state(counts: Counts) -> str:
    """Return what there is to know about a slot or batch that has begun: how far it is, and what did not go well."""
    words = [f"{counts.of(status):,} {status.replace('_', ' ')}" for status in _WORTH_A_WORD if counts.of(status)]
    return ", ".join([percent(counts), *words])
