"""Signing in with an API key, and out."""

from __future__ import annotations

from fastapi import APIRouter, Response

from client.web.addresses import HOME, SIGN_IN, safe_next
from client.web.notices import Notice
from client.web.pages import Page, page
from client.web.sessions import give_cookie, new_token
from client.web.visit import Visiting, web_of
from models.errors import NoKey, TooManyFailures

router = APIRouter(route_class=Page)


@page(router, "GET", "/", needs=None)
async def root(visit: Visiting) -> Response:
    return visit.go(HOME)


@page(router, "GET", SIGN_IN, needs=None)
async def sign_in_page(visit: Visiting, next: str = HOME) -> Response:  # noqa: A002  # the word in the address
    if visit.principal is not None:
        return visit.go(safe_next(next))
    return await visit.show("sign_in.html", next=safe_next(next), error=None)


@page(router, "POST", SIGN_IN, needs=None)
async def sign_in(visit: Visiting) -> Response:
    """Open a session under a new cookie: what a browser held before is worth nothing."""
    key, goes_to = visit.form["key"].strip(), safe_next(visit.form["next"])
    client = visit.request.client
    try:
        await visit.door.gatekeeper.principal(key, client.host if client else "")
    except (NoKey, TooManyFailures) as error:
        status = 429 if isinstance(error, TooManyFailures) else 401
        return await visit.show("sign_in.html", status=status, next=goes_to, error=error.message)
    sessions, response = web_of(visit.request).sessions, visit.go(goes_to)
    await sessions.close(visit.token)
    give_cookie(visit.request, response, await sessions.open(key))
    return response


@page(router, "POST", "/sign-out", needs=None)
async def sign_out(visit: Visiting) -> Response:
    await web_of(visit.request).sessions.close(visit.token)
    response = visit.go(SIGN_IN, notice=Notice.SIGNED_OUT)
    give_cookie(visit.request, response, new_token())
    return response
