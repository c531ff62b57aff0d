"""What a message's content must be before it is stored. Pure: the templates are `activities.template_check`'s."""

from __future__ import annotations

import re

from models.audience import check_audience
from models.contact import check_address
from models.errors import InvalidInput, check_all
from models.message import MessageContent

LONGEST_NAME = 200  # characters; of the message's name and the sender's
LONGEST_SUBJECT = 998  # characters; RFC 5322's limit of a line
LARGEST_BODY = 1024 * 1024  # bytes of UTF-8

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LINE_BREAKS = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def check_content(content: MessageContent) -> None:
    """Refuse content that cannot be an email. Raises InvalidInput with a sentence for each field, which it names."""
    check_all(
        lambda: _check_line("name", content.name, LONGEST_NAME, required=True),
        lambda: _check_mailbox("from_address", content.from_address),
        lambda: _check_line("from_name", content.from_name, LONGEST_NAME, required=False),
        lambda: _check_mailbox("reply_to", content.reply_to) if content.reply_to is not None else None,
        lambda: _check_line("subject", content.subject, LONGEST_SUBJECT, required=True),
        lambda: _check_there_is_a_body(content),
        lambda: _check_body("html", content.html or ""),
        lambda: _check_body("text", content.text or ""),
        lambda: check_audience(content.audience),
    )


def _check_there_is_a_body(content: MessageContent) -> None:
    if not (content.html or "").strip() and not (content.text or "").strip():
        raise InvalidInput("html, text: the message has no body; give at least one of them.", field="html")


def _check_line(field: str, text: str, longest: int, *, required: bool) -> None:
    if required and not text.strip():
        raise InvalidInput(f"{field} is empty.", field=field)
    if _LINE_BREAKS.search(text):
        raise InvalidInput(f"{field} has a line break; it must be one line.", field=field)
    if _CONTROLS.search(text):
        raise InvalidInput(f"{field} has a control character.", field=field)
    if len(text) > longest:
        raise InvalidInput(f"{field} is {len(text):,} characters long; at most {longest} are possible.", field=field)
    _encoded(field, text)


def _check_mailbox(field: str, address: str) -> None:
    try:
        check_address(address)
    except InvalidInput as error:
        raise InvalidInput(f"{field}: {error.message}", field=field) from None
    if address != address.strip():
        raise InvalidInput(f"{field}: the address has spaces around it.", field=field)


def _check_body(field: str, body: str) -> None:
    size = len(_encoded(field, body))
    if size > LARGEST_BODY:
        raise InvalidInput(
            f"{field} is {size:,} bytes large; at most 1 MiB ({LARGEST_BODY:,}) is possible.", field=field
        )
    if "\x00" in body:
        raise InvalidInput(f"{field} has a NUL character.", field=field)


def _encoded(field: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput(f"{field} is not valid Unicode (it has half of a surrogate pair).", field=field) from None
