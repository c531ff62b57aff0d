"""Sessions of the web UI in the database, by hashes alone. Every function is one statement."""

from __future__ import annotations

from datetime import timedelta

from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("web_sessions")


async def insert(connection: Connection | Pool, token_hash: bytes, key_hash: bytes, lifetime: timedelta) -> None:
    """Keep a session of the key with this hash."""
    await _sql.insert(connection, token_hash=token_hash, key_hash=key_hash, lifetime=lifetime)


async def key_hash_of(connection: Connection | Pool, token_hash: bytes) -> bytes | None:
    """Return the hash of the key that a session was opened with; None: there is no such session, or it is over."""
    found: bytes | None = await _sql.key_hash_of(connection, token_hash=token_hash)
    return found


async def delete(connection: Connection | Pool, token_hash: bytes) -> None:
    await _sql.delete(connection, token_hash=token_hash)


async def delete_expired(connection: Connection | Pool) -> None:
    await _sql.delete_expired(connection)
