"""The hold: one switch over all messages. Putting it asks for a reason, both ways say what they do first, and its
history says who used it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from client.web.addresses import HOME
from client.web.contacts import After, page_path
from client.web.messages import ROWS_A_PAGE
from client.web.notices import Notice
from client.web.pages import Page, page
from client.web.visit import Visit, Visiting
from models.api_keys import Action
from models.errors import InvalidInput

router = APIRouter(route_class=Page)
HOLD = "/hold"


@page(router, "GET", HOLD, needs=Action.LOOK)
async def hold_page(visit: Visiting, after: After = 0) -> Response:
    """The switch, for whoever may use it, and its history, for everybody."""
    return await _show(visit, after)


@page(router, "POST", HOLD, needs=Action.HOLD)
async def put(visit: Visiting) -> Response:
    """Put it; one that is on already stays as it is, and says whose it is."""
    try:
        await visit.use.put_hold(visit.asked_by(visit.form["reason"].strip()))
    except InvalidInput as error:
        return await _show(visit, error=error)
    return visit.go(HOME, notice=Notice.HELD)


@page(router, "GET", f"{HOLD}/release", needs=Action.RELEASE)
async def release_page(visit: Visiting) -> Response:
    return await visit.show("release.html", reason="", problem=None)


@page(router, "POST", f"{HOLD}/release", needs=Action.RELEASE)
async def release(visit: Visiting) -> Response:
    try:
        await visit.use.release_hold(visit.asked_by(visit.form["reason"].strip()))
    except InvalidInput as error:
        return await visit.show("release.html", status=422, reason=visit.form["reason"], problem=error.message)
    return visit.go(HOME, notice=Notice.RELEASED)


async def _show(visit: Visit, after: int = 0, error: InvalidInput | None = None) -> Response:
    entries, following = await visit.use.hold_history(limit=ROWS_A_PAGE, after=after or None)
    return await visit.show(
        "hold.html",
        status=422 if error else 200,
        reason=visit.form["reason"],
        problem=error.message if error else None,
        entries=entries,
        first=HOLD if after else None,
        following=page_path(HOLD, after=following) if following is not None else None,
    )
