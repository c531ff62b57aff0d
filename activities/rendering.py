"""Rendering: a message compiled once, then one email a recipient with only what differs made anew.

Checks of a message's templates before it is stored are in `activities.template_check`, and named here too.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from email.utils import formatdate

from activities import mime
from activities.ports import CompiledMessage, Email, RenderingFailed
from activities.template_check import attributes_named, check_links, check_templates
from activities.templates import LARGEST, Contact, Template, has_tags
from models.message import MessageContent
from models.recipient import ClaimedRecipient

__all__ = ["attributes_named", "check_links", "check_templates", "compile_message"]


#: Contact id → the link that unsubscribes that recipient of a message.
UnsubscribeLink = Callable[[int], str]


def compile_message(
    message_id: str,
    content: MessageContent,
    *,
    message_id_domain: str | None = None,
    unsubscribe_link: UnsubscribeLink | None = None,
) -> CompiledMessage:
    """Compile the message's templates and build its MIME frame.

    Message-IDs are the same for the same (`message_id`, contact) at every rendering, also in another process; their
    domain is `message_id_domain`, or else that of the from address. With `unsubscribe_link` every email has a header
    for one-click unsubscribing (RFC 8058), and `{{ unsubscribe_url }}` is its link; it renders empty without. Raises
    InvalidInput if a template is wrong.
    """
    check_templates(content)
    return RenderedMessage(message_id, content, message_id_domain, unsubscribe_link)


class RenderedMessage:
    """`activities.ports.CompiledMessage` by Jinja2 and quoted-printable."""

    def __init__(
        self,
        message_id: str,
        content: MessageContent,
        message_id_domain: str | None,
        unsubscribe_link: UnsubscribeLink | None,
    ) -> None:
        self._sender = mime.mailbox(content.from_address)
        self._domain = message_id_domain or self._sender.rpartition("@")[2]
        subject = content.subject
        self._subject = Template("subject", subject) if has_tags(subject) else mime.header("Subject", subject)
        self._head = mime.address_header("From", self._sender, content.from_name)
        if content.reply_to:
            self._head += mime.address_header("Reply-To", mime.mailbox(content.reply_to))
        self._head += b"MIME-Version: 1.0\r\n"
        self._frame = _frame(message_id, content)
        self._unsubscribe_link = unsubscribe_link
        self._date = (0, b"")
        self._begun_hash = hashlib.sha256(f"{message_id}/".encode())

    def render(self, recipient: ClaimedRecipient) -> Email:
        """Return the email for one recipient. Raises RenderingFailed."""
        contact = Contact(recipient)
        subject = self._subject
        unsubscribe_url = self._unsubscribe_link(recipient.contact_id) if self._unsubscribe_link is not None else ""
        try:
            address = mime.mailbox(recipient.address)
            head = (
                self._head,
                mime.address_header("To", address),
                subject
                if isinstance(subject, bytes)
                else mime.header("Subject", subject.render(contact, unsubscribe_url)),
                self._date_header(),
                self._message_id_header(recipient.contact_id),
                mime.unsubscribe_headers(unsubscribe_url) if unsubscribe_url else b"",
            )
            body = [
                piece if isinstance(piece, bytes) else mime.end_text(piece.render(contact, unsubscribe_url))
                for piece in self._frame
            ]
        except ValueError as error:  # of no use in an email: an address, or text that is not Unicode
            raise RenderingFailed(f"The email cannot be written: {_reason(error)}.") from error
        content = b"".join((*head, *body))
        if len(content) > LARGEST:
            raise RenderingFailed(f"The email is larger than {LARGEST // 1024**2} MiB.")
        return Email(self._sender, address, content)

    def _date_header(self) -> bytes:
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, f"Date: {formatdate(now, localtime=False)}\r\n".encode("ascii"))
        return self._date[1]

    def _message_id_header(self, contact_id: int) -> bytes:
        unique_hash = self._begun_hash.copy()
        unique_hash.update(b"%d" % contact_id)
        unique = unique_hash.hexdigest()[:40]
        return f"Message-ID: <{unique}@{self._domain}>\r\n".encode("ascii")


def _frame(message_id: str, content: MessageContent) -> list[bytes | Template]:
    """Return what follows the headers of a recipient: constant bytes and the bodies between them, in order."""
    parts: list[tuple[bytes, bytes | Template]] = []
    if content.text or not content.html:
        parts.append((mime.text_part_header("plain"), _body("text", content.text or "")))
    if content.html:  # last: the best form comes last (RFC 2046 section 5.1.4)
        parts.append((mime.text_part_header("html"), _body("html", content.html)))
    if len(parts) == 1:
        return [*parts[0]]
    boundary = mime.boundary(hashlib.sha256(message_id.encode()).hexdigest()[:32])
    frame: list[bytes | Template] = [mime.alternative_header(boundary)]
    for header, body in parts:
        # The line break before a boundary belongs to the boundary; the bodies end with one of their own.
        frame += [f"--{boundary}\r\n".encode("ascii") + header, body, b"\r\n"]
    return [*frame, f"--{boundary}--\r\n".encode("ascii")]


def _body(field: str, source: str) -> bytes | Template:
    """Return a part's body: encoded, if it is the same for everybody."""
    return Template(field, source) if has_tags(source) else mime.encode_text(source)


def _reason(error: ValueError) -> str:
    """Say what was wrong without the data that was: Python's own texts quote it."""
    return "it has text that is not Unicode" if isinstance(error, UnicodeError) else "its address is not usable"
