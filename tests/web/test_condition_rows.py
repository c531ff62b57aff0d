"""Conditions as rows of a form: what they say, and what is left to JSON."""

from __future__ import annotations

import pytest

from client.web.condition_rows import OPERATORS, Row, rows_of, where_of
from models.audience import Operator
from models.errors import InvalidInput


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"city": "Oslo"},
        {"city": {"ne": "Oslo"}, "age": {"gte": 30, "lt": 40}},
        {"age": {"gt": 1.5}, "joined": {"lte": "2026-05-17"}},
        {"city": {"in": ["Oslo", "Rome"]}, "name": {"contains": "a"}},
        {"city": {"exists": True}, "age": {"exists": False}},
        {"city": "30"},
    ],
)
def test_rows_say_what_they_were_made_from(where: dict[str, object]) -> None:
    rows = rows_of(where)
    assert rows is not None
    assert where_of(rows) == where


@pytest.mark.parametrize("where", [{"a": 30}, {"a": True}, {"a": None}, {"a": {"in": ["x,y"]}}, {"a": " x"}])
def test_what_rows_would_change_is_left_to_json(where: dict[str, object]) -> None:
    assert rows_of(where) is None


def test_every_operator_has_its_words_and_the_same_twice_is_refused() -> None:
    assert {*Operator, "lacks"} == set(OPERATORS)
    with pytest.raises(InvalidInput, match="two conditions of the same kind"):
        where_of([Row("a", "exists"), Row("a", "lacks")])
