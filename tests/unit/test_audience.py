"""Which conditions an audience may have, without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from models.audience import Audience, Condition, Operator, check_audience, conditions, parse_instant
from models.errors import InvalidInput


def test_several_operators_and_attributes_are_conditions_of_their_own() -> None:
    audience = Audience(where={"city": "Oslo", "age": {"gte": 30, "lt": 40.5}, "vip": True, "gone": None})
    assert list(conditions(audience)) == [
        Condition("city", Operator.EQ, "Oslo"),
        Condition("age", Operator.GTE, 30),
        Condition("age", Operator.LT, 40.5),
        Condition("vip", Operator.EQ, True),
        Condition("gone", Operator.EQ, None),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        "Oslo",
        30,
        True,
        None,
        {"eq": None},
        {"ne": None},
        {"ne": 3},
        {"in": ["a", 1, 1.5, True]},
        {"in": []},
        {"gt": 3},
        {"gte": "2026-05-17"},
        {"lt": "2026-05-17T10:00:00+02:00"},
        {"lte": "2026-05-17 10:00Z"},
        {"exists": False},
        {"contains": ""},
    ],
)
def test_a_condition_of_the_right_kind_is_accepted(rule: Any) -> None:
    check_audience(Audience(lists=("news",), where={"field": rule}))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "names no operator"),
        (["Oslo"], 'write {"in": […]}'),
        ({"like": "O%"}, "unknown operator 'like'; there are eq, ne, in"),
        ({"eq": ["a"]}, "eq takes one value, not a list"),
        ({"ne": ["a"]}, "ne takes one value, not a list"),
        ({"in": "a"}, "in takes a list, not 'a'"),
        ({"in": None}, "in takes a list, not null"),
        ({"gt": ["a"]}, "gt takes a number or an ISO date such as 2026-05-17, not a list"),
        ({"gt": True}, "gt takes a number or an ISO date such as 2026-05-17, not true"),
        ({"gte": "soon"}, "not 'soon'"),
        ({"lt": "2026-02-30"}, "not '2026-02-30'"),
        ({"lt": "30"}, "not '30'"),
        ({"lte": None}, "not null"),
        ({"exists": "yes"}, "exists takes true or false, not 'yes'"),
        ({"exists": 1}, "exists takes true or false, not a number"),
        ({"contains": 3}, "contains takes a text, not a number"),
        ({"eq": float("nan")}, "too large"),
        ({"gt": float("inf")}, "too large"),
        ({"in": [10**400]}, "too large"),
        ({"eq": "a\x00b"}, "cannot be stored"),
        ({"contains": "\udc80"}, "cannot be stored"),
        ({"in": ["a\x00b"]}, "cannot be stored"),
    ],
)
def test_a_condition_of_the_wrong_kind_is_refused_by_attribute_and_operator(rule: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_audience(Audience(lists=("news",), where={"good": "x", "field": rule}))
    assert refused.value.message.startswith("where: field ")
    assert said in refused.value.message
    assert refused.value.field == "audience.where"
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("name", ["", "first name", "a'; drop table contacts; --", "_x"])
def test_a_condition_on_what_cannot_be_an_attribute_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="name of an attribute"):
        check_audience(Audience(where={name: "x"}))


@pytest.mark.parametrize(
    ("audience", "field"),
    [
        (Audience(lists=("",)), "audience.lists"),
        (Audience(lists=("a\x00",)), "audience.lists"),
        (Audience(exclude_lists=(" news",)), "audience.exclude_lists"),
        (Audience(exclude_recipients_of=("",)), "audience.exclude_recipients_of"),
        (Audience(exclude_recipients_of=("a\x00",)), "audience.exclude_recipients_of"),
    ],
)
def test_a_name_that_nothing_can_have_is_refused(audience: Audience, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_audience(audience)
    assert refused.value.field == field


def test_an_operand_keeps_its_json_type() -> None:
    read = Audience.model_validate_json('{"where": {"a": 1, "b": true, "c": "1", "d": {"in": [1, true, "1", 1.5]}}}')
    assert [repr(value) for value in read.where.values()] == ["1", "True", "'1'", "{'in': [1, True, '1', 1.5]}"]
    with pytest.raises(ValidationError):
        Audience.model_validate_json('{"where": {"a": {"eq": {"deeper": 1}}}}')


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-05-17", datetime(2026, 5, 17, tzinfo=UTC)),
        (" 2026-05-17 ", datetime(2026, 5, 17, tzinfo=UTC)),
        ("2026-05-17T10:00", datetime(2026, 5, 17, 10, tzinfo=UTC)),
        ("2026-05-17 10:00:01.5+02:00", datetime(2026, 5, 17, 8, 0, 1, 500_000, tzinfo=UTC)),
        ("2026-05-17T10:00:00Z", datetime(2026, 5, 17, 10, tzinfo=UTC)),
        ("2026-02-29", None),
        ("0001-01-01T00:00+15:00", None),
        ("17.05.2026", None),
        ("20260517", None),
        ("2026-W20-7", None),
        ("2026-05-17T24:00", None),
        ("today", None),
        ("٢٠٢٦-٠٥-١٧", None),
    ],
)
def test_iso_dates_are_instants_and_nothing_else_is(text: str, instant: datetime | None) -> None:
    assert parse_instant(text) == instant
