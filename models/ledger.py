"""What bookkeeping and lanes tell the workflow: ids and numbers, never an address or a text."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel

from models.commands import Verb
from models.message import Counts, MessageStatus
from models.retry import RetryRule
from models.throttle import ThrottleRule


class Adoption(BaseModel):
    """What `adopt` found. Without a status the generation is over: end without sending."""

    status: MessageStatus | None
    name: str = ""
    first_due_at: AwareDatetime | None = None  # of anybody whom the plan knows a zone for
    next_slot_at: AwareDatetime | None = None  # of the audience, as it was when the send was accepted
    throttle: ThrottleRule | None = None
    retry: RetryRule = RetryRule()
    lanes: int = 1
    window: int = 64
    pause_without_server_after: timedelta | None = None
    pause_at_failure_share: float | None = None
    stopped_by: str = ""  # who stopped it and why, if that was the last command that took effect
    last_effective: Verb | None = None


class BeginOutcome(StrEnum):
    NEW = "new"
    ALREADY = "already"
    NOT_YET = "not_yet"
    HELD = "held"
    SUPERSEDED = "superseded"


class Beginning(BaseModel):
    """What `begin` did, and the status it left."""

    outcome: BeginOutcome
    status: MessageStatus | None = None
    look_again_at: AwareDatetime | None = None  # NOT_YET: the next instant at which somebody could be due
    next_slot_at: AwareDatetime | None = None  # NOT_YET: the first instant of the audience as it is now


class Turns(BaseModel):
    """A throttled send at `as_of`: what was opened last, and who is in no batch yet."""

    first_turn_at: AwareDatetime
    latest: int | None = None  # the turn of the last batch that was opened
    unfinished: bool = False  # whether somebody of that batch is pending or claimed
    waiting: int = 0  # recipients in no batch yet
    first_waiting_at: AwareDatetime | None = None  # when the first of them is due
    ends_at: AwareDatetime | None = None


class SlotLine(BaseModel):
    """One slot or throttle batch, as an operator reads it in the Temporal UI."""

    label: str
    due_at: AwareDatetime
    total: int
    finished: int


class Survey(BaseModel):
    """The ledger of one message at `as_of`."""

    status: MessageStatus | None
    gate_open: bool = False
    gate_number: int = 0  # of the command that moved the gate last
    held: bool = False
    due: int = 0  # recipients a claim would take now; counted up to a limit
    next_at: AwareDatetime | None = None  # when the next waiting one is due, or the next lease lapses
    counts: Counts = Counts()
    last_effective: Verb | None = None
    turns: Turns | None = None  # of a throttled send that has begun
    slots: list[SlotLine] = []  # some around `as_of`; none where everybody is due at one instant


class OpenOutcome(StrEnum):
    """What became of opening a throttle batch."""

    OPENED = "opened"
    ENDED = "ended"  # the end date has passed, and the rest has expired
    NOBODY_DUE = "nobody_due"
    UNFINISHED = "unfinished"  # the batch before
    STOPPED = "stopped"
    HELD = "held"


class LaneEnd(StrEnum):
    """Why a lane returned."""

    NOTHING_DUE = "nothing_due"
    GATE_CLOSED = "gate_closed"
    HELD = "held"
    SLICE_OVER = "slice_over"
    NO_SERVER = "no_server"
    UNRENDERABLE = "unrenderable"  # its text was right when it was sent off, and is not for this version of Sendgate
    STOPPED = "stopped"


class LaneReport(BaseModel):
    """What one lane did. Partial when it was stopped; the ledger, not this, says what is finished."""

    end: LaneEnd
    settled: dict[str, int] = {}
    given_back: int = 0
    last_reply: str | None = None  # why there was no server, or what is wrong with the text: our own words, no address


class ResumeOutcome(BaseModel):
    """What a resume did to the audience, and to the rest of a throttled send whose end date has passed."""

    status: MessageStatus | None
    superseded: bool = False
    joiners: int = 0
    leavers: int = 0
    suppressed: int = 0
    returning: int = 0
    moved: int = 0  # unsent recipients whose zone was edited, and whose instant is another one now
    expired: int = 0


class PendingStart(BaseModel):
    """A message that no workflow has adopted: scheduled, or taken over and paused."""

    message_id: str
    generation: int
    name: str
    status: MessageStatus
