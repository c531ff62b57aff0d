"""Stopping: close the gate, confirm that nothing is in flight, and answer commands."""

from __future__ import annotations

import asyncio

from temporalio import activity

from activities.heartbeat import heartbeats
from activities.ports import SendingPort
from activities.requests import AnswerRequest, CommandRequest
from models.message import MessageStatus

_FIRST_LOOK_SECONDS = 0.005
_SLOWEST_LOOK_SECONDS = 0.25


class GateActivities:
    """Safe to repeat: the gate keeps the highest number, and a command is answered once."""

    def __init__(self, sending: SendingPort) -> None:
        self._sending = sending

    @activity.defn
    async def close_gate(self, request: CommandRequest) -> MessageStatus | None:
        """Close the gate: when this returns, no lane can claim any more. None: the generation is over."""
        return await self._sending.close_gate(request.message_id, request.generation, request.command, request.number)

    @activity.defn
    async def stop(self, request: CommandRequest) -> MessageStatus:
        """Close the gate, wait until nothing is in flight, and write status and receipt; return the status.

        Killed in the middle it leaves the gate closed; repeated, it goes on there.
        """
        with heartbeats():
            await self.close_gate(request)
            return await self._confirmed(request)

    @activity.defn
    async def confirm_stop(self, request: CommandRequest) -> MessageStatus:
        """Do what `stop` does: for sends that began when closing the gate was an activity of its own.

        Closing it once more changes nothing, and sees to it that the command is recorded.
        """
        return await self.stop(request)

    async def _confirmed(self, request: CommandRequest) -> MessageStatus:
        """Wait until nothing is in flight, then write status and receipt in one transaction; return the status.

        What a dead worker holds is in flight until its lease is over.
        """
        look_again_after = _FIRST_LOOK_SECONDS
        while True:
            status = await self._sending.confirm_stop(
                request.message_id, request.generation, request.command, request.number
            )
            if status is not None:
                return status
            await asyncio.sleep(look_again_after)
            look_again_after = min(look_again_after * 1.15, _SLOWEST_LOOK_SECONDS)

    @activity.defn
    async def answer(self, request: AnswerRequest) -> MessageStatus | None:
        """Write the receipt of a command that changes nothing; return the status it was judged in."""
        return await self._sending.answer(
            request.message_id, request.generation, request.command, request.outcome, request.explanation
        )
