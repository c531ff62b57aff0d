"""The API as an ASGI application. What it needs is given from outside: see `client.serve`."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from client.api.access import Gatekeeper
from client.api.docs import document, methods_at
from client.api.door import Door
from client.api.errors import answer_to
from client.api.idempotency import Answers
from client.interface import UseCases
from client.keys import Keys
from settings import Settings


def create_app(
    use: UseCases, keys: Keys, answers: Answers, settings: Settings, *, stopping: asyncio.Event | None = None
) -> FastAPI:
    """Return the application. It opens and closes nothing; streams end once `stopping` is set."""
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
    return app


async def _tell(request: Request, error: Exception) -> JSONResponse:
    """Answer an error that no call has caught: an address that there is not, a method that it does not take."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        # Starlette knows the methods of one call, and there may be several at an address.
        error.headers = {"Allow": ", ".join(methods_at(request.url.path))}
    return answer_to(error)
