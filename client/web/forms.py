"""What a form was filled in with. Text as it was typed; a field that was not sent is empty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from fastapi import Request

from client.api.bodies import read_body
from models.errors import Unreadable

_KIND = "application/x-www-form-urlencoded"
_MOST_FIELDS = 10_000


_NEVER = datetime.fromtimestamp(0, UTC)


class Form:
    """The fields of a form, each with all of its values in their order."""

    def __init__(self, fields: Mapping[str, list[str]] | None = None) -> None:
        self._fields = dict(fields or {})

    def __getitem__(self, name: str) -> str:
        """Return the last value of a field; empty where there is none."""
        return (self._fields.get(name) or [""])[-1]

    def all(self, name: str) -> list[str]:
        """Return every value of a field, as of several boxes that were ticked."""
        return list(self._fields.get(name, []))

    def pairs(self) -> list[tuple[str, str]]:
        """Return every field with each of its values, as a form that carries them along has them."""
        return [(name, value) for name, values in self._fields.items() for value in values]

    def ticked(self, name: str) -> bool:
        return bool(self[name])


async def read_form(request: Request) -> Form:
    """Read the body of a form. Raises Unreadable, or TooLarge having read no more than what the API takes."""
    body = await read_body(request)
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if body and kind != _KIND:
        raise Unreadable("The form cannot be read.")
    fields: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        ):
            # Browsers send line breaks of a text field as CR LF (HTML, 4.10.22.4).
            fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    except ValueError:
        raise Unreadable("The form cannot be read.") from None
    return Form(fields)


def seen_in(form: Form) -> datetime:
    """Return which version of the draft the form was opened with, or was told to be saved over.

    One that cannot be read is older than any.
    """
    try:
        seen = datetime.fromisoformat(form["over"] or form["seen"])
        return seen.astimezone(UTC) if seen.tzinfo is not None else _NEVER
    except (ValueError, OverflowError):
        return _NEVER
