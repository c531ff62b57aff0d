"""The hold: the kill switch over all messages. While it is on nothing begins and nothing is claimed."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Hold(BaseModel):
    """Whether the hold is on, and if so by whom, why and since when."""

    model_config = ConfigDict(frozen=True)

    held: bool
    actor: str | None = None
    reason: str | None = None
    since: datetime | None = None
    in_flight: int = Field(0, description="Emails claimed before it that may still be on their way right now.")
