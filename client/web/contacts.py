"""Contacts: searched, looked at, added, changed and deleted."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Response

from client.api.people import LARGEST_ID
from client.web.forms import Form
from client.web.messages import ROWS_A_PAGE, search_in
from client.web.notices import Notice
from client.web.pages import Page, page
from client.web.problems import problems_of
from client.web.visit import Visit, Visiting
from models.api_keys import Action
from models.contact import Contact, ContactChanges, time_zones
from models.errors import InvalidInput, Refused

router = APIRouter(route_class=Page)
CONTACTS = "/contacts"
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
After = Annotated[int, Query(ge=0, le=LARGEST_ID)]
_FIELDS = ("address", "time_zone", "attributes", "lists")
#: What a form was opened with, so that only what somebody changed in it is changed.
_BEFORE = ("address", "time_zone", "attribute_name", "attribute_value")
_SPARE_ROWS = 2


def contact_path(contact_id: int) -> str:
    return f"{CONTACTS}/{contact_id}"


def page_path(path: str, **asked: object) -> str:
    """Return an address with what is asked for, as far as it says something."""
    said = {name: value for name, value in asked.items() if value}
    return f"{path}?{urlencode(said)}" if said else path


@page(router, "GET", CONTACTS, needs=Action.LOOK)
async def contacts(visit: Visiting, q: str = "", after: After = 0) -> Response:
    search = search_in(q)
    found = await visit.use.contacts(search=search, limit=ROWS_A_PAGE + 1, after=after)
    rows = found[:ROWS_A_PAGE]
    return await visit.show(
        "contacts.html",
        search=search,
        contacts=rows,
        first=page_path(CONTACTS, q=search) if after else None,
        following=page_path(CONTACTS, q=search, after=rows[-1].id) if len(found) > len(rows) else None,
    )


@page(router, "GET", f"{CONTACTS}/new", needs=Action.EDIT_CONTACTS)
async def new_contact(visit: Visiting) -> Response:
    return await _show_form(visit, None, Form())


@page(router, "POST", f"{CONTACTS}/new", needs=Action.EDIT_CONTACTS)
async def create(visit: Visiting) -> Response:
    form = visit.form
    try:
        made = await visit.use.create_contact(
            form["address"],
            time_zone=form["time_zone"].strip() or None,
            attributes=_attributes_in(form),
            lists=form.all("lists"),
        )
    except (InvalidInput, Refused) as error:
        return await _show_form(visit, None, form, error)
    return visit.go(contact_path(made.id), notice=Notice.CONTACT_SAVED)


@page(router, "GET", f"{CONTACTS}/{{contact_id}}", needs=Action.LOOK)
async def contact(visit: Visiting, contact_id: Id) -> Response:
    """A contact: as a form to whoever may change it, as it is to everybody else."""
    found = await visit.use.contact(contact_id)
    return await _show_form(visit, found, _form_of(found))


@page(router, "POST", f"{CONTACTS}/{{contact_id}}", needs=Action.EDIT_CONTACTS)
async def change(visit: Visiting, contact_id: Id) -> Response:
    now = await visit.use.contact(contact_id)
    try:
        await visit.use.change_contact(contact_id, _changes_in(visit.form, now))
    except (InvalidInput, Refused) as error:
        return await _show_form(visit, now, visit.form, error)
    return visit.go(contact_path(contact_id), notice=Notice.CONTACT_SAVED)


@page(router, "POST", f"{CONTACTS}/{{contact_id}}/lists", needs=Action.EDIT_CONTACTS)
async def change_lists(visit: Visiting, contact_id: Id) -> Response:
    """Put the contact on a list, or take it off one."""
    if remove := visit.form["remove"]:
        await visit.use.remove_from_list(remove, contact_id)
    else:
        await visit.use.add_to_list(visit.form["list"], contact_id)
    return visit.go(contact_path(contact_id))


@page(router, "GET", f"{CONTACTS}/{{contact_id}}/delete", needs=Action.EDIT_CONTACTS)
async def delete_page(visit: Visiting, contact_id: Id) -> Response:
    return await visit.show("contact_delete.html", contact=await visit.use.contact(contact_id))


@page(router, "POST", f"{CONTACTS}/{{contact_id}}/delete", needs=Action.EDIT_CONTACTS)
async def delete(visit: Visiting, contact_id: Id) -> Response:
    await visit.use.delete_contact(contact_id)
    return visit.go(CONTACTS, notice=Notice.CONTACT_DELETED)


async def _show_form(
    visit: Visit, contact: Contact | None, form: Form, error: InvalidInput | Refused | None = None
) -> Response:
    return await visit.show(
        "contact.html",
        status=200 if error is None else 422 if isinstance(error, InvalidInput) else 409,
        contact=contact,
        form=form,
        problems=_problems(error) if error else {},
        other=error.details.get("contact_id") if isinstance(error, Refused) else None,
        attributes=[row for row in _rows_in(form) if any(row)] + [("", "")] * _SPARE_ROWS,
        before=[(name, value) for name in map(_before, _BEFORE) for value in form.all(name)],
        lists=[each.name for each in await visit.use.lists()],
        zones=sorted(time_zones()),
    )


def _problems(error: InvalidInput | Refused) -> dict[str, str]:
    # What is refused of a contact is an address that another has.
    return {"address": error.message} if isinstance(error, Refused) else problems_of(error, _FIELDS)


def _form_of(contact: Contact) -> Form:
    fields = {
        "address": [contact.address],
        "time_zone": [contact.time_zone or ""],
        "attribute_name": list(contact.attributes),
        "attribute_value": list(contact.attributes.values()),
    }
    return Form(fields | {_before(name): fields[name] for name in _BEFORE})


def _before(name: str) -> str:
    """Return the hidden field that has what a field was opened with."""
    return f"before_{name}"


def _rows_in(form: Form, named: Callable[[str], str] = str) -> list[tuple[str, str]]:
    names, values = form.all(named("attribute_name")), form.all(named("attribute_value"))
    return list(zip_longest(names, values, fillvalue=""))


def _attributes_in(form: Form) -> dict[str, str | None]:
    """Return the attributes of a form; a row without a name or value is none. Raises InvalidInput for a name twice."""
    attributes: dict[str, str | None] = {}
    for name, value in _rows_in(form):
        if not name.strip() and not value.strip():
            continue
        if name.strip() in attributes:
            raise InvalidInput(f"{name.strip()} is there twice.", field="attributes")
        attributes[name.strip()] = value
    return attributes


def _changes_in(form: Form, now: Contact) -> ContactChanges:
    """Return what somebody changed in the form. What others have changed since it was opened is left alone."""
    before, attributes = dict(_rows_in(form, _before)), _attributes_in(form)
    removed: dict[str, str | None] = dict.fromkeys(name for name in before if name in now.attributes)
    changed = {name: value for name, value in (removed | attributes).items() if value != before.get(name)}
    time_zone = form["time_zone"].strip()
    given: dict[str, object] = {"attributes": changed}
    if form["address"].strip() != form[_before("address")]:
        given["address"] = form["address"]
    if time_zone != form[_before("time_zone")]:
        given["time_zone"] = time_zone or None
    return ContactChanges.model_validate(given)
