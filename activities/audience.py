"""Adopt, begin and resume: where a message's audience becomes its recipients."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity

from activities.attempt import as_of_now
from activities.heartbeat import heartbeats
from activities.ports import SendingPort
from activities.requests import BeginRequest, MessageRef, ResumeRequest
from models.ledger import Adoption, Beginning, ResumeOutcome

_READINGS_AT_ONCE = 4


class AudienceActivities:
    """Safe to repeat: each is one transaction that first looks whether it has been done."""

    def __init__(
        self,
        sending: SendingPort,
        *,
        lanes: int,
        window: int,
        pause_without_server_after: timedelta | None = None,
        pause_at_failure_share: float | None = None,
    ) -> None:
        """What besides `sending` is the worker's settings, which a workflow cannot read."""
        self._sending = sending
        self._settings = {
            "lanes": lanes,
            "window": window,
            "pause_without_server_after": pause_without_server_after,
            "pause_at_failure_share": pause_at_failure_share,
        }
        # Each holds a connection for as long as its audience is large: stops and settles need some, too.
        self._places = asyncio.Semaphore(_READINGS_AT_ONCE)

    @activity.defn
    async def adopt(self, request: MessageRef) -> Adoption:
        """Note that this generation's workflow is there, store the plan, and hand over the worker's settings."""
        adoption = await self._sending.adopt(request.message_id, request.generation)
        return adoption.model_copy(update=self._settings)

    @activity.defn
    async def begin(self, request: BeginRequest) -> Beginning:
        """Turn the audience into recipients and open the gate, unless it is held, over or begun already."""
        with heartbeats():
            async with self._places:
                return await self._sending.begin(
                    request.message_id, request.generation, as_of=as_of_now(request.as_of), late=request.late
                )

    @activity.defn
    async def resume(self, request: ResumeRequest) -> ResumeOutcome:
        """Read the audience again and open the gate, unless a stop came after it."""
        with heartbeats():
            async with self._places:
                return await self._sending.resume(
                    request.message_id,
                    request.generation,
                    request.command,
                    request.number,
                    as_of=as_of_now(request.as_of),
                )
