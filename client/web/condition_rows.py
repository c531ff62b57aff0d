"""Conditions of an audience as rows of a form: attribute, operator, value. What rows cannot say stays JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from models.audience import ORDERING, Audience, Operand, Operator, conditions
from models.errors import InvalidInput

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
#: `exists` with false; a row needs no value then.
_LACKS = "lacks"
#: The operators as they stand in the form.
OPERATORS: dict[str, str] = {
    Operator.EQ.value: "is",
    Operator.NE.value: "is not",
    Operator.IN.value: "is one of",
    Operator.CONTAINS.value: "contains",
    Operator.GT.value: "is more than",
    Operator.GTE.value: "is at least",
    Operator.LT.value: "is less than",
    Operator.LTE.value: "is at most",
    Operator.EXISTS.value: "is known",
    _LACKS: "is not known",
}


class Row(NamedTuple):
    """One condition as it is typed. Several values are separated by commas."""

    attribute: str = ""
    operator: str = Operator.EQ.value
    value: str = ""


def rows_of(where: Mapping[str, Any]) -> list[Row] | None:
    """Return the rows that read as these conditions; None where no rows would."""
    rows = [_row(each.attribute, each.operator, each.operand) for each in conditions(Audience(where=dict(where)))]
    try:
        return rows if _meaning(where_of(rows)) == _meaning(where) else None
    except InvalidInput:
        return None


def where_of(rows: Sequence[Row]) -> dict[str, Operand | dict[str, Operand]]:
    """Return what rows say; empty ones say nothing. Raises InvalidInput for the same condition twice."""
    where: dict[str, dict[str, Operand]] = {}
    for row in rows:
        attribute = row.attribute.strip()
        if not attribute and not row.value.strip():
            continue
        operator, operand = _operation(row)
        rules = where.setdefault(attribute, {})
        if operator in rules:
            raise InvalidInput(
                f"where: {attribute} has two conditions of the same kind; only one could hold.", field="audience.where"
            )
        rules[operator] = operand
    equal = {Operator.EQ.value}
    return {name: rules[Operator.EQ] if set(rules) == equal else dict(rules) for name, rules in where.items()}


def _row(attribute: str, operator: Operator, operand: Operand) -> Row:
    if operator is Operator.EXISTS:
        return Row(attribute, operator if operand else _LACKS)
    if isinstance(operand, list):
        return Row(attribute, operator, ", ".join(map(_text, operand)))
    return Row(attribute, operator, _text(operand))


def _text(operand: object) -> str:
    return operand if isinstance(operand, str) else json.dumps(operand)


def _operation(row: Row) -> tuple[str, Operand]:
    value = row.value.strip()
    if row.operator in (Operator.EXISTS, _LACKS):
        return Operator.EXISTS.value, row.operator == Operator.EXISTS
    if row.operator == Operator.IN:
        return row.operator, [part.strip() for part in value.split(",") if part.strip()]
    if row.operator in set(ORDERING) and _NUMBER.fullmatch(value):
        return row.operator, float(value) if "." in value else int(value)
    return row.operator, value


def _meaning(where: Mapping[str, Any]) -> list[str]:
    # By their text: 1, 1.0 and true are the same to ==.
    return sorted(repr(each) for each in conditions(Audience(where=dict(where))))
