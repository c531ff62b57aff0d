"""What bookkeeping and lanes tell the workflow: ids and numbers, never an address or a text."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel

from models.commands import Verb
from models.message import Counts, MessageStatus


class Adoption(BaseModel):
    """What `adopt` found. Without a status the generation is over: end without sending."""

    status: MessageStatus | None
    name: str = ""
    first_due_at: AwareDatetime | None = None
    lanes: int = 1
    window: int = 64
    last_effective: Verb | None = None


class BeginOutcome(StrEnum):
    NEW = "new"
    ALREADY = "already"
    HELD = "held"
    SUPERSEDED = "superseded"


class Beginning(BaseModel):
    """What `begin` did, and the status it left."""

    outcome: BeginOutcome
    status: MessageStatus | None = None


class Survey(BaseModel):
    """The ledger of one message at `as_of`."""

    status: MessageStatus | None
    gate_open: bool = False
    held: bool = False
    due: int = 0  # recipients a claim would take now; counted up to a limit
    next_at: AwareDatetime | None = None  # when the next waiting one is due, or the next lease lapses
    counts: Counts = Counts()
    last_effective: Verb | None = None


class LaneEnd(StrEnum):
    """Why a lane returned."""

    NOTHING_DUE = "nothing_due"
    GATE_CLOSED = "gate_closed"
    HELD = "held"
    SLICE_OVER = "slice_over"
    NO_SERVER = "no_server"
    STOPPED = "stopped"


class LaneReport(BaseModel):
    """What one lane did. Partial when it was stopped; the ledger, not this, says what is finished."""

    end: LaneEnd
    settled: dict[str, int] = {}
    given_back: int = 0
    last_reply: str | None = None  # of a missing server: our own words, no address


class ResumeOutcome(BaseModel):
    """What a resume did to the audience."""

    status: MessageStatus | None
    superseded: bool = False
    joiners: int = 0
    leavers: int = 0
    suppressed: int = 0
    returning: int = 0


class PendingStart(BaseModel):
    """A message that no workflow has adopted: scheduled, or taken over and paused."""

    message_id: str
    generation: int
    name: str
    status: MessageStatus
