"""The commands as pages: each says what it will do, asks for a reason, and answers with its receipt."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from fastapi import APIRouter, Response

from client.interface import AskedBy, ResumePreview
from client.web.addresses import HOME
from client.web.menu import TABS, menu_of
from client.web.notices import Notice
from client.web.once import once
from client.web.pages import WAIT, Page, page
from client.web.visit import Visit, Visiting
from models.api_keys import Action
from models.commands import Verb
from models.errors import InvalidInput, NotFound
from models.message import Message, MessageStatus
from models.schedule import parse_time
from models.transitions import require

router = APIRouter(route_class=Page, prefix="/messages/{message_id}")

_REASON, _ENDS_AT = "reason", "ends_at"


# pause and cancel


@page(router, "GET", "/pause", needs=Action.PAUSE)
async def pause_page(visit: Visiting, message_id: str) -> Response:
    return await _stop_page(visit, message_id, Verb.PAUSE)


@page(router, "POST", "/pause", needs=Action.PAUSE)
async def pause(visit: Visiting, message_id: str) -> Response:
    return await _stop(visit, message_id, Verb.PAUSE)


@page(router, "GET", "/cancel", needs=Action.CANCEL)
async def cancel_page(visit: Visiting, message_id: str) -> Response:
    return await _stop_page(visit, message_id, Verb.CANCEL)


@page(router, "POST", "/cancel", needs=Action.CANCEL)
async def cancel(visit: Visiting, message_id: str) -> Response:
    return await _stop(visit, message_id, Verb.CANCEL)


async def _stop_page(visit: Visit, message_id: str, verb: Verb, error: InvalidInput | None = None) -> Response:
    message = await visit.use.message(message_id)
    require(message.status, verb)
    return await visit.show(
        "stop.html",
        status=200 if error is None else 422,
        message=message,
        verb=verb,
        command_id=visit.command_id,
        reason=visit.form[_REASON],
        error=error.message if error else None,
    )


async def _stop(visit: Visit, message_id: str, verb: Verb) -> Response:
    asked = visit.asked_by(visit.form[_REASON].strip())
    ask = visit.use.pause if verb is Verb.PAUSE else visit.use.cancel
    try:
        await ask(message_id, asked, wait=WAIT)
    except InvalidInput as error:
        if error.field != _REASON:
            raise  # no field of the form as it was made
        return await _stop_page(visit, message_id, verb, error)
    return visit.go(receipt_path(message_id, asked))


# resume


@page(router, "GET", "/resume", needs=Action.RESUME)
async def resume_page(visit: Visiting, message_id: str) -> Response:
    """The page at once; then, on demand, what a resume would do now, before anybody says so: a script asks."""
    return await _show_resume(visit, await _to_resume(visit, message_id), None)


@page(router, "POST", "/resume", needs=Action.RESUME)
async def resume(visit: Visiting, message_id: str) -> Response:
    """Resume; or, by the other button, only show what it would do, on demand with another end date."""
    if visit.form["do"] == "look":
        return await _resume_page(visit, message_id)
    asked = visit.asked_by(visit.form[_REASON].strip())
    try:
        await visit.use.resume(message_id, asked, ends_at=_end_of(visit), wait=WAIT)
    except InvalidInput as error:
        if error.field not in (_REASON, _ENDS_AT):
            raise
        return await _resume_page(visit, message_id, error)
    return visit.go(receipt_path(message_id, asked))


async def _to_resume(visit: Visit, message_id: str) -> Message:
    message = await visit.use.message(message_id)
    require(message.status, Verb.RESUME)
    return message


async def _resume_page(visit: Visit, message_id: str, error: InvalidInput | None = None) -> Response:
    message = await _to_resume(visit, message_id)
    preview: ResumePreview
    try:
        preview = await visit.use.resume_preview(message_id, ends_at=None if error else _end_of(visit))
    except InvalidInput as wrong:
        error = wrong
        preview = await visit.use.resume_preview(message_id)
    return await _show_resume(visit, message, preview, error)


async def _show_resume(
    visit: Visit, message: Message, preview: ResumePreview | None, error: InvalidInput | None = None
) -> Response:
    return await visit.show(
        "resume.html",
        status=200 if error is None else 422,
        message=message,
        would=preview,
        throttled=message.schedule is not None and message.schedule.throttle is not None,
        command_id=visit.command_id,
        reason=visit.form[_REASON],
        ends_at=visit.form[_ENDS_AT],
        error=error.message if error else None,
        error_of=error.field if error else None,
    )


def _end_of(visit: Visit) -> datetime | None:
    text = visit.form[_ENDS_AT].strip()
    return parse_time(text, field=_ENDS_AT) if text else None


# unschedule, which is also how a scheduled message is edited


@page(router, "GET", "/unschedule", needs=Action.UNSCHEDULE)
async def unschedule_page(visit: Visiting, message_id: str) -> Response:
    message = await visit.use.message(message_id)
    require(message.status, Verb.UNSCHEDULE)
    return await visit.show("unschedule.html", message=message, command_id=visit.command_id)


@page(router, "POST", "/unschedule", needs=Action.UNSCHEDULE)
async def unschedule(visit: Visiting, message_id: str) -> Response:
    await visit.use.unschedule(message_id, visit.asked_by())
    to = f"{HOME}/{message_id}/edit" if visit.may(Action.WRITE) else f"{HOME}/{message_id}"
    return visit.go(to, notice=Notice.UNSCHEDULED)


# copy and delete


@page(router, "GET", "/copy", needs=Action.WRITE)
async def copy_page(visit: Visiting, message_id: str) -> Response:
    message = await visit.use.message(message_id)
    return await visit.show(
        "copy.html",
        message=message,
        may_exclude=message.status not in (MessageStatus.DRAFT, MessageStatus.SCHEDULED),
        exclude=message.status is MessageStatus.CANCELED,
    )


@page(router, "POST", "/copy", needs=Action.WRITE)
async def copy(visit: Visiting, message_id: str) -> Response:
    async def make() -> Response:
        made = await visit.use.copy(message_id, exclude_recipients=visit.form.ticked("exclude_recipients"))
        return visit.go(f"{HOME}/{made.id}", notice=Notice.COPIED)

    return await once(visit, make)


@page(router, "GET", "/delete", needs=Action.WRITE)
async def delete_page(visit: Visiting, message_id: str) -> Response:
    message = await visit.use.message(message_id)
    require(message.status, Verb.DELETE)
    return await visit.show("delete.html", message=message)


@page(router, "POST", "/delete", needs=Action.WRITE)
async def delete(visit: Visiting, message_id: str) -> Response:
    await visit.use.delete(message_id)
    return visit.go(f"{HOME}?tab={TABS[0].code}", notice=Notice.DELETED)


# receipts


def receipt_path(message_id: str, asked: AskedBy) -> str:
    return f"{HOME}/{message_id}/receipts/{quote(asked.command_id, safe='')}"


@page(router, "GET", "/receipts/{command_id:path}", needs=Action.LOOK)
async def receipt(visit: Visiting, message_id: str, command_id: str) -> Response:
    """What a command did; while it is not confirmed, the page says so and keeps looking."""
    message: Message = await visit.use.message(message_id)
    entry = next((each for each in await visit.use.history(message_id) if each.command_id == command_id), None)
    if entry is None:
        raise NotFound("This message has no such command.")
    return await visit.show("receipt.html", message=message, entry=entry, menu=menu_of(message, visit))
