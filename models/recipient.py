"""The ledger's row: one recipient of one message, and what became of handing it over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

_ADDRESS = re.compile(r"\S+@\S+")


class RecipientStatus(StrEnum):
    """Where a recipient stands.

    `pending → claimed → sent | bounced | failed | in_doubt | deferred`, `deferred → claimed | failed`,
    `claimed → pending` (given back). Without an email end: suppressed, withdrawn, expired, canceled.
    """

    PENDING = "pending"
    CLAIMED = "claimed"
    SENT = "sent"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SUPPRESSED = "suppressed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    CANCELED = "canceled"


#: Rows whose address an email reached or may have reached: what excluding a message's recipients means.
REACHED = frozenset({RecipientStatus.SENT, RecipientStatus.IN_DOUBT, RecipientStatus.CLAIMED, RecipientStatus.BOUNCED})


class Verdict(StrEnum):
    """What became of one hand-over."""

    SENT = "sent"  # the next hop took it: 2xx after the final dot
    DEFERRED = "deferred"  # refused for now: 4xx
    BOUNCED = "bounced"  # refused for good: 5xx
    FAILED = "failed"  # it can never be handed over: the template fails for this contact, the address is unusable
    IN_DOUBT = "in_doubt"  # the final dot was written and no reply was seen
    NOT_HANDED_OVER = "not_handed_over"  # stopped before the final dot was written: give back
    NO_SERVER = "no_server"  # no conversation could be begun: give back, and wait


class Outcome(NamedTuple):
    """One hand-over as data. `handed_over_at` is when the final dot was written (aware, this machine's clock)."""

    verdict: Verdict
    handed_over_at: datetime | None = None
    smtp_code: int | None = None
    enhanced_code: str | None = None  # RFC 3463, "5.1.1"
    reply: str | None = None  # the server's text, or what went wrong, at most 500 characters


#: Where a recipient stands in the order of claims: when it is due, or to be tried again, and its position.
Place = tuple[datetime, int]


def without_addresses(reply: str) -> str:
    """Return a reply fit for Temporal's history, where no address may stand; a server may quote one."""
    return _ADDRESS.sub("(address)", reply)


class ClaimedRecipient(NamedTuple):
    """One row that a claim took, with what rendering needs of the contact."""

    contact_id: int
    address: str
    attempts: int  # tries that count, this one with them
    time_zone: str | None
    attributes: Mapping[str, str] = MappingProxyType({})
    first_try_at: datetime | None = None  # by the workflow's clock
    place: Place | None = None


class Recipient(BaseModel):
    """A ledger row as the doors show it."""

    model_config = ConfigDict(frozen=True)

    contact_id: int
    address: str
    status: RecipientStatus
    due_at: datetime
    attempts: int
    next_try_at: datetime | None
    handed_over_at: datetime | None
    settled_at: datetime | None
    smtp_code: int | None
    enhanced_code: str | None
    reply: str | None
    reason: str | None
