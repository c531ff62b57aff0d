"""An email that was made, as its parts: for those who look at it before it is sent."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage


def parts_of(content: bytes) -> dict[str, str | None]:
    """Return `from`, `to` and `subject`, and `text` and `html`, which are None where the email has no such part."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # what this policy makes
    bodies = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
    return {
        "from": str(message["From"]),
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "text": bodies["plain"].get_content() if bodies["plain"] else None,
        "html": bodies["html"].get_content() if bodies["html"] else None,
    }
