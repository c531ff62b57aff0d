"""The errors of `models.errors` over HTTP: the status of each, and back, so that they are the same as in process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.errors import (
    IllegalTransition,
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

#: The nearest class of an error's ancestry decides. No two share a status: it says on the way back which one it was.
STATUSES: Mapping[type[SendgateError], int] = {
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
_KINDS = {status: kind for kind, status in STATUSES.items()}


def status_of(error: SendgateError) -> int:
    """Return the status that an error is answered with."""
    return next(STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in STATUSES)


def error_of(status: int, content: bytes, where: str) -> SendgateError:
    """Return the error that an answer tells of; one without our shape comes from something else at that address."""
    try:
        problem = json.loads(content)
        code, message, details = str(problem["code"]), str(problem["message"]), dict(problem["details"])
    except (ValueError, TypeError, KeyError):
        return Unreachable(f"What answers at {where} is not Sendgate's API, or something before it: status {status}.")
    return _made(_KINDS.get(status, SendgateError), code, message, details)


def _made(kind: type[SendgateError], code: str, message: str, details: dict[str, Any]) -> SendgateError:
    if issubclass(kind, InvalidInput):
        return kind(message, field=details.pop("field", None), code=code, **details)
    if kind is Refused and code == IllegalTransition.code and {"status", "allowed"} <= set(details):
        return IllegalTransition(message, status=details["status"], allowed=details["allowed"])
    error = kind(message, **details)
    error.code = code  # type: ignore[misc]  # as InvalidInput does: a finer code for one instance
    return error
