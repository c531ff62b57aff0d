"""One shape for every error, `{"code", "message", "details"}`, and the status of each. Nothing else decides that."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException

from client.api.wrong_values import wrong_values
from models.errors import (
    InvalidInput,
    NoKey,
    NotAllowed,
    NotFound,
    Refused,
    SendgateError,
    TooLarge,
    TooManyFailures,
    Unreachable,
    Unreadable,
)

logger = logging.getLogger(__name__)

#: The nearest class of an error's ancestry decides.
STATUSES: dict[type[BaseException], int] = {
    SendgateError: 500,
    InvalidInput: 422,
    Unreadable: 400,
    TooLarge: 413,
    NoKey: 401,
    NotAllowed: 403,
    TooManyFailures: 429,
    NotFound: 404,
    Refused: 409,
    Unreachable: 503,
}
#: What a browser or a client library is told beside the body of a 401.
CHALLENGE = 'Bearer realm="sendgate", Basic realm="sendgate"'


class Problem(BaseModel):
    """Every error, at every call."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="For programs; docs/operations.md lists all of them.")
    message: str = Field(description="One sentence for people.")
    details: dict[str, Any] = Field(
        description="What the sentence is about. Of a wrong value `fields` names each field with its sentence; of a"
        " refused command there are `status` and `allowed`."
    )


def answer_to(error: Exception) -> JSONResponse:
    """Return the response for an error of any kind; one of ours that nobody foresaw is logged with its traceback."""
    if isinstance(error, SendgateError):
        return _answer_to_ours(error)
    if isinstance(error, RequestValidationError):
        return _answer_to_ours(wrong_values(error.errors()))
    if isinstance(error, HTTPException):
        return _answer_to_starlettes(error)
    logger.error("unexpected error", exc_info=error)
    return problem(500, code="unexpected", message="Something went wrong on the server, and was written to its log.")


def problem(
    status: int,
    *,
    code: str,
    message: str,
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    shape = {"code": code, "message": message, "details": to_jsonable_python(dict(details or {}), fallback=str)}
    return JSONResponse(shape, status, {"Cache-Control": "no-store", **(headers or {})})


def _answer_to_ours(error: SendgateError) -> JSONResponse:
    status = next(STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in STATUSES)
    details, headers = dict(error.details), {}
    if isinstance(error, InvalidInput) and error.field and "fields" not in details:
        details["fields"] = {error.field: error.message}
    if isinstance(error, NoKey):
        headers["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, TooManyFailures):
        headers["Retry-After"] = str(error.details["retry_after_seconds"])
    return problem(status, code=error.code, message=error.message, details=details, headers=headers)


def _answer_to_starlettes(error: HTTPException) -> JSONResponse:
    headers = error.headers or {}
    if error.status_code == 404:
        return problem(404, code="not_found", message="There is no such address; see /docs.")
    if error.status_code == 405:
        return problem(
            405,
            code="method_not_allowed",
            message="This address does not take this method; see /docs.",
            headers=headers,
        )
    if error.status_code == 413:
        return problem(413, code="too_large", message="The body is larger than this call takes.")
    if error.status_code == 400:
        return problem(400, code="unreadable", message="The body cannot be read; is it JSON in UTF-8?")
    return problem(error.status_code, code="error", message=f"{HTTPStatus(error.status_code).phrase}.", headers=headers)
