"""The ledger as lanes use it: claim before the hand-over, settle or give back after it.

Every call is one statement and so one transaction. Repeating any of them is safe: a claim under the same token takes
other rows, and settle and give-back match the token and the status.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from models.ledger import LaneEnd
from models.recipient import ClaimedRecipient, Outcome, Place, Recipient, RecipientStatus, Verdict
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("ledger")

_STATUS_OF: Mapping[Verdict, RecipientStatus] = {
    Verdict.SENT: RecipientStatus.SENT,
    Verdict.DEFERRED: RecipientStatus.DEFERRED,
    Verdict.BOUNCED: RecipientStatus.BOUNCED,
    Verdict.FAILED: RecipientStatus.FAILED,
    Verdict.IN_DOUBT: RecipientStatus.IN_DOUBT,
}
#: Claimed nobody because all that were looked at are suppressed or deleted: claim again.
NONE_MAILABLE = "none_mailable"
RATE_LIMITED = "rate_limited"
_PAGE = 2_000
_LARGEST_ID = 2**63 - 1


class Ledger:
    """The rows of all messages, over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

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
    ) -> list[ClaimedRecipient] | LaneEnd | timedelta:
        """Claim up to `most` recipients due at `as_of`, oldest first and behind a place; why not, when nobody is there.

        Under a rate limit: how long to wait before the next claim, when nobody may be claimed now. An empty list means
        that all who were looked at are suppressed or deleted: claim again. Once it returns the claim is durable. After
        an error (a lost answer) give back by `token`: then nothing is in doubt.
        """
        rows = [
            row
            async for row in _sql.claim(
                self._pool,
                message_id=message_id,
                generation=generation,
                lane=lane,
                as_of=as_of,
                most=most,
                token=token,
                lease=lease,
                after_due=after[0] if after else None,
                after_position=after[1] if after else None,
            )
        ]
        if len(rows) == 1 and rows[0]["verdict"] not in ("claimed", NONE_MAILABLE):
            wait: timedelta | None = rows[0]["wait"]
            return wait if rows[0]["verdict"] == RATE_LIMITED and wait is not None else LaneEnd(rows[0]["verdict"])
        return [
            ClaimedRecipient(
                row["contact_id"],
                row["address"],
                row["attempts"],
                row["time_zone"],
                row["attributes"],
                row["first_try_at"],
                (row["due"], row["place"]),
            )
            for row in rows
            if row["verdict"] == "claimed"
        ]

    async def settle(
        self,
        message_id: str,
        lane: str,
        token: UUID,
        outcomes: Sequence[tuple[int, Outcome, datetime | None]],
        *,
        uncounted: Collection[int] = (),
    ) -> int:
        """Write outcomes as (contact id, outcome, next try of a deferred one); return how many rows took them.

        Fewer than given means that the token no longer holds those rows. The tries of contacts in `uncounted` do not
        count as attempts.
        """
        settled: int = await _sql.settle(
            self._pool,
            message_id=message_id,
            lane=lane,
            token=token,
            contact_ids=[contact_id for contact_id, _, _ in outcomes],
            statuses=[_STATUS_OF[outcome.verdict].value for _, outcome, _ in outcomes],
            handed_over_at=[outcome.handed_over_at for _, outcome, _ in outcomes],
            smtp_codes=[outcome.smtp_code for _, outcome, _ in outcomes],
            enhanced_codes=[outcome.enhanced_code for _, outcome, _ in outcomes],
            replies=[outcome.reply for _, outcome, _ in outcomes],
            next_try_at=[next_try_at for _, _, next_try_at in outcomes],
            counts=[contact_id not in uncounted for contact_id, _, _ in outcomes],
        )
        return settled

    async def give_back(self, message_id: str, lane: str, token: UUID, contact_ids: Sequence[int] | None) -> int:
        """Undo the claim of these contacts, or of all that the token holds (None); return how many."""
        given: int = await _sql.give_back(
            self._pool,
            message_id=message_id,
            lane=lane,
            token=token,
            contact_ids=None if contact_ids is None else list(contact_ids),
        )
        return given

    async def renew(self, message_id: str, tokens: Sequence[UUID], lease: timedelta) -> int:
        """Lengthen the lease of the rows still claimed under `tokens`; return how many there are."""
        renewed: int = await _sql.renew(self._pool, message_id=message_id, tokens=list(tokens), lease=lease)
        return renewed


async def lapse_leases(connection: Connection | Pool, message_id: str) -> int:
    """Put in doubt what silent lanes hold of a message; return how many."""
    lapsed: int = await _sql.lapse(connection, message_id=message_id)
    return lapsed


async def lapse_all(pool: Pool) -> int:
    """Put in doubt what silent lanes hold of all messages; return how many. 0 while somebody else does it."""
    lapsed: int = await _sql.lapse_all(pool)
    return lapsed


@dataclass(frozen=True, slots=True)
class Going:
    """When a send last began or went on, how many emails had left by then, and the database's time now."""

    since: datetime
    left_before: int
    now: datetime


async def going_since(connection: Connection | Pool, message_id: str) -> Going | None:
    """Return since when a send goes, None of one that has not begun."""
    row = await _sql.going_since(connection, message_id=message_id)
    return Going(row["since"], row["left_before"], row["now"]) if row and row["since"] else None


async def recipients(
    connection: Connection, message_id: str, statuses: Sequence[RecipientStatus]
) -> AsyncGenerator[Recipient, None]:
    """Stream the recipients of a message by contact id, a page at a time, each page as it is when it is read."""
    after = 0
    while True:
        page = await recipients_page(connection, message_id, statuses, most=_PAGE, after=after)
        for recipient in page:
            yield recipient
        if len(page) < _PAGE:
            return
        after = page[-1].contact_id


async def recipients_page(
    connection: Connection, message_id: str, statuses: Sequence[RecipientStatus], *, most: int, after: int
) -> list[Recipient]:
    """Return the next `most` recipients with a contact id above `after`, by contact id."""
    rows = _sql.recipients(
        connection,
        message_id=message_id,
        after=min(after, _LARGEST_ID),
        statuses=[s.value for s in statuses] or None,
        most=most,
    )
    return [Recipient(**dict(row)) async for row in rows]
