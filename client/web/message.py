"""A message's own page: how far the send has come, its recipients, who is in doubt, and its history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from client import recipients_csv
from client.api.looking import unless_over
from client.cli.schedule_words import batches_in_words, zones_in_words
from client.interface import Progress, RecipientInDoubt
from client.web.addresses import HOME
from client.web.commands import receipt_path
from client.web.menu import menu_of, tab_of
from client.web.pages import Page, page
from client.web.send_time import send_time
from client.web.timeline import Timeline, planned, timeline
from client.web.visit import Visit, Visiting, web_of
from client.web.words import Clock
from models.api_keys import Action
from models.commands import Verb
from models.errors import InvalidInput
from models.message import Message, MessageStatus
from models.recipient import Recipient, RecipientStatus
from models.transitions import allowed_commands
from storage.overview import Outline

router = APIRouter(route_class=Page, prefix="/messages/{message_id}")
After = Annotated[int, Query(ge=0, le=2**63 - 1)]

LOOK_EVERY_SECONDS = 1.0
_SIGN_OF_LIFE_EVERY = 15  # looks
_ROWS_A_PAGE = 50
_ROWS_OF_CSV = 2_000


@dataclass(frozen=True)
class Part:
    """A tab of the page; `components.html` draws it."""

    label: str
    count: int | None
    address: str
    present: bool


async def _show(
    visit: Visit, message: Message, template: str, place: str, *, status: int = 200, **values: object
) -> Response:
    """Answer with one part of the page, under the head that all parts have."""
    base, counts = f"{HOME}/{message.id}", message.counts
    parts = [Part("Overview", None, base, place == "")]
    if counts.total:
        parts.append(Part("Recipients", counts.total, f"{base}/recipients", place == "recipients"))
    if counts.in_doubt or place == "in-doubt":
        parts.append(Part("In doubt", counts.in_doubt, f"{base}/in-doubt", place == "in-doubt"))
    parts.append(Part("History", None, f"{base}/history", place == "history"))
    return await visit.show(
        template,
        status=status,
        message=message,
        parts=parts,
        menu=menu_of(message, visit),
        tab=tab_of(message.status),
        **values,
    )


# overview


@page(router, "GET", "", needs=Action.LOOK)
async def overview(visit: Visiting, message_id: str) -> Response:
    """Progress, timeline, pace and what is next; of a draft its audience, and of what is scheduled the plan."""
    message = await visit.use.message(message_id)
    progress = await visit.use.progress(message_id)
    outline = (await visit.overview.outlines([message_id])).get(message_id, Outline())
    clock = web_of(visit.request).templates.clock
    audience = await visit.use.audience_preview(message_id) if message.status is MessageStatus.DRAFT else None
    return await _show(
        visit,
        message,
        "message.html",
        "",
        progress=progress,
        outline=outline,
        audience=audience,
        time=send_time(message, outline, progress, clock),
        timeline=await _timeline(visit, message, progress, clock),
        throttle=batches_in_words(message.schedule) if message.schedule else None,
        zones=zones_in_words(message.schedule) if message.schedule else None,
        workflow=_workflow_address(visit, message),
        segments=_segments(progress),
    )


async def _timeline(visit: Visit, message: Message, progress: Progress, clock: Clock) -> Timeline | None:
    """Return the picture of a send, or before it begins of its plan."""
    now, plan = datetime.now(UTC), await visit.overview.plan(message)
    if plan is not None and message.schedule is not None:
        return planned(plan, message.schedule, clock, now=now)
    return timeline(message, progress, clock, now=now)


@dataclass(frozen=True)
class Segment:
    """A stretch of the progress bar: those of one status, in percent of the whole."""

    status: RecipientStatus
    number: int
    left: float
    width: float


_ORDER = (
    RecipientStatus.SENT,
    RecipientStatus.IN_DOUBT,
    RecipientStatus.BOUNCED,
    RecipientStatus.FAILED,
    RecipientStatus.CLAIMED,
    RecipientStatus.DEFERRED,
    RecipientStatus.PENDING,
    RecipientStatus.SUPPRESSED,
    RecipientStatus.WITHDRAWN,
    RecipientStatus.EXPIRED,
    RecipientStatus.CANCELED,
)


def _segments(progress: Progress) -> list[Segment]:
    """Return every status in the order of the bar; the widths add up to the whole."""
    segments: list[Segment] = []
    left, total = 0.0, progress.counts.total or 1
    for status in _ORDER:
        number = progress.counts.of(status)
        width = number / total * 100
        segments.append(Segment(status, number, round(left, 3), round(width, 3)))
        left += width
    return segments


def _workflow_address(visit: Visit, message: Message) -> str | None:
    """Return where Temporal's UI shows the workflow; None where nobody said where that is."""
    ui = visit.door.settings.temporal_ui_url
    if ui is None or message.workflow_id is None:
        return None
    return f"{ui.rstrip('/')}/workflows/{quote(message.workflow_id, safe='')}"


@page(router, "GET", "/stream", needs=Action.LOOK)
async def stream(visit: Visiting, message_id: str) -> Response:
    """Server-sent events: `change` whenever the page would look otherwise, `end` when it will not any more."""
    first = await visit.use.progress(message_id)
    return StreamingResponse(_changes(visit, first), media_type="text/event-stream")


async def _changes(visit: Visit, current: Progress) -> AsyncIterator[str]:
    sessions, stopping, silent_for = web_of(visit.request).sessions, visit.door.stopping, 0

    async def look() -> Progress | None:
        return None if await sessions.principal_of(visit.token) is None else await visit.use.progress(current.id)

    yield "event: change\ndata: {}\n\n"  # something may have happened since the page was made
    while not current.status.is_final:
        try:
            await asyncio.wait_for(stopping.wait(), LOOK_EVERY_SECONDS)
            return
        except TimeoutError:
            silent_for += 1
        following = await unless_over(look())
        if following is None:  # the browser connects again
            return
        if following != current:
            yield "event: change\ndata: {}\n\n"
            silent_for = 0
        elif silent_for >= _SIGN_OF_LIFE_EVERY:
            yield ": still here\n\n"
            silent_for = 0
        current = following
    yield "event: end\ndata: {}\n\n"


# recipients


@page(router, "GET", "/recipients", needs=Action.LOOK)
async def recipients(visit: Visiting, message_id: str, status: str = "", after: After = 0) -> Response:
    message = await visit.use.message(message_id)
    chosen = _status_of(status)
    found, following = await visit.use.recipients_page(
        message_id, statuses=[chosen] if chosen else (), limit=_ROWS_A_PAGE, after=after
    )
    base, asked = f"{HOME}/{message_id}/recipients", {"status": chosen.value} if chosen else {}
    return await _show(
        visit,
        message,
        "recipients.html",
        "recipients",
        rows=found,
        chosen=chosen,
        statuses=[each for each in _ORDER if message.counts.of(each) or each is chosen],
        first=_with(base, asked) if after else None,
        following=_with(base, {**asked, "after": str(following)}) if following is not None else None,
        csv=_with(f"{base}.csv", asked),
    )


@page(router, "GET", "/recipients.csv", needs=Action.LOOK)
async def recipients_file(visit: Visiting, message_id: str, status: str = "") -> Response:
    """Every recipient of a status, or all, streamed a page at a time."""
    chosen = _status_of(status)
    statuses = [chosen] if chosen else []
    first = await visit.use.recipients_page(message_id, statuses=statuses, limit=_ROWS_OF_CSV)
    return StreamingResponse(
        _csv(visit, message_id, statuses, *first),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="recipients-{message_id}.csv"'},
    )


async def _csv(
    visit: Visit, message_id: str, statuses: list[RecipientStatus], rows: list[Recipient], following: int | None
) -> AsyncIterator[str]:
    yield recipients_csv.header()
    while True:
        yield recipients_csv.lines(rows, for_spreadsheet=True)
        if following is None:
            return
        rows, following = await visit.use.recipients_page(
            message_id, statuses=statuses, limit=_ROWS_OF_CSV, after=following
        )


def _status_of(text: str) -> RecipientStatus | None:
    """Return the status that a filter names, None for all. Raises InvalidInput."""
    if not text:
        return None
    if text not in set(RecipientStatus):
        raise InvalidInput("There is no such status of recipients.", field="status")
    return RecipientStatus(text)


def _with(path: str, asked: dict[str, str]) -> str:
    return f"{path}?{urlencode(asked)}" if asked else path


# in doubt


@page(router, "GET", "/in-doubt", needs=Action.LOOK)
async def in_doubt(visit: Visiting, message_id: str, after: After = 0) -> Response:
    """Those whose email the next hop may have taken, and the two ways to decide about them."""
    return await _in_doubt_page(visit, message_id, after)


async def _in_doubt_page(visit: Visit, message_id: str, after: int = 0, error: InvalidInput | None = None) -> Response:
    message = await visit.use.message(message_id)
    rows: list[RecipientInDoubt] = []
    async with aclosing(visit.use.in_doubt(message_id, after=after)) as listed:
        async for row in listed:
            rows.append(row)
            if len(rows) > _ROWS_A_PAGE:
                break
    base, shown = f"{HOME}/{message_id}/in-doubt", rows[:_ROWS_A_PAGE]
    allowed = allowed_commands(message.status)
    return await _show(
        visit,
        message,
        "in_doubt.html",
        "in-doubt",
        status=200 if error is None else 422,
        rows=shown,
        chosen=set(visit.form.all("contact")),
        everybody=visit.form["whom"] == _EVERYBODY,
        reason=visit.form["reason"],
        error=error.message if error else None,
        error_of=error.field if error else None,
        command_id=visit.command_id,
        may_accept=Verb.ACCEPT in allowed and visit.may(Action.ACCEPT),
        may_resend=Verb.RESEND in allowed and visit.may(Action.RESEND),
        first=base if after else None,
        following=_with(base, {"after": str(shown[-1].contact_id)}) if len(rows) > _ROWS_A_PAGE else None,
    )


_EVERYBODY = "everybody"


@page(router, "POST", "/in-doubt/accept", needs=Action.ACCEPT)
async def accept_in_doubt(visit: Visiting, message_id: str) -> Response:
    return await _decide(visit, message_id, Verb.ACCEPT)


@page(router, "POST", "/in-doubt/resend", needs=Action.RESEND)
async def resend_in_doubt(visit: Visiting, message_id: str) -> Response:
    return await _decide(visit, message_id, Verb.RESEND)


async def _decide(visit: Visit, message_id: str, verb: Verb) -> Response:
    asked = visit.asked_by(visit.form["reason"].strip())
    decide = visit.use.accept_in_doubt if verb is Verb.ACCEPT else visit.use.resend_in_doubt
    try:
        await decide(message_id, asked, _whom(visit))
    except InvalidInput as error:
        if error.field == "command_id":
            raise  # no field of the form as it was made
        return await _in_doubt_page(visit, message_id, error=error)
    return visit.go(receipt_path(message_id, asked))


def _whom(visit: Visit) -> list[str | int] | None:
    """Return the contacts that were ticked, None for everybody. Raises InvalidInput when it is nobody."""
    if visit.form["whom"] == _EVERYBODY:
        return None
    chosen: list[str | int] = [int(each) for each in visit.form.all("contact") if each.isdecimal() and len(each) < 19]
    if not chosen:
        raise InvalidInput("Nobody is chosen: tick somebody, or choose everybody.", field="contact")
    return chosen


# history


@page(router, "GET", "/history", needs=Action.LOOK)
async def history(visit: Visiting, message_id: str) -> Response:
    """Every command: who, when, why, through what, and what it did; the latest first."""
    message = await visit.use.message(message_id)
    return await _show(visit, message, "history.html", "history", entries=(await visit.use.history(message_id))[::-1])
