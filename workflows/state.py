"""What a send carries from one run of its workflow to the next, and its knobs."""

from __future__ import annotations

from datetime import timedelta

from pydantic import AwareDatetime, BaseModel

from models.commands import Command, Verb
from models.failures import FailureWatch
from models.message import MessageStatus


class NumberedCommand(BaseModel):
    """A command and its place in this generation: the gate obeys the highest number."""

    number: int
    command: Command


class Knobs(BaseModel):
    """What tests turn. A workflow cannot read settings or patched globals, so they travel with its input."""

    slice_length: timedelta = timedelta(seconds=60)
    hold_timer: timedelta = timedelta(minutes=5)  # the safety net under the wake signal
    no_server_first_wait: timedelta = timedelta(seconds=1)
    no_server_longest_wait: timedelta = timedelta(seconds=60)
    lane_heartbeat_timeout: timedelta = timedelta(seconds=10)
    #: Below the 4,096 at which the server begins to ask for it, by more than one step adds. None: when it asks.
    continue_after_events: int | None = 3_500


class BatchSendState(BaseModel):
    """The workflow's input. The client fills the first two; a continued run finds the rest."""

    message_id: str
    generation: int
    queue: list[NumberedCommand] = []
    last_number: int = 0
    remembered: list[str] = []
    remembered_verbs: list[list[Verb]] = []  # with which each of these came
    status: MessageStatus = MessageStatus.SCHEDULED
    last_effective: Verb | None = None
    next_turn: int | None = None  # the turn that the next throttle batch waits for
    no_server_since: AwareDatetime | None = None
    failures: FailureWatch = FailureWatch()
    runs: int = 1
    knobs: Knobs = Knobs()


class BatchSendResult(BaseModel):
    """How a send ended; None: another generation took its place."""

    status: MessageStatus | None
