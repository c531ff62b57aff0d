"""The use cases that look at a message on its way: what became of whom, and who asked for what.

See `client.interface.UseCases` for each.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime

from client.interface import Progress
from client.outlook import describe_progress
from models.commands import HistoryEntry
from models.recipient import Recipient, RecipientStatus
from storage import commands, ledger, messages, slots
from storage.database import Pool


class Looking:
    """They need the database alone, and change nothing. Each raises NotFound for a message that there is not."""

    _pool: Pool
    _clock: Callable[[], Awaitable[datetime]]

    async def progress(self, message_id: str) -> Progress:
        now = await self._clock()
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            times = await messages.times(connection, message_id)
            table = await slots.slot_table(connection, message_id)
            going = await ledger.going_since(connection, message_id)
        return describe_progress(message, times, table, going, now=now)

    async def recipients(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = ()
    ) -> AsyncGenerator[Recipient, None]:
        async with self._pool.acquire() as connection:
            await messages.get(connection, message_id)
            # Left early, the cursor is closed before its connection goes back to the pool.
            async with aclosing(ledger.recipients(connection, message_id, statuses)) as rows:
                async for recipient in rows:
                    yield recipient

    async def recipients_page(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = (), limit: int = 100, after: int = 0
    ) -> tuple[list[Recipient], int | None]:
        async with self._pool.acquire() as connection:
            await messages.get(connection, message_id)
            page = await ledger.recipients_page(connection, message_id, statuses, most=limit + 1, after=after)
        return page[:limit], page[limit - 1].contact_id if len(page) > limit else None

    async def history(self, message_id: str) -> list[HistoryEntry]:
        async with self._pool.acquire() as connection:
            await messages.get(connection, message_id)
            return await commands.history(connection, message_id)
