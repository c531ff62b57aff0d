"""JSON that means one thing only (RFC 8259): no key twice in an object, no NaN or Infinity."""

from __future__ import annotations

import json

from models.contact import shown

_MOST_DIGITS = 4_000  # of a whole number; Python reads no more than a few hundred beyond that


def read_json(text: str) -> object:
    """Return what a JSON text says. Raises ValueError that says what keeps it from that."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = set[str]()
        twice = next(key for key, _ in pairs if key in keys or keys.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{shown(twice)} is given twice")
    return result


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has more than {_MOST_DIGITS:,} digits")
    return int(digits)
