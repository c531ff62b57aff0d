"""What the activities need of the world, as protocols: so that they import neither PostgreSQL, SMTP nor templates.

`worker.py` puts the real ones in; the workflow, which imports the activities for their signatures, stays pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from models.recipient import ClaimedRecipient, Outcome


@dataclass(frozen=True, slots=True)
class Email:
    """The MIME document for one recipient, and its envelope."""

    sender: str  # envelope sender (MAIL FROM)
    recipient: str  # envelope recipient (RCPT TO)
    content: bytes  # RFC 5322, CRLF line endings, not dot-stuffed


class RenderingFailed(Exception):
    """The templates fail for this one contact; the text says why, without any of the contact's data."""


class Permit(Protocol):
    """Asked by a conversation at its two points of no return."""

    def may_start(self) -> bool:
        """Whether a conversation may begin (before MAIL). False once the lane is stopping."""

    def may_write_body(self) -> bool:
        """Whether the body may be written (after 354, right before the write). False once the claim may be lost."""


class Transport(Protocol):
    """The way to the next hop. Shared by all lanes of a worker; limits its own connections."""

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        """Hand one email to the next hop and return what became of it; raise nothing that SMTP can cause.

        When the permit refuses, the outcome is NOT_HANDED_OVER. Cancelling the task aborts the conversation, and the
        call still returns: NOT_HANDED_OVER if the final dot was not written, IN_DOUBT if it was.
        """


class CompiledMessage(Protocol):
    """A message's templates and MIME frame, compiled once."""

    def render(self, recipient: ClaimedRecipient) -> Email:
        """Return the email for one recipient. Raises RenderingFailed."""
