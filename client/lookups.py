"""Use cases of a door with forms, beside those of `client.interface`: what is asked while somebody fills one in."""

from __future__ import annotations

from collections.abc import Sequence

from activities.rendering import check_links
from models.audience import Audience, check_audience
from models.contact import Contact
from models.message import Message, MessageContent
from storage import audience as audiences
from storage import contacts, messages
from storage.audience import Preview
from storage.database import Pool


class Lookups:
    """Nothing is stored. `missing_for_links` are the settings without which there are no unsubscribe links."""

    def __init__(self, pool: Pool, missing_for_links: Sequence[str] = ()) -> None:
        self._pool = pool
        self._missing_for_links = missing_for_links

    def check_links(self, content: MessageContent) -> None:
        """Raise InvalidInput where a send of this content would be refused for its unsubscribe links or templates."""
        check_links(content, self._missing_for_links)

    async def message(self, message_id: str) -> Message:
        """Return a message without the size of its audience, which takes long to count. Raises NotFound."""
        async with self._pool.acquire() as connection:
            return await messages.get(connection, message_id)

    async def check_audience(self, audience: Audience) -> None:
        """Raise InvalidInput for an audience as saving the draft would; nobody is counted."""
        check_audience(audience)
        async with self._pool.acquire() as connection:
            await audiences.check_lists_exist(connection, audience)

    async def count(self, audience: Audience) -> Preview:
        """Count an audience that no draft has yet. Raises InvalidInput as `check_audience` does."""
        await self.check_audience(audience)
        async with self._pool.acquire() as connection:
            return await audiences.preview(connection, audience, sample=0)

    async def first_of(self, audience: Audience) -> Contact | None:
        """Return the first contact of an audience, by id; None: there is nobody in it."""
        async with self._pool.acquire() as connection:
            return next(iter(await audiences.first(connection, audience)), None)

    async def contact_at(self, address: str) -> Contact | None:
        """Return the contact that has this address in any spelling. Raises InvalidInput for what is no address."""
        async with self._pool.acquire() as connection:
            return await contacts.find_contact(connection, address)
