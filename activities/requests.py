"""The one argument of each activity. Fields are only ever added, with defaults: recorded histories must replay."""

from __future__ import annotations

from datetime import timedelta

from pydantic import AwareDatetime, BaseModel

from models.commands import Command, ReceiptOutcome
from models.retry import RetryRule
from models.throttle import ThrottleRule


class MessageRef(BaseModel):
    """One scheduling of one message."""

    message_id: str
    generation: int


class BeginRequest(MessageRef):
    as_of: AwareDatetime
    late: Command  # the system's pause, should it be too late to begin


class SurveyRequest(MessageRef):
    as_of: AwareDatetime
    most: int


class OpenBatchRequest(MessageRef):
    gate_number: int = 0  # nothing opens once a command has moved the gate on from here
    turn: int
    throttle: ThrottleRule
    as_of: AwareDatetime


class CommandRequest(MessageRef):
    command: Command
    number: int  # the command's place in this generation; the gate obeys the highest


class ResumeRequest(CommandRequest):
    as_of: AwareDatetime


class AnswerRequest(MessageRef):
    command: Command
    outcome: ReceiptOutcome
    explanation: str | None = None


class LaneRequest(MessageRef):
    lane: str  # whose counters it adds to
    as_of: AwareDatetime  # the workflow's clock: what is due by then may be claimed
    window: int  # most rows a claim takes
    slice_length: timedelta  # return after about this long
    retry: RetryRule = RetryRule()
    most: int | None = None  # return after about so many, so that somebody looks how it goes
