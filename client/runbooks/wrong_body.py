"""wrong-body: cancel, and send a corrected copy to the rest. See docs/runbooks/wrong-body.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import click

from client.cli import show
from client.cli.inputs import Body
from client.cli.receipts import counts_sentence, receipt_sentence
from client.runbooks._registry import Runbook
from client.runbooks._run import COPY_TO_BE, Run, label
from models.commands import Verb
from models.content import LONGEST_NAME, check_content
from models.errors import InvalidInput, Refused
from models.message import Message, MessageContent, MessageStatus
from models.schedule import Schedule
from models.transitions import require

_SUFFIX = ", corrected"
_MESSAGES_A_LOOK = 100


async def wrong_body(run: Run, *, message_id: str, **given: str | None) -> None:
    """Cancel a message, and send a corrected copy to the rest.

    The rest is everybody in its audience whom it has not reached and cannot have reached. Cancel is final. What is
    not replaced stays as it was; an empty value (--text '') takes that part away.
    """
    replaced = {part: value for part, value in given.items() if value is not None}
    what = ", ".join(replaced)
    why = run.reason(f"new {what}")
    original = await run.look.message(message_id)
    _require_begun(original)
    check_content(_corrected(original, replaced))  # before anything is canceled
    if kept := [part for part in ("html", "text") if part not in replaced and getattr(original, part)]:
        run.tell("note", f"{label(original)}: not replaced, so sent as it was: {', '.join(kept)}.", original)

    await _cancel(run, original, why)
    correction = await _draft_for_the_rest(run, original)
    if correction is None:
        return
    correction = await run.edit(correction, _corrected(correction, replaced), what)
    if await _someone_is_left(run, original, correction):
        await run.send(correction, Schedule(), why)


def _require_given(given: Mapping[str, object]) -> None:
    if all(given[part] is None for part in ("html", "text", "subject")):
        raise InvalidInput("There is nothing to correct; give --html, --text or --subject.")


def _require_begun(original: Message) -> None:
    nobody_has_it = original.status is MessageStatus.CANCELED and not original.counts.total
    if nobody_has_it or original.status in (MessageStatus.DRAFT, MessageStatus.SCHEDULED):
        instead = {
            MessageStatus.DRAFT: "edit it",
            MessageStatus.SCHEDULED: "unschedule it, edit it and schedule it again",
        }.get(original.status, "copy it, edit the copy and send that")
        raise Refused(
            f"{label(original)} is {original.status} and nobody has been sent it: {instead}.", status=original.status
        )
    if original.status is not MessageStatus.CANCELED:
        require(original.status, Verb.CANCEL)


def _corrected(message: Message, replaced: Mapping[str, str]) -> MessageContent:
    """Return the content with what is replaced; an empty body is none, and an empty subject is refused by its check."""
    values = message.model_dump(include=set(MessageContent.model_fields))
    for part, value in replaced.items():
        values[part] = value if part == "subject" else value or None
    return MessageContent.model_validate(values)


async def _cancel(run: Run, original: Message, why: str) -> None:
    if original.status is MessageStatus.CANCELED:
        last = await run.last_effective(original)
        receipt = last.receipt if last else None
        says = receipt_sentence(receipt) if receipt else f"Canceled: {counts_sentence(original.counts)}."
        run.tell(Verb.CANCEL, f"{label(original)}: {says}", original, receipt)
        return
    await run.confirm(f"Cancel {label(original)} for good? Now {counts_sentence(original.counts)}.")
    if (await run.cancel(original, why)).status is MessageStatus.SENT:
        raise Refused(f"The last email of {label(original)} had left: there is no rest to send a correction to.")


async def _draft_for_the_rest(run: Run, original: Message) -> Message | None:
    """Return the copy that an earlier run made, or a new one; None (told) when the rest is being mailed already."""
    if (draft := await _draft_made_before(run, original)) is not None:
        if draft.status is not MessageStatus.DRAFT:
            run.tell("note", f"The correction {label(draft)} is {draft.status} already.", draft, draft.receipt)
            return None
        run.tell(Verb.COPY, f"{label(draft)} is the draft for those whom {original.id} has not reached.", draft)
        return draft
    name = original.name[: LONGEST_NAME - len(_SUFFIX)] + _SUFFIX
    copied = await run.copy_without_recipients(original, name)
    await _draft_made_before(run, original)  # refuses when somebody has made another in the same moment
    return copied


async def _draft_made_before(run: Run, original: Message) -> Message | None:
    """Return the correction that there is. Raises Refused when another one would mail the same people twice."""
    corrections = [message async for message in _corrections(run, original)]
    for message in corrections:
        if message.status is MessageStatus.CANCELED and message.counts.total:
            raise Refused(
                f"The correction {label(message)} was canceled in its turn; "
                f"run this on it instead: `sendgate runbook wrong-body {message.id}`."
            )
    live = [message for message in corrections if message.status is not MessageStatus.CANCELED]
    if len(live) > 1:
        several = ", ".join(f"{label(message)} {message.status}" for message in live)
        raise Refused(f"There is more than one correction ({several}); delete the drafts that must not be sent.")
    return await run.look.message(live[0].id) if live else None


async def _corrections(run: Run, original: Message) -> AsyncIterator[Message]:
    """Yield the copies of `original` that leave out whom it reached, without their bodies."""
    after: str | None = None
    while True:
        page, after = await run.look.messages(limit=_MESSAGES_A_LOOK, after=after)
        for message in page:
            if message.created_at < original.created_at:  # newest first, and a copy is newer than its original
                return
            if message.copied_from == original.id and original.id in message.audience.exclude_recipients_of:
                yield message
        if after is None:
            return


async def _someone_is_left(run: Run, original: Message, correction: Message) -> bool:
    """Show whom the correction would reach and ask whether to send it; False (told) when that is nobody."""
    if correction.id == COPY_TO_BE:
        left = original.counts.unfinished + original.counts.canceled
        run.tell("preview", f"About {left:,} contacts are left.", original)
        return True
    audience = await run.look.audience_preview(correction.id)
    for line in show.audience_report(audience):
        run.tell("preview", line, correction)
    if not audience.count:
        run.tell("note", f"Nobody is left for {label(correction)}; it stays a draft.", correction)
        return False
    run.tell("preview", f"`sendgate messages preview {correction.id}` shows the email itself.", correction)
    await run.confirm(f"Send {label(correction)} to {audience.count:,} contacts?")
    return True


RUNBOOK = Runbook(
    steps=wrong_body,
    parameters=(
        click.Argument(["message_id"], metavar="ID"),
        click.Option(["--html"], type=Body(), metavar="FILE", help="The right HTML: Jinja2, UTF-8, at most 1 MiB."),
        click.Option(["--text"], type=Body(), metavar="FILE", help="The right plain text."),
        click.Option(["--subject"], help="The right subject: one line."),
    ),
    examples=(
        "sendgate runbook wrong-body ID --html right.html --text right.txt --dry-run",
        "sendgate runbook wrong-body ID --html right.html --text right.txt",
    ),
    check=_require_given,
)
