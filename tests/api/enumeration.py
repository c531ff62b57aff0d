"""Every call of the OpenAPI document with every value that it takes: the document itself says what there is to try."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.bad_values import HALF_A_PAIR, LONG, TEXTS

Schema = dict[str, Any]
Path = tuple[str | int, ...]

_BODIES = "application/json"
#: One value of each type of JSON; a field is given those that are not its own.
_OF_TYPE: dict[str, list[Any]] = {
    "string": ["nonsense"],
    "integer": [7],
    "number": [1.5],
    "boolean": [True],
    "array": [[], ["nonsense"], [[[]]]],
    "object": [{}, {"nonsense": 1}],
    "null": [None],
}


_HUGE = 10**30
_NUMBERS = (-1, 0, _HUGE, -_HUGE, float("nan"), float("inf"), -float("inf"))
_KEYS = ("further", HALF_A_PAIR, LONG, "\x1b[31m")


@dataclass(frozen=True)
class Operation:
    """One call: its parameters by where they stand, and the schema of its body."""

    name: str
    method: str
    path: str
    parameters: tuple[Schema, ...]
    body: Schema | None
    body_required: bool

    def parameters_in(self, place: str) -> Iterator[Schema]:
        return (each for each in self.parameters if each["in"] == place)


@dataclass(frozen=True)
class Field:
    """A value somewhere in a body: its path, and what the schema says of it."""

    path: Path
    types: frozenset[str]
    choices: tuple[Any, ...]
    properties: frozenset[str] | None  # of an object that takes no others; None: of none, or of any
    required: frozenset[str]

    @property
    def dotted(self) -> str:
        return ".".join(map(str, self.path))

    def of_wrong_type(self) -> Iterator[Any]:
        for name, values in _OF_TYPE.items():
            if name in self.types or (name == "integer" and "number" in self.types):
                continue
            yield from values


def operations(document: Schema) -> list[Operation]:
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {})
            found.append(
                Operation(
                    operation["operationId"],
                    method.upper(),
                    path,
                    tuple(operation.get("parameters", ())),
                    body["content"][_BODIES]["schema"] if _BODIES in body.get("content", {}) else None,
                    body.get("required", False),
                )
            )
    return found


def fields_of(schema: Schema, document: Schema, example: Any, path: Path = ()) -> Iterator[Field]:
    """Yield every field below a schema; where it names none (`additionalProperties`, `items`), those of the example."""
    alternatives = list(_alternatives(schema, document))
    objects = [each for each in alternatives if each.get("type") == "object"]
    closed = [each for each in objects if each.get("additionalProperties") is False]
    yield Field(
        path,
        frozenset(name for each in alternatives for name in _types(each)),
        tuple(choice for each in alternatives for choice in each.get("enum", ())),
        frozenset(name for each in closed for name in each["properties"]) if closed else None,
        frozenset(name for each in objects for name in each.get("required", ())),
    )
    for each in objects:
        for name, below in each.get("properties", {}).items():
            yield from fields_of(below, document, _at(example, name), (*path, name))
        others = each.get("additionalProperties")
        if isinstance(others, dict) and isinstance(example, dict):
            for name in example:
                yield from fields_of(others, document, example[name], (*path, name))
    for each in alternatives:
        if each.get("type") == "array" and isinstance(example, list) and example:
            yield from fields_of(each["items"], document, example[0], (*path, 0))


def _at(example: Any, name: str) -> Any:
    return example.get(name) if isinstance(example, dict) else None


def _types(schema: Schema) -> set[str]:
    if "enum" in schema and "type" not in schema:
        return {"string"}
    named = schema.get("type", [])
    return {named} if isinstance(named, str) else set(named)


def _alternatives(schema: Schema, document: Schema) -> Iterator[Schema]:
    if "$ref" in schema:
        yield from _alternatives(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _alternatives(each, document)
    else:
        yield schema


def has(body: Any, path: Path) -> bool:
    """Whether there is something at this path of a body."""
    for step in path:
        is_in_list = isinstance(body, list) and isinstance(step, int) and step < len(body)
        if not is_in_list and not (isinstance(body, dict) and step in body):
            return False
        body = body[step]
    return True


def replaced(body: Any, path: Path, value: Any) -> Any:
    """Return the body with this value at the path."""
    if not path:
        return value
    changed = copy.deepcopy(body)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def without(body: Any, path: Path) -> Any:
    changed = copy.deepcopy(body)
    place = changed
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return changed


def said_under(answer: Any, name: str | int) -> list[Any]:
    """Return all that an answer has under a name, wherever it stands."""
    if isinstance(answer, dict):
        below = [found for value in answer.values() for found in said_under(value, name)]
        return ([answer[str(name)]] if name in answer else []) + below
    if isinstance(answer, list):
        return [found for value in answer for found in said_under(value, name)]
    return []


class BadBody(NamedTuple):
    """A body with one thing wrong: in which field, where, and what."""

    name: str
    body: Any
    path: Path
    value: Any
    kind: str


def bad_bodies(operation: Operation, document: Schema, examples: Sequence[Any]) -> Iterator[BadBody]:
    """Yield bodies with something wrong at each field in its turn; a field that no example has fails."""
    if operation.body is None:
        return
    seen: set[Path] = set()
    for example in examples:
        for field in fields_of(operation.body, document, example):
            if field.path not in seen and has(example, field.path):
                seen.add(field.path)
                yield from _bad_at(field, example, takes_null=not field.path and not operation.body_required)
    every = {each.path for example in examples for each in fields_of(operation.body, document, example)}
    assert every == seen, f"no good call of {operation.name} has {every - seen}"


def _bad_at(field: Field, example: Any, *, takes_null: bool) -> Iterator[BadBody]:
    name, path = field.dotted or "body", field.path

    def with_value(value: Any, kind: str) -> BadBody:
        return BadBody(name, replaced(example, path, value), path, value, kind)

    yield from (
        with_value(value, repr(value)) for value in field.of_wrong_type() if value is not None or not takes_null
    )
    if "string" in field.types:
        yield from (with_value(text, kind) for kind, text in (TEXTS | {"half a surrogate pair": HALF_A_PAIR}).items())
    elif field.types & {"integer", "number"}:
        yield from (with_value(number, str(number)) for number in _NUMBERS)
    if field.properties is not None:
        for key in _KEYS:
            yield BadBody(name, replaced(example, (*path, key), 1), (*path, key), 1, f"with {key[:9]!r}")
    for required in sorted(field.required):
        missing = (*path, required)
        if has(example, missing):
            yield BadBody(".".join(map(str, missing)), without(example, missing), missing, None, "missing")
