"""Suppressions: the addresses that are never mailed."""

from __future__ import annotations

import re

from fastapi import APIRouter, Response

from client.api.shapes import MOST_ADDRESSES
from client.web.contacts import After, Id, page_path
from client.web.messages import ROWS_A_PAGE, search_in
from client.web.notices import Notice
from client.web.pages import Page, page
from client.web.problems import problems_of
from client.web.visit import Visit, Visiting
from models.api_keys import Action
from models.contact import UNSUBSCRIBED
from models.errors import InvalidInput

router = APIRouter(route_class=Page)
SUPPRESSIONS = "/suppressions"


@page(router, "GET", SUPPRESSIONS, needs=Action.LOOK)
async def suppressions(visit: Visiting, q: str = "", after: After = 0) -> Response:
    return await _show(visit, search_in(q), after)


@page(router, "POST", SUPPRESSIONS, needs=Action.SUPPRESS)
async def suppress(visit: Visiting) -> Response:
    """Suppress all of these addresses or, when one cannot be an address, none."""
    addresses = [each for each in re.split(r"[\s,;]+", visit.form["addresses"]) if each]
    try:
        if not 1 <= len(addresses) <= MOST_ADDRESSES:
            raise InvalidInput(f"Give 1 to {MOST_ADDRESSES:,} addresses, not {len(addresses):,}.", field="addresses")
        await visit.use.suppress(addresses, reason=visit.form["reason"])
    except InvalidInput as error:
        return await _show(visit, "", 0, error)
    return visit.go(SUPPRESSIONS, notice=Notice.SUPPRESSED)


@page(router, "POST", f"{SUPPRESSIONS}/{{suppression_id}}/lift", needs=Action.UNSUPPRESS)
async def lift(visit: Visiting, suppression_id: Id) -> Response:
    await visit.use.lift_suppression(suppression_id)
    return visit.go(SUPPRESSIONS, notice=Notice.LIFTED)


async def _show(visit: Visit, search: str, after: int, error: InvalidInput | None = None) -> Response:
    found = await visit.use.suppressions(search=search, limit=ROWS_A_PAGE + 1, after=after)
    rows = found[:ROWS_A_PAGE]
    problems = problems_of(error, ("addresses", "reason")) if error else {}
    if "" in problems:  # of one of the addresses
        problems["addresses"] = problems.pop("")
    return await visit.show(
        "suppressions.html",
        status=422 if error else 200,
        search=search,
        suppressions=rows,
        form=visit.form,
        problems=problems,
        unsubscribed=UNSUBSCRIBED,
        first=page_path(SUPPRESSIONS, q=search) if after else None,
        following=page_path(SUPPRESSIONS, q=search, after=rows[-1].id) if len(found) > len(rows) else None,
    )
