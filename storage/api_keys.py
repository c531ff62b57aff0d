"""API keys in the database, by their hash. Every function is one statement."""

from __future__ import annotations

from models.api_keys import ApiKey, NewApiKey, Principal, Role, beginning_of, key_hash
from models.contact import shown
from models.errors import NotFound, Refused
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("api_keys")
_LARGEST_ID = 2**63 - 1


class KeyNameTaken(Refused):
    """A key of this name is in use; revoke it first, or choose another name."""

    code = "key_name_taken"


async def insert(connection: Connection | Pool, name: str, role: Role, key: str) -> NewApiKey:
    """Keep a new key, by its hash alone. Raises KeyNameTaken."""
    row = await _sql.insert(
        connection, name=name, role=role.value, key_hash=key_hash(key), begins_with=beginning_of(key)
    )
    if row is None:
        raise KeyNameTaken(f"A key named {shown(name)} is in use; revoke it first, or choose another name.", name=name)
    return NewApiKey(**row, key=key)


async def principal_of(connection: Connection | Pool, digest: bytes) -> Principal | None:
    """Return whose key has this hash; None: nobody's, or revoked."""
    row = await _sql.by_hash(connection, key_hash=digest)
    return Principal(**row) if row else None


async def all_keys(connection: Connection | Pool) -> list[ApiKey]:
    """Return every key that was ever made, oldest first."""
    return [ApiKey(**row) async for row in _sql.all_keys(connection)]


async def revoke(connection: Connection | Pool, key_id: int) -> ApiKey:
    """Have a key open nothing from the commit on; again is harmless. Raises NotFound."""
    row = await _sql.revoke(connection, key_id=max(0, min(key_id, _LARGEST_ID)))
    if row is None:
        raise NotFound(f"There is no key {key_id}.")
    return ApiKey(**row)


async def any_in_use(connection: Connection | Pool) -> bool:
    found: bool = await _sql.any_in_use(connection)
    return found
