"""broken-landing-page: pause, wait until the page is mended, resume. See docs/runbooks/broken-landing-page.md."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime

import click

from client.cli.output import one_line
from client.cli.receipts import counts_sentence, moment
from client.cli.show_resume import resume_report
from client.runbooks._registry import Runbook
from client.runbooks._run import SOURCE, Run, label, took_effect
from models.commands import HistoryEntry, Verb
from models.errors import InvalidInput
from models.message import Message, MessageStatus

_LONGEST_LINK = 400  # characters; it is in the reason, by which a later run knows what this one did


async def broken_landing_page(run: Run, *, link: str) -> None:
    """Pause what links to a broken page, and resume it when the page is back.

    LINK is the address of the page, or the part of it that all the links have in common. Every message that is
    sending and contains it is paused; then it waits for you. It resumes what it paused itself, and nothing that
    somebody else wants paused. Ctrl-C while it waits leaves all of it paused; the same command goes on.
    """
    link = link.strip()
    if not link:
        raise InvalidInput("LINK is empty: every message contains that.", field="link")
    if not link.isprintable() or len(link) > _LONGEST_LINK:
        sentence = f"LINK is one line of at most {_LONGEST_LINK} characters; give the part that all the links share."
        raise InvalidInput(sentence, field="link")
    why = run.reason(link)
    sending = await _containing(run, link, MessageStatus.SENDING)
    for message in await _containing(run, link, MessageStatus.SCHEDULED):
        begins = moment(message.next_slot_at)
        run.tell("note", f"{label(message)} has the link too and begins at {begins}: unschedule it by hand.", message)
    await run.pause(sending, why)

    held = await _held(run, link, why, tell_others=True)
    to_resume = _together(held, sending) if run.dry_run else held
    if not to_resume:
        run.tell("note", f"No message with {one_line(link)} was sending, and this runbook keeps none paused.")
        return
    await run.wait("mend the page, then press Enter to see what a resume would do (Ctrl-C leaves it paused).")
    to_resume = _together(await _held(run, link, why), sending if run.dry_run else ())
    for message in to_resume:
        await _preview(run, message)
    if to_resume:
        await run.confirm(f"Resume {', '.join(map(label, to_resume))}?")
    # Looked at once more: whoever asked for a pause while the question stood meant it to last.
    previewed = {message.id for message in to_resume}
    still = _together(await _held(run, link, why), sending if run.dry_run else ())
    await run.resume([message for message in still if message.id in previewed], why)


async def _containing(run: Run, link: str, status: MessageStatus) -> list[Message]:
    """Return the messages in `status` with the link in subject or body, also as HTML writes its ampersands."""
    ids: dict[str, None] = {}
    for written in dict.fromkeys((link, html.escape(link))):
        ids |= dict.fromkeys(await run.look.messages_containing(written, statuses=[status]))
    return [await run.look.message(message_id) for message_id in ids]


async def _held(run: Run, link: str, why: str, *, tell_others: bool = False) -> list[Message]:
    """Return the paused messages with the link that this runbook, and nobody else, wants paused."""
    held = []
    for message in await _containing(run, link, MessageStatus.PAUSED):
        pauses = _pauses_in_force(await run.look.history(message.id))
        other = next((pause for pause in pauses if (pause.source, pause.reason) != (SOURCE, why)), None)
        if pauses and other is None:
            held.append(message)
        elif tell_others:
            by = f"{other.actor}: {one_line(other.reason) or 'no reason given'}" if other else "somebody else"
            run.tell("note", f"{label(message)} stays paused, as was asked by {by}.", message)
    return held


def _pauses_in_force(history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Return the pause that holds a paused message, and those asked for since: they share its instant."""
    by_instant: dict[datetime, list[HistoryEntry]] = {}
    for entry in history:
        if entry.command is Verb.PAUSE and took_effect(entry) and entry.receipt and entry.receipt.effective_at:
            by_instant.setdefault(entry.receipt.effective_at, []).append(entry)
    return by_instant[max(by_instant)] if by_instant else []


def _together(first: Sequence[Message], second: Sequence[Message]) -> list[Message]:
    return list({message.id: message for message in (*first, *second)}.values())


async def _preview(run: Run, message: Message) -> None:
    if message.status is not MessageStatus.PAUSED:  # a dry run, which paused nothing
        run.tell("preview", f"{label(message)}: now {counts_sentence(message.counts)}.", message)
        return
    would = await run.look.resume_preview(message.id)
    run.tell("preview", f"{label(message)}: {' '.join(resume_report(would))}", message)


RUNBOOK = Runbook(
    steps=broken_landing_page,
    parameters=(click.Argument(["link"], metavar="LINK"),),
    examples=(
        "sendgate runbook broken-landing-page https://example.org/may --dry-run",
        "sendgate runbook broken-landing-page https://example.org/may",
    ),
)
