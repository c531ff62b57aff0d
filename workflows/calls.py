"""The activities of a send as calls: which argument, how long, tried how often, and the sentence the Temporal UI shows.

All but the lanes are repeated until they succeed: each is one conditional transaction (`activities`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.audience import AudienceActivities
    from activities.delivery import DeliveryActivities
    from activities.gate import GateActivities
    from activities.progress import ProgressActivities
    from activities.requests import (
        AnswerRequest,
        BeginRequest,
        CommandRequest,
        LaneRequest,
        MessageRef,
        OpenBatchRequest,
        ResumeRequest,
        SurveyRequest,
    )
    from models.commands import Command, ReceiptOutcome
    from models.ledger import Adoption, Beginning, LaneReport, OpenOutcome, ResumeOutcome, Survey
    from models.message import MessageStatus
    from models.throttle import ThrottleRule
    from workflows.state import Knobs, NumberedCommand

DELIVERY_QUEUE = "batch-send-delivery"

_FOREVER = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))
#: One short transaction. A worker that dies with it costs a stop this much.
_QUICK: dict[str, Any] = {"start_to_close_timeout": timedelta(seconds=5), "retry_policy": _FOREVER}
#: Reading an audience of millions takes its time, and so may waiting for quiet, or sorting failures; these heartbeat.
_LONG: dict[str, Any] = {
    "start_to_close_timeout": timedelta(minutes=30),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": _FOREVER,
}
#: In its first moment it closes the gate, so a worker that dies with it is noticed as soon as one of the quick ones.
_STOP: dict[str, Any] = _LONG | {"heartbeat_timeout": timedelta(seconds=5)}


class Calls:
    """What the workflow of one scheduling of one message can have done."""

    def __init__(self, ref: MessageRef, knobs: Knobs) -> None:
        self._ref = ref
        self._knobs = knobs

    async def adopt(self) -> Adoption:
        return await workflow.execute_activity_method(
            AudienceActivities.adopt, self._ref, summary="take the message on", **_QUICK
        )

    async def begin(self, late: Command) -> Beginning:
        """`late` is the system's pause, should it be too late to begin."""
        return await workflow.execute_activity_method(
            AudienceActivities.begin,
            BeginRequest(**self._ref.model_dump(), as_of=workflow.now(), late=late),
            summary="turn the audience into recipients",
            **_LONG,
        )

    async def survey(self, most: int) -> Survey:
        """`most` is up to how many due recipients are counted."""
        return await workflow.execute_activity_method(
            ProgressActivities.survey,
            SurveyRequest(**self._ref.model_dump(), as_of=workflow.now(), most=most),
            summary="look at the ledger",
            **_QUICK,
        )

    def start_opening(
        self, turn: int, throttle: ThrottleRule, what: str, *, gate_number: int
    ) -> workflow.ActivityHandle[OpenOutcome]:
        """Open a throttle batch; `what` is the turn as an operator reads it. A stop need not wait for its end."""
        return workflow.start_activity_method(
            ProgressActivities.open_batch,
            OpenBatchRequest(
                **self._ref.model_dump(),
                gate_number=gate_number,
                turn=turn,
                throttle=throttle,
                as_of=workflow.now(),
            ),
            summary=f"open {what}",
            **_LONG,
        )

    async def finish(self) -> MessageStatus | None:
        return await workflow.execute_activity_method(
            ProgressActivities.finish, self._ref, summary="end, if nobody is left", **_QUICK
        )

    async def commonest_failure(self) -> str:
        return await workflow.execute_activity_method(
            ProgressActivities.commonest_failure, self._ref, summary="why do so many fail?", **_LONG
        )

    async def close_gate(self, stop: NumberedCommand) -> MessageStatus | None:
        return await workflow.execute_activity_method(
            GateActivities.close_gate,
            self._command_request(stop),
            summary=f"{stop.command.verb}: close the gate",
            **_QUICK,
        )

    async def stop(self, stop: NumberedCommand) -> MessageStatus:
        return await workflow.execute_activity_method(
            GateActivities.stop,
            self._command_request(stop),
            summary=f"{stop.command.verb}: close the gate, wait until nothing is in flight",
            **_STOP,
        )

    async def confirm_stop(self, stop: NumberedCommand) -> MessageStatus:
        return await workflow.execute_activity_method(
            GateActivities.confirm_stop,
            self._command_request(stop),
            summary=f"{stop.command.verb}: wait until nothing is in flight",
            **_STOP,
        )

    async def resume(self, entry: NumberedCommand) -> ResumeOutcome:
        return await workflow.execute_activity_method(
            AudienceActivities.resume,
            ResumeRequest(**self._command_request(entry).model_dump(), as_of=workflow.now()),
            summary="resume: read the audience again",
            **_LONG,
        )

    async def answer(self, command: Command, outcome: ReceiptOutcome, explanation: str | None) -> MessageStatus | None:
        return await workflow.execute_activity_method(
            GateActivities.answer,
            AnswerRequest(**self._ref.model_dump(), command=command, outcome=outcome, explanation=explanation),
            summary=f"{command.verb}: {outcome}",
            **_QUICK,
        )

    def start_lane(
        self,
        number: int,
        *,
        of: int,
        plan: Adoption,
        as_of: datetime,
        slice_length: timedelta,
        most: int | None,
        to_go: int,
    ) -> workflow.ActivityHandle[LaneReport]:
        """Start lane `number` (from 0) of `of`. Temporal's own retry is for workers that die with it."""
        return workflow.start_activity_method(
            DeliveryActivities.deliver,
            LaneRequest(
                **self._ref.model_dump(),
                lane=f"{self._ref.generation}.{number}",
                as_of=as_of,
                window=plan.window,
                slice_length=slice_length,
                retry=plan.retry,
                most=most,
            ),
            task_queue=DELIVERY_QUEUE,
            summary=f"lane {number + 1} of {of}, {to_go:,} recipients to go",
            start_to_close_timeout=slice_length + timedelta(minutes=10),
            heartbeat_timeout=self._knobs.lane_heartbeat_timeout,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)),
        )

    def _command_request(self, entry: NumberedCommand) -> CommandRequest:
        return CommandRequest(**self._ref.model_dump(), command=entry.command, number=entry.number)
