"""Use cases of a door with forms, beside those of `client.interface`: what is asked while somebody fills one in."""

from __future__ import annotations

from models.audience import Audience, check_audience
from models.contact import Contact
from storage import audience as audiences
from storage import contacts
from storage.audience import Preview
from storage.database import Pool


class Lookups:
    """Nothing is stored."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def audience(self, audience: Audience) -> Preview:
        """Count an audience that no draft has yet. Raises InvalidInput as saving the draft would."""
        check_audience(audience)
        async with self._pool.acquire() as connection:
            await audiences.check_lists_exist(connection, audience)
            return await audiences.preview(connection, audience, sample=0)

    async def contact_at(self, address: str) -> Contact | None:
        """Return the contact that has this address in any spelling. Raises InvalidInput for what is no address."""
        async with self._pool.acquire() as connection:
            return await contacts.find_contact(connection, address)
