"""What is wrong with the values of a request, in words for people: pydantic's own speak of Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.errors import InvalidInput

#: A sentence goes on with one of these behind the name of the field, by the kind of pydantic's error.
_TEXT, _WHOLE, _NUMBER = "must be a text", "must be a whole number", "must be a number"
_LIST, _OBJECT, _SWITCH = "must be a list", "must be an object", "must be true or false"
_SAID: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here; is it misspelt?",
    "string_type": _TEXT,
    "string_unicode": "is not valid Unicode: it has half of a surrogate pair",
    "string_too_short": "must have {min_length:,} or more characters",
    "string_too_long": "must have {max_length:,} or fewer characters",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE + " of fewer digits",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be {ge:,} or more",
    "less_than_equal": "must be {le:,} or less",
    "too_short": "must have {min_length:,} or more, not {actual_length:,}",
    "too_long": "must have {max_length:,} or fewer, not {actual_length}",
    "time_delta_type": "must be a length of time, as PT15M or 15m",
}
_MOST_SAID, _MOST_NAMED = 5, 100
_LONGEST_NAME = 100  # characters; a name may be whatever somebody put for one


def wrong_values(errors: Sequence[Any]) -> InvalidInput:
    """Return one error for all the values that do not fit their types, each under its field."""
    fields: dict[str, str] = {}
    for error in errors:
        name = _name_of(error["loc"])
        if len(fields) < _MOST_NAMED:
            fields.setdefault(name, _sentence(name, error))
    said = list(fields.values())[:_MOST_SAID]
    more = len(errors) - len(said)
    further = [f"{more:,} more {'value is' if more == 1 else 'values are'} wrong."] if len(fields) > _MOST_SAID else []
    return InvalidInput(" ".join(said + further), field=next(iter(fields)), fields=fields)


def _name_of(place: Sequence[str | int]) -> str:
    """Return the name of a field, without the part of the request that it stands in: `throttle.every`, `body`."""
    name = ".".join(map(str, place[1:])) or str(place[0])
    name = "".join(each if each.isprintable() else "\ufffd" for each in name)
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"


def _sentence(name: str, error: Mapping[str, Any]) -> str:
    about = "The body" if name == "body" else name
    said = _SAID.get(error["type"])
    if said is None:  # of a check of ours, which says how to write it
        return f"{about}: {str(error['msg']).removeprefix('Value error, ').rstrip('.')}."
    said = said.format_map(error.get("ctx", {}))
    return f"{about} {said}{'' if said.endswith('?') else '.'}"
