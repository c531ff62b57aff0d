"""A message's content is refused with one sentence that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from models.content import LARGEST_BODY, check_content
from models.errors import InvalidInput
from models.message import MessageContent


def content(**fields: Any) -> MessageContent:
    written = {"name": "News", "from_address": "news@shop.example", "subject": "Hello", "text": "Hello", **fields}
    return MessageContent.model_validate(written)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "N" * 200, "subject": "S" * 998, "from_name": 'Ærlig "talt"'},
        {"text": None, "html": "<p>"},
        {"text": "é" * (LARGEST_BODY // 2)},
        {"reply_to": "help@bücher.example", "from_address": "grüße@shop.example"},
        {"text": "tab\tand\r\nlines\n"},
    ],
)
def test_right_content_is_accepted(fields: dict[str, Any]) -> None:
    check_content(content(**fields))


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"name": ""}, "name", "name is empty"),
        ({"name": " "}, "name", "name is empty"),
        ({"name": "a\nb"}, "name", "name has a line break"),
        ({"name": "N" * 201}, "name", "name is 201 characters long; at most 200"),
        ({"name": "a\x00b"}, "name", "name has a control character"),
        ({"subject": ""}, "subject", "subject is empty"),
        *(({"subject": f"a{end}b"}, "subject", "line break") for end in ("\n", "\r", "\r\n", "\u2028", "\x85", "\x0b")),
        ({"subject": "a\x1b[0m"}, "subject", "control character"),
        ({"subject": "S" * 999}, "subject", "999 characters"),
        ({"subject": "\ud800"}, "subject", "not valid Unicode"),
        ({"from_name": "a\r\nBcc: x@y.example"}, "from_name", "line break"),
        ({"from_name": "F" * 201}, "from_name", "201 characters"),
        ({"from_address": "nobody"}, "from_address", "from_address: "),
        ({"from_address": ""}, "from_address", "from_address: "),
        ({"from_address": " a@b.example"}, "from_address", "spaces around"),
        ({"from_address": "a@b.example\nBcc: x@y.example"}, "from_address", "from_address: "),
        ({"reply_to": "nobody"}, "reply_to", "reply_to: "),
        ({"reply_to": ""}, "reply_to", "reply_to: "),
        ({"text": None}, "html", "no body"),
        ({"text": " \n", "html": ""}, "html", "no body"),
        ({"text": "x" * (LARGEST_BODY + 1)}, "text", "1,048,577 bytes"),
        ({"html": "é" * (LARGEST_BODY // 2) + "x"}, "html", "1,048,577 bytes"),
        ({"html": "a\x00b"}, "html", "NUL"),
        ({"text": "\udfff"}, "text", "not valid Unicode"),
        ({"audience": {"lists": ["all"], "where": {"age": {"over": 3}}}}, None, "over"),
    ],
)
def test_wrong_content_is_refused_in_one_line_that_names_the_field(
    fields: dict[str, Any], field: str | None, says: str
) -> None:
    made = content().model_copy(update={k: v for k, v in fields.items() if k != "audience"})
    if "audience" in fields:
        made = content(**fields)
    with pytest.raises(InvalidInput) as refused:
        check_content(made)
    assert says in refused.value.message
    assert refused.value.message.isprintable()
    assert refused.value.code == "invalid_input"
    if field is not None:
        assert refused.value.field == field
        assert field in refused.value.message
