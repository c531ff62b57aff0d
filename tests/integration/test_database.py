"""The migrations, against real PostgreSQL."""

from __future__ import annotations

from storage.database import Pool, migrate


async def test_migrating_a_migrated_database_does_nothing(pool: Pool) -> None:
    assert await migrate(pool) == 0
