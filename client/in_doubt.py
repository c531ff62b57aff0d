"""Whom an operator names of those in doubt, and by which Message-ID the next hop's log knows each of their emails."""

from __future__ import annotations

import email
from collections.abc import Callable, Sequence

from activities.rendering import compile_message
from client.interface import RecipientInDoubt
from models.contact import address_key, check_address
from models.errors import InvalidInput, blaming
from models.message import Message, MessageContent
from models.recipient import ClaimedRecipient, Recipient
from storage.in_doubt import Named


def named_recipients(whom: Sequence[str | int] | None) -> Named | None:
    """Return who is named, by address or contact id; None is everybody. Raises InvalidInput.

    An empty list is refused: it must not be read as everybody.
    """
    if whom is None:
        return None
    if not whom:
        raise InvalidInput("Nobody is named; leave it out to decide for everybody in doubt.", field="contact_ids")
    with blaming("addresses"):
        addresses = [check_address(name) for name in whom if isinstance(name, str)]
    return Named(
        addresses={address_key(address): address for address in addresses},
        contact_ids=tuple(dict.fromkeys(name for name in whom if isinstance(name, int))),
    )


def message_ids_of(message: Message) -> Callable[[Recipient], RecipientInDoubt]:
    """Return what adds the Message-ID to a recipient: the email has the same one at every try."""
    # Of an email without the message's text: only rendering knows how a Message-ID is made, and the text has no part.
    bare = MessageContent(name="-", from_address=message.from_address, subject="-", text="-")
    compiled = compile_message(message.id, bare)

    def add(recipient: Recipient) -> RecipientInDoubt:
        contact = ClaimedRecipient(recipient.contact_id, message.from_address, recipient.attempts, None)
        made = email.message_from_bytes(compiled.render(contact).content)
        return RecipientInDoubt(**recipient.model_dump(), email_message_id=str(made["Message-ID"]))

    return add
