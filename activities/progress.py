"""Look at the ledger, open throttle batches, and end the send when nobody is left."""

from __future__ import annotations

from temporalio import activity

from activities.attempt import as_of_now
from activities.heartbeat import heartbeats
from activities.ports import SendingPort
from activities.requests import MessageRef, OpenBatchRequest, SurveyRequest
from models.ledger import OpenOutcome, Survey
from models.message import MessageStatus


class ProgressActivities:
    """Safe to repeat: one reads, the others are one conditional transaction each."""

    def __init__(self, sending: SendingPort) -> None:
        self._sending = sending

    @activity.defn
    async def survey(self, request: SurveyRequest) -> Survey:
        """Say how many are due, when the next one is, and the counts; leases that are over lapse first."""
        return await self._sending.survey(
            request.message_id, request.generation, as_of=request.as_of, most=request.most
        )

    @activity.defn
    async def open_batch(self, request: OpenBatchRequest) -> OpenOutcome:
        """Open the throttle batch of a turn; when the end date has passed, expire who is in no batch instead."""
        with heartbeats():
            return await self._sending.open_batch(
                request.message_id,
                request.generation,
                gate_number=request.gate_number,
                turn=request.turn,
                throttle=request.throttle,
                as_of=as_of_now(request.as_of),
            )

    @activity.defn
    async def commonest_failure(self, request: MessageRef) -> str:
        """Return the reply with which most recipients have bounced or failed, and with how many; no addresses."""
        with heartbeats():
            return await self._sending.commonest_failure(request.message_id)

    @activity.defn
    async def finish(self, request: MessageRef) -> MessageStatus | None:
        """Make the message `sent` if no recipient is pending, claimed or deferred and the gate is open."""
        return await self._sending.finish(request.message_id, request.generation)
