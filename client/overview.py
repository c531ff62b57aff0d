"""Use cases of a door that shows many messages at once, beside those of `client.interface`: the web UI has them."""

from __future__ import annotations

from collections.abc import Sequence

from models.contact import is_storable
from models.message import MessageStatus
from storage import overview
from storage.database import Pool
from storage.overview import Outline


class Overview:
    """Many messages at a glance, each answer in one statement."""

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
