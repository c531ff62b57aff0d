"""The editor: a new draft, and one that is there. Whatever is wrong, what was typed is kept."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Response

from client.drafts import content_of
from client.web.addresses import HOME
from client.web.condition_rows import OPERATORS
from client.web.draft_form import FIELDS, audience_in, bodies_in, content_in, differing, form_of, rows_to_show
from client.web.forms import Form, seen_in
from client.web.notices import Notice
from client.web.once import once
from client.web.pages import Page, page
from client.web.problems import problems_of
from client.web.visit import Visit, Visiting, web_of
from models.api_keys import Action
from models.commands import Verb
from models.contact import ListSummary
from models.errors import ChangedMeanwhile, InvalidInput, NotFound, Refused
from models.message import Message, MessageContent, MessageStatus
from models.transitions import require
from storage.audience import Preview

router = APIRouter(route_class=Page)
NEW = f"{HOME}/new"
#: Messages whose recipients may have been reached; the latest are offered to be excluded.
_BEGUN = (MessageStatus.SENDING, MessageStatus.PAUSED, MessageStatus.SENT, MessageStatus.CANCELED)
_MESSAGES_OFFERED = 8
_EMPTY = MessageContent(name="", from_address="", subject="")
_NOT_BEFORE_SAVING = 409
_WRONG = 422


@dataclass(frozen=True)
class ListOffered:
    """A list in the editor. `contacts` is None for one that the audience names and there is not."""

    name: str
    contacts: int | None
    included: bool
    excluded: bool


@dataclass(frozen=True)
class MessageOffered:
    """A message whose recipients can be excluded; `message` is None where there is none of this id."""

    id: str
    message: Message | None
    ticked: bool


@page(router, "GET", NEW, needs=Action.WRITE)
async def new_draft(visit: Visiting) -> Response:
    return await _show(visit, None, form_of(_EMPTY))


@page(router, "POST", NEW, needs=Action.WRITE)
async def create(visit: Visiting) -> Response:
    """Store a new draft; or, by the other button, only count its audience."""
    return await _answer(visit, None)


@page(router, "GET", "/messages/{message_id}/edit", needs=Action.WRITE)
async def edit_page(visit: Visiting, message_id: str) -> Response:
    """A scheduled message is asked about first: editing it makes it a draft again."""
    message = await web_of(visit.request).lookups.message(message_id)
    if message.status is MessageStatus.SCHEDULED:
        return visit.go(f"{HOME}/{message_id}/unschedule")
    require(message.status, Verb.EDIT)
    return await _show(visit, message, form_of(content_of(message), seen=message.updated_at))


@page(router, "POST", "/messages/{message_id}/edit", needs=Action.WRITE)
async def edit(visit: Visiting, message_id: str) -> Response:
    return await _answer(visit, await web_of(visit.request).lookups.message(message_id))


async def _answer(visit: Visit, message: Message | None) -> Response:
    if visit.form["do"] == "count":
        return await _show(visit, message, visit.form, counting=True)
    try:
        content = content_in(visit.form)
        if message is None:
            return await once(visit, lambda: _create(visit, content))
        await web_of(visit.request).drafts.edit(message.id, content, seen=seen_in(visit.form))
    except ChangedMeanwhile:
        return await _show_other(visit, message, content)
    except (InvalidInput, Refused) as error:
        status = _WRONG if isinstance(error, InvalidInput) else _NOT_BEFORE_SAVING
        return await _show(visit, message, visit.form, problems_of(error, FIELDS), status)
    return _saved(visit, message.id)


async def _create(visit: Visit, content: MessageContent) -> Response:
    return _saved(visit, (await visit.use.create(content)).id)


def _saved(visit: Visit, message_id: str) -> Response:
    """Go on to what the button says."""
    match visit.form["do"]:
        case "preview":
            return visit.go(f"{HOME}/{message_id}/preview")
        case "send":
            return visit.go(f"{HOME}/{message_id}/send")
        case _:
            return visit.go(f"{HOME}/{message_id}/edit", notice=Notice.SAVED)


async def _show_other(visit: Visit, message: Message | None, content: MessageContent) -> Response:
    """Say that the draft was changed meanwhile; what was typed stays, and can be saved over that."""
    assert message is not None, "a new draft is nobody else's"
    theirs = await web_of(visit.request).lookups.message(message.id)
    differ = differing(content, content_of(theirs))
    return await _show(visit, theirs, visit.form, status=_NOT_BEFORE_SAVING, differ=differ)


async def _show(
    visit: Visit,
    message: Message | None,
    form: Form,
    problems: dict[str, str] | None = None,
    status: int = 200,
    differ: list[str] | None = None,
    counting: bool = False,
) -> Response:
    """Show the editor with this form. To count the audience takes long, so it is done on demand: a script asks."""
    count, wrong = await _audience(visit, form, counting=counting)
    return await visit.show(
        "editor.html",
        status=status,
        message=message,
        form=form,
        problems=wrong | _links(visit, form) | (problems or {}),
        count=count,
        countable=not wrong,
        differ=differ,
        lists=_lists(form, await visit.use.lists()),
        rows=rows_to_show(form),
        operators=OPERATORS,
        messages=await _messages(visit, form, message),
    )


def _links(visit: Visit, form: Form) -> dict[str, str]:
    """Say what is wrong with the bodies as they are, which may be saved and not be sent."""
    try:
        web_of(visit.request).lookups.check_links(bodies_in(form))
    except InvalidInput as error:
        return problems_of(error, FIELDS)
    return {}


async def _audience(visit: Visit, form: Form, *, counting: bool) -> tuple[Preview | None, dict[str, str]]:
    """Look at the audience as the form says it: count it on demand, and say what is wrong with it."""
    lookups = web_of(visit.request).lookups
    try:
        audience = audience_in(form)
        if counting:
            return await lookups.count(audience), {}
        await lookups.check_audience(audience)
    except InvalidInput as error:
        return None, problems_of(error, FIELDS)
    return None, {}


def _lists(form: Form, known: list[ListSummary]) -> list[ListOffered]:
    included, excluded = form.all("lists"), form.all("exclude_lists")
    contacts: dict[str, int | None] = {each.name: each.contacts for each in known}
    contacts = dict.fromkeys([*included, *excluded]) | contacts
    return [
        ListOffered(name, contacts[name], name in included, name in excluded)
        for name in sorted(contacts, key=lambda name: (contacts[name] is not None, name.casefold()))
    ]


async def _messages(visit: Visit, form: Form, edited: Message | None) -> list[MessageOffered]:
    """Return those that are excluded, and the latest others that could be."""
    ticked = form.all("exclude_recipients_of")
    latest, _ = await visit.use.messages(statuses=_BEGUN, limit=_MESSAGES_OFFERED)
    known = {each.id: each for each in latest}
    for message_id in ticked:
        if message_id not in known and (found := await _message(visit, message_id)):
            known[message_id] = found
    ids = list(dict.fromkeys([*ticked, *(each.id for each in latest)]))
    return [
        MessageOffered(each, known.get(each), each in ticked) for each in ids if edited is None or each != edited.id
    ]


async def _message(visit: Visit, message_id: str) -> Message | None:
    try:
        return await web_of(visit.request).lookups.message(message_id)
    except NotFound:
        return None
