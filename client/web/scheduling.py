"""Sending a draft: the form that says when, the plan of it, a confirmation that names how many, and the send."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from client.interface import SendPreview
from client.web.addresses import HOME
from client.web.forms import Form, seen_in
from client.web.notices import Notice
from client.web.pages import Page, page
from client.web.plan_words import plan_sentences
from client.web.problems import problems_of
from client.web.schedule_form import FIELDS, Batches, When, empty_form, schedule_in
from client.web.timeline import planned
from client.web.visit import Visit, Visiting, web_of
from models.api_keys import Action
from models.commands import Verb
from models.contact import time_zones
from models.errors import ChangedMeanwhile, ExclusionNotFinal, InvalidInput
from models.message import Message, MessageStatus
from models.schedule import PassedZones, Schedule
from models.transitions import require

#: What is told on the form itself, where it can be mended.
Told = InvalidInput | ExclusionNotFinal | ChangedMeanwhile

router = APIRouter(route_class=Page, prefix=f"{HOME}/{{message_id}}")
#: What is not carried from the form to its confirmation as it is.
_NOT_CARRIED = ("csrf", "do", "command_id")
_EMPTY_AUDIENCE = "empty_audience"
_PASSED: dict[PassedZones, str] = {
    PassedZones.SEND: "Send at once",
    PassedZones.NEXT_DAY: "Send at that time on the next day",
    PassedZones.SKIP: "Do not send",
}


@page(router, "GET", "/send", needs=Action.SEND)
async def send_page(visit: Visiting, message_id: str) -> Response:
    message = await visit.use.message(message_id)
    require(message.status, Verb.SEND)
    form = empty_form(web_of(visit.request).templates.clock.zone, seen=message.updated_at)
    return await _show(visit, message, form, planning=False)


@page(router, "POST", "/send", needs=Action.SEND)
async def send(visit: Visiting, message_id: str) -> Response:
    """Show the plan; or ask once more, and say how many get it; or, from there, send."""
    message = await visit.use.message(message_id)
    form = visit.form
    if form["do"] != "send":
        require(message.status, Verb.SEND)
    try:
        if form["do"] in ("confirm", "send"):
            schedule = schedule_in(form)
            if form["do"] == "send":
                return await _send(visit, message, schedule)
            return await _confirm(visit, message, schedule)
    except (InvalidInput, ExclusionNotFinal) as error:
        return await _show(visit, message, form, error)
    except ChangedMeanwhile as error:
        return await _show(visit, await visit.use.message(message_id), form, error)
    return await _show(visit, message, form, planning=form["do"] != "change")


async def _send(visit: Visit, message: Message, schedule: Schedule) -> Response:
    allow_empty, seen = visit.form.ticked("allow_empty"), seen_in(visit.form)
    sent = await visit.use.send(message.id, schedule, visit.asked_by(), allow_empty=allow_empty, seen=seen)
    now = schedule.at is None or sent.message.status is not MessageStatus.SCHEDULED
    return visit.go(f"{HOME}/{message.id}", notice=Notice.SENDING if now else Notice.SCHEDULED)


async def _confirm(visit: Visit, message: Message, schedule: Schedule) -> Response:
    if seen_in(visit.form) != message.updated_at:
        raise ChangedMeanwhile(message.updated_at)
    preview = await visit.use.plan(message.id, schedule, allow_empty=visit.form.ticked("allow_empty"))
    return await visit.show(
        "send_confirm.html",
        message=message,
        now=schedule.at is None,
        mailed=preview.plan.contacts - preview.plan.skipped - _expired(preview),
        sentences=plan_sentences(preview, web_of(visit.request).templates.clock),
        carried=[pair for pair in visit.form.pairs() if pair[0] not in _NOT_CARRIED],
        command_id=visit.command_id,
    )


def _expired(preview: SendPreview) -> int:
    return preview.plan.throttle.expired if preview.plan.throttle else 0


async def _show(
    visit: Visit, message: Message, form: Form, error: Told | None = None, *, planning: bool = True
) -> Response:
    """Show the form with its plan, or with what keeps it from having one.

    To plan is to count the audience, which may take long: it is done on demand, and a script asks.
    """
    preview: SendPreview | None = None
    wrong = error
    if wrong is None and planning:
        try:
            preview = await visit.use.plan(message.id, schedule_in(form), allow_empty=form.ticked("allow_empty"))
        except (InvalidInput, ExclusionNotFinal) as found:
            wrong = found
    clock = web_of(visit.request).templates.clock
    return await visit.show(
        "send.html",
        status=200 if error is None else _status(error),
        message=message,
        form=form,
        seen=message.updated_at.isoformat() if isinstance(error, ChangedMeanwhile) else form["seen"],
        problems=problems_of(wrong, FIELDS) if wrong else {},
        sentences=plan_sentences(preview, clock) if preview else [],
        timeline=planned(preview.plan, preview.schedule, clock, now=datetime.now(UTC)) if preview else None,
        nobody=wrong is not None and wrong.code == _EMPTY_AUDIENCE,
        zones=sorted(time_zones()),
        When=When,
        Batches=Batches,
        passed=[(each.value, _PASSED[each]) for each in PassedZones],
    )


def _status(error: Told) -> int:
    return 422 if isinstance(error, InvalidInput) else 409
