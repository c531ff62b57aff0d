"""The use cases behind the links in emails. See `client.interface.UseCases` for each."""

from __future__ import annotations

from models.contact import UNSUBSCRIBED
from models.errors import LinkOfPreview, NotFound
from models.unsubscribe import is_of_preview, read_token
from storage import contacts
from storage.database import Pool


class Unsubscribing:
    """Whoever has a recipient's token may unsubscribe that recipient, and nothing else."""

    _pool: Pool
    _secret_key: str | None

    async def check_unsubscribe(self, token: str) -> None:
        await self._address_of(token)

    async def unsubscribe(self, token: str) -> None:
        address = await self._address_of(token)
        async with self._pool.acquire() as connection:
            await contacts.suppress(connection, [address], reason=UNSUBSCRIBED)

    async def _address_of(self, token: str) -> str:
        """Return the address that the email went to, or else the contact's now. Raises NotFound, or LinkOfPreview."""
        if self._secret_key and is_of_preview(self._secret_key, token):
            raise LinkOfPreview
        named = read_token(self._secret_key, token) if self._secret_key else None
        if named is not None:
            address = await contacts.address_mailed(self._pool, *named)
            if address is not None:
                return address
        raise NotFound("This unsubscribe link is not good: it was cut off, or is not one of ours.")
