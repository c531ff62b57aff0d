"""What is wrong with what was filled in, at the fields where it is."""

from __future__ import annotations

from collections.abc import Collection

from models.errors import SendgateError


def problems_of(error: SendgateError, fields: Collection[str]) -> dict[str, str]:
    """Return a sentence for each field of a form; what belongs to none of `fields` stands under "".

    An error names values as the API does (`throttle.every`); a field of a form is named as the last part of that.
    """
    named = error.details.get("fields") or {getattr(error, "field", None) or "": error.message}
    problems: dict[str, str] = {}
    for path, sentence in named.items():
        last = path.rpartition(".")[2]
        field = path if path in fields else last if last in fields else ""
        said = _without_name(sentence, (path, last))
        problems[field] = f"{problems[field]} {said}" if field in problems else said
    return problems


def _without_name(sentence: str, names: Collection[str]) -> str:
    """Return the sentence without the name that it begins with, or with the name as people write it."""
    for name in names:
        if name and sentence.startswith(f"{name}: "):
            rest = sentence[len(name) + 2 :]
            return rest[:1].upper() + rest[1:]
        if name and sentence.startswith(f"{name} "):
            return name.replace("_", " ").capitalize() + sentence[len(name) :]
    return sentence
