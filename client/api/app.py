"""The API, and with it the web UI, as an ASGI application. What it needs is given from outside: see `client.serve`."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from client.api.access import Gatekeeper
from client.api.docs import document, methods_at
from client.api.door import Door
from client.api.errors import answer_to
from client.api.idempotency import Answers
from client.interface import UseCases
from client.keys import Keys
from client.web.app import add_pages
from client.web.error_pages import error_page
from client.web.headers import secure
from client.web.pages import unknown_page
from client.web.visit import Web
from settings import Settings


def create_app(
    use: UseCases,
    keys: Keys,
    answers: Answers,
    settings: Settings,
    *,
    web: Web | None = None,
    stopping: asyncio.Event | None = None,
) -> FastAPI:
    """Return the application. It opens and closes nothing; streams end once `stopping` is set.

    Without `web` there are no pages (`client.web.app.make_web`).
    """
    app = FastAPI(title="Sendgate", docs_url=None, redoc_url=None, openapi_url="/openapi.json", redirect_slashes=False)
    app.state.door = Door(
        use=use,
        keys=keys,
        gatekeeper=Gatekeeper(keys),
        answers=answers,
        settings=settings,
        stopping=stopping or asyncio.Event(),
    )
    for error in (HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(error, _tell)
    document(app)
    if web is not None:
        add_pages(app, web)
    return app


async def _tell(request: Request, error: Exception) -> Response:
    """Answer an error that no call has caught: an address that there is not, a method that it does not take."""
    if isinstance(error, HTTPException) and error.status_code == 405 and (methods := methods_at(request.url.path)):
        # Starlette knows the methods of one call, and there may be several at an address.
        error.headers = {"Allow": ", ".join(methods)}
    if _is_for_a_page(request):
        response: Response
        if isinstance(error, HTTPException):
            response = await unknown_page(request, error)
        else:
            response = error_page(request, error)
        secure(response)
        return response
    return answer_to(error)


def _is_for_a_page(request: Request) -> bool:
    """Whether somebody in a browser asked, and for no address of the API."""
    asks_for_pages = getattr(request.app.state, "web", None) is not None
    return (
        asks_for_pages
        and "text/html" in request.headers.get("Accept", "")
        and not request.url.path.startswith(("/v1/", "/docs/", "/unsubscribe/"))
    )
