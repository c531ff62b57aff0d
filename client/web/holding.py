"""The hold: one switch over all messages. Putting it asks for a reason, and both ways say what they do first."""

from __future__ import annotations

from fastapi import APIRouter, Response

from client.web.addresses import HOME
from client.web.notices import Notice
from client.web.pages import Page, page
from client.web.visit import Visit, Visiting
from models.api_keys import Action
from models.errors import InvalidInput

router = APIRouter(route_class=Page)
HOLD = "/hold"


@page(router, "GET", HOLD, needs=Action.HOLD)
async def hold_page(visit: Visiting) -> Response:
    return await _show(visit)


@page(router, "POST", HOLD, needs=Action.HOLD)
async def put(visit: Visiting) -> Response:
    """Put it; one that is on already stays as it is, and says whose it is."""
    try:
        await visit.use.put_hold(visit.asked_by(visit.form["reason"].strip()))
    except InvalidInput as error:
        return await _show(visit, error)
    return visit.go(HOME, notice=Notice.HELD)


@page(router, "GET", f"{HOLD}/release", needs=Action.RELEASE)
async def release_page(visit: Visiting) -> Response:
    return await visit.show("release.html")


@page(router, "POST", f"{HOLD}/release", needs=Action.RELEASE)
async def release(visit: Visiting) -> Response:
    await visit.use.release_hold(visit.asked_by())
    return visit.go(HOME, notice=Notice.RELEASED)


async def _show(visit: Visit, error: InvalidInput | None = None) -> Response:
    return await visit.show(
        "hold.html",
        status=422 if error else 200,
        reason=visit.form["reason"],
        problem=error.message if error else None,
    )
