"""Errors as pages: the same statuses and sentences as the API's, and what can be done instead."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from client.api.errors import Problem, answer_to
from client.web.addresses import sign_in_path
from client.web.menu import Item, menu_in
from client.web.visit import Visit, web_of
from models.errors import IllegalTransition, NoKey
from models.hold import Hold
from models.message import MessageStatus

_TITLES = {
    400: "That could not be read",
    401: "You are not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Not here",
    409: "Not now",
    413: "Too large",
    422: "That does not fit",
    429: "Too many attempts",
    500: "Something went wrong",
    503: "A server does not answer",
}
#: Where the API's sentence speaks to programs.
_SENTENCES = {404: "There is no such page.", 405: "This page cannot be used like that."}
_NOT_ASKED = Hold(held=False)


@dataclass(frozen=True)
class Instead:
    """What is legal now, in place of a command that was refused."""

    message_id: str
    menu: list[Item]


def error_page(request: Request, error: Exception, hold: Hold = _NOT_ASKED) -> HTMLResponse:
    """Return the page for an error of any kind. It asks no server: that may be what does not answer.

    So whoever knows the hold gives it along.
    """
    told = answer_to(error)
    problem = Problem.model_validate_json(bytes(told.body))
    sentence = _SENTENCES.get(told.status_code) if isinstance(error, HTTPException) else None
    visit: Visit = getattr(request.state, "visit", None) or Visit(request, token="")  # nobody's
    html = web_of(request).templates.render(
        "error.html",
        visit=visit,
        place=None,
        hold=hold,
        notice=None,
        title=_TITLES.get(told.status_code, _TITLES[500]),
        sentence=sentence or problem.message,
        instead=_instead(visit, error),
        typed=visit.form["reason"],
        sign_in=sign_in_path(request) if isinstance(error, NoKey) else None,
    )
    headers = {name: told.headers[name] for name in ("Allow", "Retry-After") if name in told.headers}
    return HTMLResponse(html, told.status_code, headers)


def _instead(visit: Visit, error: Exception) -> Instead | None:
    message_id = visit.request.path_params.get("message_id")
    if not isinstance(error, IllegalTransition) or message_id is None:
        return None
    return Instead(str(message_id), menu_in(MessageStatus(error.details["status"]), str(message_id), visit))
