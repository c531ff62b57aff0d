"""Contacts: searched, looked at, added, changed and deleted."""

from __future__ import annotations

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
    before = await visit.use.contact(contact_id)
    try:
        await visit.use.change_contact(contact_id, _changes_in(visit.form, before))
    except (InvalidInput, Refused) as error:
        return await _show_form(visit, before, visit.form, error)
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
        lists=[each.name for each in await visit.use.lists()],
        zones=sorted(time_zones()),
    )


def _problems(error: InvalidInput | Refused) -> dict[str, str]:
    # What is refused of a contact is an address that another has.
    return {"address": error.message} if isinstance(error, Refused) else problems_of(error, _FIELDS)


def _form_of(contact: Contact) -> Form:
    return Form(
        {
            "address": [contact.address],
            "time_zone": [contact.time_zone or ""],
            "attribute_name": list(contact.attributes),
            "attribute_value": list(contact.attributes.values()),
        }
    )


def _rows_in(form: Form) -> list[tuple[str, str]]:
    return list(zip_longest(form.all("attribute_name"), form.all("attribute_value"), fillvalue=""))


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


def _changes_in(form: Form, before: Contact) -> ContactChanges:
    """Return what the form makes different: what it does not have any more is removed, the rest is left alone."""
    attributes = _attributes_in(form)
    removed: dict[str, str | None] = dict.fromkeys(before.attributes)
    changed = {name: value for name, value in (removed | attributes).items() if value != before.attributes.get(name)}
    time_zone = form["time_zone"].strip() or None
    given: dict[str, object] = {"attributes": changed}
    if form["address"].strip() != before.address:
        given["address"] = form["address"]
    if time_zone != before.time_zone:
        given["time_zone"] = time_zone
    return ContactChanges.model_validate(given)
