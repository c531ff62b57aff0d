"""Answers to calls that carried an Idempotency-Key, and to forms that act once.

Every function is one statement; what they mean is the API's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from storage.database import Pool
from storage.named_sql import load

_sql = load("api_answers")


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What is kept under a key. `status` None: whoever took it is still at work."""

    request_hash: bytes
    status: int | None
    headers: Mapping[str, str]
    body: bytes


async def begin(
    pool: Pool, principal: int, key: str, request_hash: bytes, *, lease: timedelta, kept_for: timedelta
) -> bool:
    """Take the key; return whether it was to be had."""
    taken = await _sql.begin(
        pool, principal=principal, idempotency_key=key, request_hash=request_hash, lease=lease, kept_for=kept_for
    )
    return bool(taken)


async def kept(pool: Pool, principal: int, key: str) -> KeptAnswer | None:
    row = await _sql.kept(pool, principal=principal, idempotency_key=key)
    return KeptAnswer(row["request_hash"], row["status"], row["headers"] or {}, row["body"] or b"") if row else None


async def renew(pool: Pool, principal: int, key: str, *, lease: timedelta) -> None:
    await _sql.renew(pool, principal=principal, idempotency_key=key, lease=lease)


async def keep(pool: Pool, principal: int, key: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    await _sql.keep(pool, principal=principal, idempotency_key=key, status=status, headers=dict(headers), body=body)


async def forget(pool: Pool, principal: int, key: str) -> None:
    await _sql.forget(pool, principal=principal, idempotency_key=key)


async def sweep(pool: Pool, *, kept_for: timedelta) -> None:
    """Delete what is older than is kept."""
    await _sql.sweep(pool, kept_for=kept_for)
