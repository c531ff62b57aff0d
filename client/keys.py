"""API keys: whose key somebody shows, and the use cases over keys."""

from __future__ import annotations

import hmac

from models.api_keys import ApiKey, NewApiKey, Principal, Role, check_key_name, key_hash, new_key
from models.errors import Refused
from storage import api_keys
from storage.database import Pool

#: The actor of what is done with the administrator's key of the settings.
ADMINISTRATOR = "admin"


class Keys:
    """The keys of the database, and beside them the administrator's of the settings (`SENDGATE_ADMIN_KEY`)."""

    def __init__(self, pool: Pool, admin_key: str | None = None) -> None:
        self._pool = pool
        self._admin_hash = key_hash(admin_key) if admin_key else None

    async def principal_of(self, key: str) -> Principal | None:
        """Return whose key this is; None: nobody's, or revoked. Asked at every call, so a revocation holds at once."""
        return await self.principal_of_hash(key_hash(key))

    async def principal_of_hash(self, digest: bytes) -> Principal | None:
        """Return whose key has this hash (`models.api_keys.key_hash`); as `principal_of`."""
        if self._admin_hash is not None and hmac.compare_digest(digest, self._admin_hash):
            return Principal(id=0, name=ADMINISTRATOR, role=Role.ADMIN)
        return await api_keys.principal_of(self._pool, digest)

    async def any_in_use(self) -> bool:
        """Whether there is a key at all that opens anything."""
        return self._admin_hash is not None or await api_keys.any_in_use(self._pool)


class KeyKeeping:
    """The use cases over keys. See `client.interface.UseCases` for each."""

    _pool: Pool

    async def create_key(self, name: str, role: Role) -> NewApiKey:
        name = check_key_name(name)
        if name == ADMINISTRATOR:
            raise Refused(f"{ADMINISTRATOR} is the name of the settings' own key; choose another.", name=name)
        return await api_keys.insert(self._pool, name, role, new_key())

    async def keys(self) -> list[ApiKey]:
        return await api_keys.all_keys(self._pool)

    async def revoke_key(self, key_id: int) -> ApiKey:
        return await api_keys.revoke(self._pool, key_id)
