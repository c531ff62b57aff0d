"""The audience: the rule that chooses contacts. Pure: the rule and its checks; the SQL is in `storage.audience`.

A contact is in the audience when it is on one of `lists`, on none of `exclude_lists`, meets every condition of
`where`, and its address is not one that a message of `exclude_recipients_of` reached or may have reached.

What a condition means. Attributes are text; `email` and `time_zone` name the contact's own address and zone.

eq        a text operand: the same text; a number: the value reads as this number; a boolean: the value is `true`
          or `false` in any case; null: the contact has no such attribute
ne        whatever does not meet eq; so it holds for contacts that lack the attribute, unless the operand is null
in        meets eq for one of the operands
gt, gte, lt, lte   a number: compared as numbers; an ISO date or date-time: compared as instants, UTC unless the
          value says otherwise, a date being its midnight. A value that does not read so does not match
contains  the operand is part of the value, whatever the case of either
exists    true: the contact has the attribute; false: it does not
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from models.contact import check_attribute_name, check_list_name, is_storable, shown
from models.errors import InvalidInput

#: A JSON value as an operand of `where`.
Operand = str | int | float | bool | None | list[str | int | float | bool]

# The same rule stands in the schema (instant_or_null): what a value must look like to be compared as an instant.
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-5]):?[0-5][0-9])?)?"
)
_LARGEST_NUMBER = 1e300


def _conditions(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Say which attribute has no condition, in one sentence instead of one for each shape that a condition may have."""
    if not isinstance(value, dict):
        raise ValueError('it must be an object; write it as {"city": "Oslo"}')
    try:
        return handler(value)
    except ValidationError as error:
        attribute = str(error.errors()[0]["loc"][0])
        named = attribute if attribute.isidentifier() else shown(attribute)
        raise ValueError(f'{named}: not a condition; write it as "Oslo" or {{"gte": 30}}') from None


class Audience(BaseModel):
    """Which contacts. An audience without lists is nobody, never everybody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lists: tuple[str, ...] = ()
    where: Annotated[dict[str, Operand | dict[str, Operand]], WrapValidator(_conditions)] = Field(
        default_factory=dict, description='{"city": "Oslo"} or {"age": {"gte": 30, "lt": 40}}; all must hold.'
    )
    exclude_lists: tuple[str, ...] = ()
    exclude_recipients_of: tuple[str, ...] = Field((), description="Message ids.")


class Operator(StrEnum):
    """How a condition compares; the module's docstring says what each means."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EXISTS = "exists"
    CONTAINS = "contains"


ORDERING = frozenset({Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of `where`, checked: the operand is of the kind that its operator takes."""

    attribute: str
    operator: Operator
    operand: Operand


def check_audience(audience: Audience) -> None:
    """Raise InvalidInput, naming what is wrong, unless the audience can be read from a database.

    Whether its lists exist is for the database to say: `storage.audience.check_lists_exist`.
    """
    for field in ("lists", "exclude_lists"):
        for name in getattr(audience, field):
            try:
                checked = check_list_name(name)
            except InvalidInput as error:
                raise InvalidInput(f"{field}: {error.message}", field=f"audience.{field}") from None
            if checked != name:
                raise InvalidInput(f"{field}: {shown(name)} has spaces around it.", field=f"audience.{field}")
    for message_id in audience.exclude_recipients_of:
        if not message_id.isprintable() or not 1 <= len(message_id) <= 100:
            raise InvalidInput(
                f"exclude_recipients_of: {shown(message_id)} is not the id of a message.",
                field="audience.exclude_recipients_of",
            )
    for _ in conditions(audience):
        pass


def conditions(audience: Audience) -> Iterator[Condition]:
    """Yield the conditions of `where`, all of which must hold. Raises InvalidInput naming attribute and operator."""
    for attribute, rule in audience.where.items():
        try:
            check_attribute_name(attribute)
        except InvalidInput as error:
            raise InvalidInput(f"where: {error.message}", field="audience.where") from None
        if isinstance(rule, dict):
            if not rule:
                raise _wrong(attribute, "names no operator")
            for name, operand in rule.items():
                yield _condition(attribute, name, operand)
        elif isinstance(rule, list):
            raise _wrong(attribute, 'is a list; write {"in": […]}')
        else:
            yield _condition(attribute, Operator.EQ, rule)


def parse_instant(value: str) -> datetime | None:
    """Return the instant that an ISO 8601 date or date-time reads as (UTC if it has no offset), or None."""
    written = value.strip(" ")
    if not _INSTANT.fullmatch(written):
        return None
    try:
        instant = datetime.fromisoformat(written)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _condition(attribute: str, name: str, operand: Operand) -> Condition:
    try:
        operator = Operator(name)
    except ValueError:
        raise _wrong(attribute, f"has the unknown operator {shown(name)}; there are {', '.join(Operator)}") from None
    kind = _kind_expected(operator, operand)
    if kind:
        raise _wrong(attribute, f"{operator} takes {kind}, not {_described(operand)}")
    for value in operand if isinstance(operand, list) else [operand]:
        if isinstance(value, str) and not is_storable(value):
            raise _wrong(attribute, f"{operator} is given a text that cannot be stored")
        if isinstance(value, int | float) and not abs(value) <= _LARGEST_NUMBER:  # nan is not ≤ anything
            raise _wrong(attribute, f"{operator} is given a number that is too large")
    return Condition(attribute, operator, operand)


def _kind_expected(operator: Operator, operand: Operand) -> str | None:
    """Return what the operator takes if the operand is something else."""
    is_number = isinstance(operand, int | float) and not isinstance(operand, bool)
    if operator is Operator.IN:
        return None if isinstance(operand, list) else "a list"
    if operator is Operator.EXISTS:
        return None if isinstance(operand, bool) else "true or false"
    if operator is Operator.CONTAINS:
        return None if isinstance(operand, str) else "a text"
    if operator in ORDERING:
        is_instant = isinstance(operand, str) and parse_instant(operand) is not None
        return None if is_number or is_instant else "a number or an ISO date such as 2026-05-17"
    return "one value" if isinstance(operand, list) else None


def _described(operand: Operand) -> str:
    if isinstance(operand, list):
        return "a list"
    if operand is None:
        return "null"
    if isinstance(operand, bool):
        return "true" if operand else "false"
    return shown(operand) if isinstance(operand, str) else "a number"


def _wrong(attribute: str, problem: str) -> InvalidInput:
    return InvalidInput(f"where: {attribute} {problem}.", field="audience.where")
