"""The errors a user can meet. The docstring of each class says when; its text is the sentence the user reads.

SendgateError           500  exit 1
├── InvalidInput            422  exit 2   a value is wrong; `field` names it where one is to blame
│   ├── Unreadable          400           not JSON, not UTF-8: nothing can be said of its values
│   └── TooLarge            413
├── NoKey                   401  exit 1   no API key, or one that opens nothing
├── NotAllowed              403  exit 1   the key's role does not allow it
├── TooManyFailures         429  exit 1   too many wrong keys; `details.retry_after_seconds`
├── NotFound                404  exit 4
│   └── LinkOfPreview                     the unsubscribe link of a preview or test email
├── Refused                 409  exit 3   right in itself, not in the present state
│   ├── IllegalTransition                 the command is not legal in the message's status
│   ├── ChangedMeanwhile                  somebody has changed the draft since it was read
│   └── ExclusionNotFinal                 an excluded message could still mail the same people
└── Unreachable             503  exit 5   PostgreSQL, Temporal or the API does not answer
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar


class SendgateError(Exception):
    """Anything that is told to a user in one sentence."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details


class InvalidInput(SendgateError):
    """What was given cannot be used: wrong type, out of range, unreadable."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None, **details: Any) -> None:
        super().__init__(message, **({"field": field} if field else {}), **details)
        self.field = field
        if code:
            self.code = code  # type: ignore[misc]  # a finer code for one instance: at_in_past, empty_audience


def check_all(*checks: Callable[[], object]) -> None:
    """Run every check. Raises one InvalidInput for all that fail, whose `details["fields"]` says what of each field."""
    failed: list[InvalidInput] = []
    for check in checks:
        try:
            check()
        except InvalidInput as error:
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        fields: dict[str, str] = {}
        for each in failed:
            fields |= each.details.get("fields") or {each.field or "": each.message}
        sentences = " ".join(each.message for each in failed)
        raise InvalidInput(sentences, field=failed[0].field, code=failed[0].code, fields=fields)


@contextmanager
def blaming(field: str) -> Iterator[None]:
    """Name the field that is to blame for an InvalidInput of the body that names none."""
    try:
        yield
    except InvalidInput as error:
        if error.field is None:
            error.field = field
            error.details["field"] = field
        raise


class Unreadable(InvalidInput):
    """What was given cannot be parsed."""

    code = "unreadable"


class TooLarge(InvalidInput):
    """What was given is larger than is taken."""

    code = "too_large"


class NoKey(SendgateError):
    """An API key is needed, and none was given, or one that opens nothing."""

    code = "no_key"


class NotAllowed(SendgateError):
    """The role of the API key does not allow this."""

    code = "not_allowed"


class TooManyFailures(SendgateError):
    """Too many wrong API keys came from there; wait."""

    code = "too_many_failures"


class NotFound(SendgateError):
    """There is no such message, contact or list."""

    code = "not_found"


class LinkOfPreview(NotFound):
    """The unsubscribe link of a preview or a test email, which acts on nobody."""

    code = "link_of_preview"

    def __init__(self) -> None:
        super().__init__("This is the link of a preview or a test email; it acts in the real email.")


class Refused(SendgateError):
    """Right in itself, but not in the present state. Nothing was changed."""

    code = "refused"


class IllegalTransition(Refused):
    """The command is not legal in the message's status."""

    code = "illegal_transition"

    def __init__(self, message: str, *, status: str, allowed: Sequence[str]) -> None:
        super().__init__(message, status=status, allowed=list(allowed))


class ChangedMeanwhile(Refused):
    """Somebody has changed the draft since it was read, or checked: what is asked was meant for another text."""

    code = "changed_meanwhile"

    def __init__(self, changed_at: datetime) -> None:
        super().__init__(
            "Somebody has changed the draft meanwhile, so nothing was done: look at it, and ask again.",
            changed_at=changed_at,
        )


class ExclusionNotFinal(Refused):
    """The audience excludes the recipients of a message that is not over, so it could still mail them."""

    code = "exclusion_not_final"


class Unreachable(SendgateError):
    """A server that is needed does not answer. If only the answer was lost, it may have been done all the same."""

    code = "unreachable"
