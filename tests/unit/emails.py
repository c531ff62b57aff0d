"""Emails as rendered for one contact, and what a reader makes of them."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage

from activities.rendering import compile_message
from models.message import MessageContent
from models.recipient import ClaimedRecipient


def content(**fields: str | None) -> MessageContent:
    written = {"name": "News", "from_address": "news@shop.example", "subject": "Hello", "text": "Hello", **fields}
    return MessageContent.model_validate(written)


def recipient(address: str = "ola@example.com", contact_id: int = 7, **attributes: str) -> ClaimedRecipient:
    return ClaimedRecipient(contact_id, address, 1, None, attributes)


def rendered(message: MessageContent, to: ClaimedRecipient | None = None) -> bytes:
    return compile_message("m1", message).render(to or recipient()).content


def parsed(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)


def body(data: bytes, kind: str) -> str:
    part = parsed(data).get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).replace("\r\n", "\n")


def as_read(text: str) -> str:
    """What a reader sees of a text: line breaks of one kind, one of them at the end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def raw_headers(data: bytes) -> dict[str, str]:
    """Header names and unfolded values, by hand: the standard library drops what it does not like."""
    head = data.split(b"\r\n\r\n", 1)[0].decode()
    return dict(line.split(": ", 1) for line in re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n"))
