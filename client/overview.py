"""Use cases of a door that shows messages at a glance, beside those of `client.interface`: the web UI has them."""

from __future__ import annotations

from collections.abc import Sequence

from models.contact import is_storable
from models.message import Message, MessageStatus
from models.plan import SendPlan, describe_plan
from models.slots import make_plan
from storage import audience as audiences
from storage import overview
from storage.database import Pool
from storage.overview import Outline


class Overview:
    """Messages at a glance; of many, each answer is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def tally(self, search: str = "") -> dict[MessageStatus, int]:
        """Return how many messages have each status; `search` is part of the name or subject, in any case."""
        if not is_storable(search):
            return dict.fromkeys(MessageStatus, 0)
        return await overview.tally(self._pool, search)

    async def outlines(self, message_ids: Sequence[str]) -> dict[str, Outline]:
        """Return when each message was what, by whom it was sent, and the last command that took effect on it."""
        return await overview.outlines(self._pool, message_ids)

    async def plan(self, message: Message) -> SendPlan | None:
        """Return the plan of a scheduled message for the audience as it is now; None for any other message."""
        if message.status is not MessageStatus.SCHEDULED or message.schedule is None:
            return None
        async with self._pool.acquire() as connection:
            accepted = await overview.accepted(connection, message.id, message.generation)
            if accepted is None:  # it has begun, or was unscheduled, since it was read
                return None
            accepted_at, stored = accepted
            plan = stored or make_plan(message.schedule, accepted_at=accepted_at)  # no workflow has adopted it yet
            zones = await audiences.zones(connection, message.audience, plan)
        return describe_plan(message.schedule, plan, zones, accepted_at=accepted_at)
