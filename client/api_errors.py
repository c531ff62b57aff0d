"""The errors of the API as those of `models.errors`: whoever asks over HTTP is refused as in process."""

from __future__ import annotations

import json
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

_ERRORS: dict[int, type[SendgateError]] = {
    400: Unreadable,
    401: NoKey,
    403: NotAllowed,
    404: NotFound,
    409: Refused,
    413: TooLarge,
    422: InvalidInput,
    429: TooManyFailures,
    503: Unreachable,
}


def error_of(status: int, content: bytes, where: str) -> SendgateError:
    """Return the error that an answer tells of; one without our shape comes from something else at that address."""
    try:
        problem = json.loads(content)
        code, message, details = str(problem["code"]), str(problem["message"]), dict(problem["details"])
    except (ValueError, TypeError, KeyError):
        return Unreachable(f"What answers at {where} is not Sendgate's API, or something before it: status {status}.")
    return _made(_ERRORS.get(status, SendgateError), code, message, details)


def _made(kind: type[SendgateError], code: str, message: str, details: dict[str, Any]) -> SendgateError:
    if issubclass(kind, InvalidInput):
        return kind(message, field=details.pop("field", None), code=code, **details)
    if kind is Refused and code == IllegalTransition.code and {"status", "allowed"} <= set(details):
        return IllegalTransition(message, status=details["status"], allowed=details["allowed"])
    error = kind(message, **details)
    error.code = code  # type: ignore[misc]  # as InvalidInput does: a finer code for one instance
    return error
