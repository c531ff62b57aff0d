"""What the activities need of the world, as protocols: so that they import neither PostgreSQL, SMTP nor templates.

`worker.py` puts the real ones in; the workflow, which imports the activities for their signatures, stays pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from models.commands import Command, ReceiptOutcome
from models.ledger import Adoption, Beginning, LaneEnd, OpenOutcome, ResumeOutcome, Survey
from models.message import MessageStatus
from models.recipient import ClaimedRecipient, Outcome, Place
from models.throttle import ThrottleRule


class Email(NamedTuple):
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


#: An email, and its place in the bag that it was taken from.
Taken = tuple[int, Email]


class Bag(Protocol):
    """Emails to be handed over; several conversations may take from one bag."""

    def take(self) -> Taken | None:
        """Take the next email out, None when there is none. Whoever takes it settles it."""

    def settle(self, place: int, outcome: Outcome) -> None:
        """Say what became of the email of that place."""


class Transport(Protocol):
    """The way to the next hop. Shared by all lanes of a worker; limits its own connections."""

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        """Hand one email to the next hop and return what became of it; raise nothing that SMTP can cause.

        When the permit refuses, the outcome is NOT_HANDED_OVER. Canceling the task aborts the conversation, and the
        call still returns: NOT_HANDED_OVER if the final dot was not written, IN_DOUBT if it was.
        """

    async def hand_over_each(self, bag: Bag, permit: Permit) -> None:
        """Hand over what is in the bag until it is empty, one email after the other; each is settled as by `hand_over`.

        Call it as often at once as there are to be conversations. When the permit refuses, or the task is canceled, it
        returns, and leaves in the bag what nobody has taken.
        """

    def let_go(self, bag: Bag) -> None:
        """Have those calls of `hand_over_each` for this bag return that only wait for a turn: it is being stopped."""


class OneByOne:
    """`Transport.hand_over_each` for a transport that knows `hand_over` alone."""

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        raise NotImplementedError

    async def hand_over_each(self, bag: Bag, permit: Permit) -> None:
        while permit.may_start() and (taken := bag.take()) is not None:
            place, email = taken
            bag.settle(place, await self.hand_over(email, permit))

    def let_go(self, bag: Bag) -> None:
        """Nobody waits here."""


class CompiledMessage(Protocol):
    """A message's templates and MIME frame, compiled once."""

    def render(self, recipient: ClaimedRecipient) -> Email:
        """Return the email for one recipient. Raises RenderingFailed."""


class LanePort(Protocol):
    """The ledger as a lane uses it; see `storage.ledger.Ledger`."""

    async def claim(
        self,
        message_id: str,
        generation: int,
        lane: str,
        *,
        as_of: datetime,
        most: int,
        token: UUID,
        lease: timedelta,
        after: Place | None = None,
    ) -> list[ClaimedRecipient] | LaneEnd | timedelta: ...

    async def settle(
        self,
        message_id: str,
        lane: str,
        token: UUID,
        outcomes: Sequence[tuple[int, Outcome, datetime | None]],
        *,
        uncounted: Collection[int] = (),
    ) -> int: ...

    async def give_back(self, message_id: str, lane: str, token: UUID, contact_ids: Sequence[int] | None) -> int: ...

    async def renew(self, message_id: str, tokens: Sequence[UUID], lease: timedelta) -> int: ...


class SendingPort(Protocol):
    """The bookkeeping of a message that is sent; see `storage.sending.Sending`."""

    async def adopt(self, message_id: str, generation: int) -> Adoption: ...
    async def begin(self, message_id: str, generation: int, *, as_of: datetime, late: Command) -> Beginning: ...
    async def survey(self, message_id: str, generation: int, *, as_of: datetime, most: int) -> Survey: ...
    async def open_batch(
        self,
        message_id: str,
        generation: int,
        *,
        gate_number: int,
        turn: int,
        throttle: ThrottleRule,
        as_of: datetime,
    ) -> OpenOutcome: ...
    async def close_gate(
        self, message_id: str, generation: int, command: Command, number: int
    ) -> MessageStatus | None: ...
    async def confirm_stop(
        self, message_id: str, generation: int, command: Command, number: int
    ) -> MessageStatus | None: ...
    async def resume(
        self, message_id: str, generation: int, command: Command, number: int, *, as_of: datetime
    ) -> ResumeOutcome: ...
    async def commonest_failure(self, message_id: str) -> str: ...
    async def finish(self, message_id: str, generation: int) -> MessageStatus | None: ...
    async def answer(
        self, message_id: str, generation: int, command: Command, outcome: ReceiptOutcome, explanation: str | None
    ) -> MessageStatus | None: ...


class MessageSource(Protocol):
    """Where a lane gets the compiled message; compiled once a worker and generation."""

    async def compiled(self, message_id: str, generation: int) -> CompiledMessage: ...
