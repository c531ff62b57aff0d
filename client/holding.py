"""The use cases of the hold, the kill switch over all messages. See `client.interface.UseCases` for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from client.interface import AskedBy
from client.temporal import Workflows
from models.commands import check_reason
from models.errors import InvalidInput, Unreachable
from models.hold import Hold, HoldEntry
from storage import hold, lookout
from storage.database import Pool


class Holding:
    """Putting needs the database alone: it works while Temporal is away, and no worker has to answer."""

    _pool: Pool
    _workflows: Callable[[], Awaitable[Workflows]]

    async def hold(self) -> Hold:
        return await hold.get(self._pool)

    async def put_hold(self, asked_by: AskedBy) -> Hold:
        check_reason(asked_by.reason)
        if not asked_by.reason.strip():
            raise InvalidInput("A hold needs a reason: everybody will ask.", field="reason")
        async with self._pool.acquire() as connection:
            await hold.put(connection, **_who(asked_by))
            return await hold.get(connection)

    async def release_hold(self, asked_by: AskedBy) -> Hold:
        """Release, then wake those that waited, oldest first; who is missed is woken by the sweep, or wakes late."""
        check_reason(asked_by.reason)
        workflows = await self._workflows()  # before anything changes
        async with self._pool.acquire() as connection:
            released = await hold.release(connection, **_who(asked_by))
        if released:
            with suppress(Unreachable):
                for message_id, generation in await lookout.waiting(self._pool):
                    await workflows.wake(message_id, generation)
        return await hold.get(self._pool)

    async def hold_history(self, *, limit: int = 100, after: int | None = None) -> tuple[list[HoldEntry], int | None]:
        found = await hold.history(self._pool, most=limit + 1, after=after)
        return found[:limit], found[limit - 1].id if len(found) > limit else None


def _who(asked_by: AskedBy) -> dict[str, str]:
    return {"actor": asked_by.actor, "reason": asked_by.reason, "source": asked_by.source}
