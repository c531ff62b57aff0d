"""Commands (asked) and receipts (answered)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.contact import is_storable
from models.errors import InvalidInput


class Verb(StrEnum):
    """What an operator can ask of a message once it is written."""

    SEND = "send"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    UNSCHEDULE = "unschedule"
    COPY = "copy"
    EDIT = "edit"
    DELETE = "delete"
    ACCEPT = "in-doubt accept"
    RESEND = "in-doubt resend"

    @property
    def is_stop(self) -> bool:
        """Whether obeying it begins with closing the gate."""
        return self in (Verb.PAUSE, Verb.CANCEL)


class ReceiptOutcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    SUPERSEDED = "superseded"


LONGEST_REASON = 500  # characters


def check_reason(reason: str) -> None:
    """Raise InvalidInput unless the reason can be kept."""
    if len(reason) > LONGEST_REASON or not is_storable(reason):
        raise InvalidInput(f"The reason is one text of at most {LONGEST_REASON} characters.", field="reason")


class Command(BaseModel):
    """A command as asked. `command_id` is chosen by whoever asks, so that asking twice acts once."""

    model_config = ConfigDict(frozen=True)

    command_id: str
    verb: Verb
    actor: str = Field(description="Who: the API key's name, the user at the shell, or `system`.")
    reason: str = ""
    source: str = Field(description="Through what: cli, api, web, runbook, temporal, system.")
    requested_at: AwareDatetime


class Receipt(BaseModel):
    """What a command did: when it took hold, what had left, what had not."""

    model_config = ConfigDict(frozen=True)

    command_id: str
    command: Verb
    outcome: ReceiptOutcome
    actor: str
    reason: str
    source: str
    requested_at: datetime
    effective_at: datetime | None = Field(
        description="Of a stop: the database's clock, read after no email was in flight with the gate closed."
    )
    status_before: str
    status_after: str
    counts: dict[str, int] | None = None
    explanation: str | None = Field(
        None, description="Why it was refused or superseded; for how many recipients in doubt it decided."
    )


class HistoryEntry(BaseModel):
    """A command with its answer, if it has one yet."""

    model_config = ConfigDict(frozen=True)

    command_id: str
    command: Verb
    actor: str
    reason: str
    source: str
    requested_at: datetime
    generation: int
    details: dict[str, Any] = {}
    receipt: Receipt | None = None


def told(actor: str, reason: str) -> str:
    """Return who asked, and why if that was said, on one line: "anna: the link is broken"."""
    return " ".join(f"{actor}: {reason}".split())[:300] if reason else actor
