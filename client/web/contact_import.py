"""Importing contacts from a CSV file. Loading the answer again imports the same once more, which changes nothing."""

from __future__ import annotations

from fastapi import APIRouter, Response

from client.web.contacts import CONTACTS
from client.web.pages import Page, page
from client.web.problems import problems_of
from client.web.visit import Visit, Visiting
from models.api_keys import Action
from models.contact import ImportResult
from models.errors import InvalidInput

router = APIRouter(route_class=Page)
IMPORT = f"{CONTACTS}/import"
_REJECTED_SHOWN = 200


@page(router, "GET", IMPORT, needs=Action.EDIT_CONTACTS)
async def import_page(visit: Visiting) -> Response:
    return await _show(visit)


@page(router, "POST", IMPORT, needs=Action.EDIT_CONTACTS, takes_file=True)
async def import_contacts(visit: Visiting) -> Response:
    """Import all good lines, or none after a crash, and say of every other what is wrong with it."""
    try:
        if visit.file is None:
            raise InvalidInput("Choose a file.", field="file")
        result = await visit.use.import_contacts(str(visit.file), list_name=visit.form["list"].strip() or None)
    except InvalidInput as error:
        return await _show(visit, error=error)
    return await _show(visit, result=result)


async def _show(visit: Visit, *, result: ImportResult | None = None, error: InvalidInput | None = None) -> Response:
    problems = problems_of(error, ("file", "list")) if error else {}
    if "" in problems:  # of the file as a whole
        problems["file"] = problems.pop("")
    return await visit.show(
        "import.html",
        status=422 if error else 200,
        lists=[each.name for each in await visit.use.lists()],
        list=visit.form["list"],
        problems=problems,
        result=result,
        most=_REJECTED_SHOWN,
    )
