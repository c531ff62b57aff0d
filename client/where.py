"""Conditions of an audience as JSON that somebody typed: at a shell, or in a form."""

from __future__ import annotations

from pydantic import ValidationError

from client.strict_json import read_json
from models.audience import Audience


def read_where(text: str) -> dict[str, object]:
    """Return the conditions. Raises ValueError with a sentence; an attribute given twice is refused, too.

    Only one of the two would hold. Whether operators take their operands is for `models.audience` to say.
    """
    where = read_json(text)
    if not isinstance(where, dict):
        raise ValueError('not a JSON object; write it as {"city": "Oslo"}')
    try:
        Audience(where=where)
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["ctx"]["error"])) from None
    return where
