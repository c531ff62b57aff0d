"""Lists: what there are, a new one, and who is on one."""

from __future__ import annotations

from fastapi import APIRouter, Response

from client.web.contacts import After, page_path
from client.web.messages import ROWS_A_PAGE, search_in
from client.web.pages import Page, page
from client.web.problems import problems_of
from client.web.visit import Visit, Visiting, web_of
from models.api_keys import Action
from models.errors import InvalidInput

router = APIRouter(route_class=Page)
LISTS = "/lists"
#: The list is a part of the query: its name may hold a slash.
MEMBERS = f"{LISTS}/members"


def members_path(name: str) -> str:
    return page_path(MEMBERS, list=name)


@page(router, "GET", LISTS, needs=Action.LOOK)
async def lists(visit: Visiting) -> Response:
    return await _show_lists(visit)


@page(router, "POST", LISTS, needs=Action.EDIT_CONTACTS)
async def create(visit: Visiting) -> Response:
    """Make a list; one that is there already is opened."""
    try:
        made = await visit.use.create_list(visit.form["name"])
    except InvalidInput as error:
        return await _show_lists(visit, error)
    return visit.go(members_path(made.name))


@page(router, "GET", MEMBERS, needs=Action.LOOK)
async def members(visit: Visiting, list: str = "", q: str = "", after: After = 0) -> Response:  # noqa: A002  # the word in the address
    return await _show_members(visit, list, search_in(q), after)


@page(router, "POST", MEMBERS, needs=Action.EDIT_CONTACTS)
async def change_members(visit: Visiting) -> Response:
    """Put the contact with an address on the list, or take one off it."""
    name, form = visit.form["list"], visit.form
    try:
        if form["remove"]:
            await visit.use.remove_from_list(name, _id_in(form["remove"]))
        else:
            contact = await web_of(visit.request).lookups.contact_at(form["address"])
            if contact is None:
                raise InvalidInput("There is no contact with this address.", field="address")
            await visit.use.add_to_list(name, contact.id)
    except InvalidInput as error:
        return await _show_members(visit, name, "", 0, error)
    return visit.go(members_path(name))


def _id_in(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise InvalidInput("There is no such contact.")
    return int(text)


async def _show_lists(visit: Visit, error: InvalidInput | None = None) -> Response:
    return await visit.show(
        "lists.html",
        status=422 if error else 200,
        lists=await visit.use.lists(),
        typed=visit.form["name"],
        problem=error.message if error else None,
        members_path=members_path,
    )


async def _show_members(
    visit: Visit, name: str, search: str, after: int, error: InvalidInput | None = None
) -> Response:
    summary = await visit.use.contact_list(name)
    found = await visit.use.contacts(list_name=summary.name, search=search, limit=ROWS_A_PAGE + 1, after=after)
    rows = found[:ROWS_A_PAGE]
    more = len(found) > len(rows)
    return await visit.show(
        "members.html",
        status=422 if error else 200,
        list=summary,
        search=search,
        contacts=rows,
        address=visit.form["address"],
        problems=problems_of(error, ("address",))
        if error and error.field
        else {"address": error.message}
        if error
        else {},
        first=page_path(MEMBERS, list=name, q=search) if after else None,
        following=page_path(MEMBERS, list=name, q=search, after=rows[-1].id) if more else None,
    )
