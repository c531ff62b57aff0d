"""The hold: the kill switch over all messages. While it is on nothing begins and nothing is claimed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Hold(BaseModel):
    """Whether the hold is on, and if so by whom, why and since when."""

    model_config = ConfigDict(frozen=True)

    held: bool
    actor: str | None = None
    reason: str | None = None
    since: datetime | None = None
    in_flight: int = Field(0, description="Emails claimed before it that may still be on their way right now.")


class HoldAct(StrEnum):
    """What was done with the hold."""

    PUT = "put"
    RELEASED = "released"


class HoldEntry(BaseModel):
    """One hold that was put, or one release."""

    model_config = ConfigDict(frozen=True)

    id: int
    act: HoldAct
    actor: str
    reason: str = Field(description="Of a hold why it was put; a release may have none.")
    source: str = Field(description="Through what: `cli`, `api`, `web`, `runbook`; `sql` by hand in the database.")
    at: datetime
