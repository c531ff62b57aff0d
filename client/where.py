"""Conditions of an audience as JSON that somebody typed: at a shell, or in a form."""

from __future__ import annotations

import json

from pydantic import ValidationError

from models.audience import Audience


def read_where(text: str) -> dict[str, object]:
    """Return the conditions. Raises ValueError with a sentence; an attribute given twice is refused, too.

    Only one of the two would hold. Whether operators take their operands is for `models.audience` to say.
    """
    try:
        where = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(where, dict):
        raise ValueError('not a JSON object; write it as {"city": "Oslo"}')
    try:
        Audience(where=where)
    except ValidationError as error:
        attribute = str(error.errors()[0]["loc"][1])
        raise ValueError(f'{attribute}: not a condition; write it as "Oslo" or {{"gte": 30}}') from None
    return where


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{json.dumps(twice, ensure_ascii=False)} is given twice; put its conditions together")
    return result


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
