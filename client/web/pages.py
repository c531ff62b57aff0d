"""How a page is declared, and what every page has in common.

A page lets in whoever is signed in with a key of the right role, takes a form only from a page of ours, and answers
every error with a page. Whatever is not declared by `page` cannot be served: it would be open to everybody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from client.api.calls import patiently
from client.direct import database_errors_told
from client.web.addresses import sign_in_path
from client.web.error_pages import error_page
from client.web.forms import Form, read_form
from client.web.headers import secure
from client.web.sessions import cookie_of, give_cookie, new_token, require_own_form
from client.web.uploads import uploaded
from client.web.visit import Visit, web_of
from models.api_keys import Action, may, needed_for
from models.errors import NoKey, NotAllowed, SendgateError, Unreachable
from models.hold import Hold

#: A command waits so long for its receipt before the page says that it is not confirmed yet.
WAIT = timedelta(seconds=3)

Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Response]])


@dataclass(frozen=True)
class Declaration:
    """What `page` was told of an endpoint."""

    needs: Action | None  # None: public
    takes_file: bool = False
    unhurried: bool = False  # it waits for others than our own servers, and nobody can say how long


def declaration_of(endpoint: Callable[..., object]) -> Declaration:
    """Return what an endpoint was declared as; whatever was not is a fault."""
    declared = getattr(endpoint, "page_declaration", None)
    assert isinstance(declared, Declaration), f"{endpoint} is no page"
    return declared


class Page(APIRoute):
    """One page, or the answer to one form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        declared = declaration_of(self.endpoint)

        async def answer(request: Request) -> Response:
            try:
                with database_errors_told():
                    answering = _let_in(request, handle, declared)
                    response = await answering if declared.unhurried else await patiently(answering, WAIT)
            except Exception as error:  # noqa: BLE001  # every error has its page; what is unexpected is logged there
                response = await _told(request, error)
            secure(response)
            return response

        return answer


async def _let_in(
    request: Request, handle: Callable[[Request], Awaitable[Response]], declared: Declaration
) -> Response:
    """Find out who asks, refuse whoever may not, read the form, and act."""
    token = cookie_of(request)
    visit = await _recognized(request)
    principal = visit.principal
    if declared.needs is not None:
        if principal is None and request.method == "GET":
            return RedirectResponse(sign_in_path(request), 303)
        if principal is None:
            raise NoKey("You are not signed in any more, so nothing was changed. Sign in, and do it again.")
        if not may(principal.role, declared.needs):
            raise NotAllowed(
                f"The key {principal.name} is of the role {principal.role}; this needs {needed_for(declared.needs)}.",
                role=principal.role,
                needed=needed_for(declared.needs),
            )
    async with AsyncExitStack() as stack:
        if declared.takes_file:
            upload = await stack.enter_async_context(uploaded(request, visit.door.settings.largest_import))
            require_own_form(request, token, upload.form["csrf"])
            visit.form, visit.file = upload.form, upload.path
        elif request.method == "POST":
            visit.form = await _own_form(request, token)
        response = await handle(request)
    if token is None and declared.needs is None and "set-cookie" not in response.headers:
        give_cookie(request, response, visit.token)
    return response


async def _recognized(request: Request) -> Visit:
    """Find out who asks, and keep it for whatever answers."""
    token = cookie_of(request)
    principal = await web_of(request).sessions.principal_of(token) if token else None
    request.state.visit = visit = Visit(request, token or new_token(), principal)
    return visit


async def unknown_page(request: Request, error: HTTPException) -> Response:
    """Answer where no page is: with the navigation of whoever is signed in, and without where that cannot be asked."""
    with suppress(SendgateError), database_errors_told():
        await patiently(_recognized(request), WAIT)
    return await _told(request, error)


async def _told(request: Request, error: Exception) -> Response:
    """Return the page for an error: with the hold as it is, unless the error is that a server is away, or a fault."""
    visit: Visit | None = getattr(request.state, "visit", None)
    foreseen = isinstance(error, (SendgateError, RequestValidationError, HTTPException))
    if visit is None or visit.principal is None or not foreseen or isinstance(error, Unreachable):
        return error_page(request, error)
    hold = Hold(held=False)
    with suppress(SendgateError), database_errors_told():
        hold = await patiently(visit.use.hold(), WAIT)
    return error_page(request, error, hold)


async def _own_form(request: Request, token: str | None) -> Form:
    form = await read_form(request)
    require_own_form(request, token, form["csrf"])
    return form


def page(
    router: APIRouter,
    method: str,
    path: str,
    *,
    needs: Action | None,
    takes_file: bool = False,
    unhurried: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Declare a page (GET) or the answer to a form (POST), with the least it takes to be let in (None: public).

    `takes_file`: the form brings a file along, `visit.file`, which is gone once it is answered. `unhurried`: it may
    take as long as it does; so may one with a file, of which nobody can say how long it takes.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.page_declaration = Declaration(needs, takes_file, unhurried=takes_file or unhurried)  # type: ignore[attr-defined]
        router.add_api_route(
            path, endpoint, methods=[method], include_in_schema=False, response_model=None, response_class=Response
        )
        return endpoint

    return declare
