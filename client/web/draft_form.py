"""The editor's form and the content of a draft, each made from the other."""

from __future__ import annotations

import json
import re
from datetime import datetime
from itertools import zip_longest

from client.web.condition_rows import OPERATORS, Row, rows_of, where_of
from client.web.forms import Form
from client.where import read_where
from models.audience import Audience
from models.content import check_content
from models.errors import InvalidInput, check_all
from models.message import MessageContent

#: What problems can be named at.
FIELDS = (
    "name",
    "from_address",
    "from_name",
    "reply_to",
    "subject",
    "html",
    "text",
    "lists",
    "where",
    "exclude_lists",
    "exclude_recipients_of",
)
_SPARE_ROWS = 2
_CALLED = {"html": "HTML"}


def form_of(content: MessageContent, *, seen: datetime | None = None) -> Form:
    """Return the form as it is filled in for a content that is stored, of a draft that was changed last when `seen`."""
    audience = content.audience
    rows = rows_of(audience.where)
    fields = {
        "name": [content.name],
        "from_address": [content.from_address],
        "from_name": [content.from_name],
        "reply_to": [content.reply_to or ""],
        "subject": [content.subject],
        "html": [content.html or ""],
        "text": [content.text or ""],
        "lists": list(audience.lists),
        "exclude_lists": list(audience.exclude_lists),
        "exclude_recipients_of": list(audience.exclude_recipients_of),
        "seen": [seen.isoformat()] if seen else [],
    }
    if rows is None:
        fields["where_json"] = [json.dumps(audience.where, ensure_ascii=False, indent=2)]
    else:
        fields |= {
            "where_attribute": [row.attribute for row in rows],
            "where_operator": [row.operator for row in rows],
            "where_value": [row.value for row in rows],
        }
    return Form(fields)


def differing(mine: MessageContent, theirs: MessageContent) -> list[str]:
    """Return in which fields two contents differ, as people call them."""
    fields = [name for name in MessageContent.model_fields if getattr(mine, name) != getattr(theirs, name)]
    return [_CALLED.get(name, name.replace("_", " ")) for name in fields]


def rows_in(form: Form) -> list[Row]:
    """Return the rows of conditions as they were typed."""
    typed = [form.all(f"where_{part}") for part in ("attribute", "operator", "value")]
    return [
        Row(attribute, operator or next(iter(OPERATORS)), value)
        for attribute, operator, value in zip_longest(*typed, fillvalue="")
    ]


def rows_to_show(form: Form) -> list[Row]:
    """Return the rows that say something, and a few to be filled in."""
    return [row for row in rows_in(form) if row.attribute.strip() or row.value.strip()] + [Row()] * _SPARE_ROWS


def audience_in(form: Form) -> Audience:
    """Return the audience of a form. Raises InvalidInput."""
    return _audience(form, _where(form))


def bodies_in(form: Form) -> MessageContent:
    """Return the content of a form without its audience, of which there may be none yet."""
    return _content(form, {})


def content_in(form: Form) -> MessageContent:
    """Return the content of a form. Raises InvalidInput for conditions that cannot be read, beside all else there is.

    Everything else is checked when it is stored.
    """
    try:
        where = _where(form)
    except InvalidInput:
        check_all(lambda: check_content(_content(form, {})), lambda: _where(form))
        raise
    return _content(form, where)


def _content(form: Form, where: dict[str, object]) -> MessageContent:
    return MessageContent(
        name=form["name"].strip(),
        from_address=form["from_address"].strip(),
        from_name=form["from_name"].strip(),
        reply_to=form["reply_to"].strip() or None,
        subject=form["subject"],
        html=form["html"] or None,
        text=form["text"] or None,
        audience=_audience(form, where),
    )


def _audience(form: Form, where: dict[str, object]) -> Audience:
    further = re.split(r"[\s,]+", form["further_messages"].strip())
    excluded = [*form.all("exclude_recipients_of"), *further]
    return Audience.model_validate(
        {
            "lists": tuple(form.all("lists")),
            "where": where,
            "exclude_lists": tuple(form.all("exclude_lists")),
            "exclude_recipients_of": tuple(dict.fromkeys(each for each in excluded if each)),
        }
    )


def _where(form: Form) -> dict[str, object]:
    if not form["where_json"].strip():
        return dict(where_of(rows_in(form)))
    try:
        return read_where(form["where_json"])
    except ValueError as error:
        raise InvalidInput(f"where: {error}.", field="audience.where") from None
