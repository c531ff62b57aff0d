"""Look at the ledger, and end the send when nobody is left."""

from __future__ import annotations

from temporalio import activity

from activities.ports import SendingPort
from activities.requests import MessageRef, SurveyRequest
from models.ledger import Survey
from models.message import MessageStatus


class ProgressActivities:
    """Safe to repeat: one reads, the other is one conditional statement."""

    def __init__(self, sending: SendingPort) -> None:
        self._sending = sending

    @activity.defn
    async def survey(self, request: SurveyRequest) -> Survey:
        """Say how many are due, when the next one is, and the counts; leases that are over lapse first."""
        return await self._sending.survey(
            request.message_id, request.generation, as_of=request.as_of, most=request.most
        )

    @activity.defn
    async def finish(self, request: MessageRef) -> MessageStatus | None:
        """Make the message `sent` if no recipient is pending, claimed or deferred and the gate is open."""
        return await self._sending.finish(request.message_id, request.generation)
