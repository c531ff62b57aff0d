"""The migrations and what every connection asks of the server, against real PostgreSQL."""

from __future__ import annotations

from storage.database import Pool, migrate


async def test_migrating_a_migrated_database_does_nothing(pool: Pool) -> None:
    assert await migrate(pool) == 0


async def test_a_machine_that_has_vanished_is_missed_within_25_seconds(pool: Pool) -> None:
    """As the kernel has it: the server reads it back from the socket."""
    names = ("idle", "interval", "count")
    kept = [await pool.fetchval(f"select current_setting('tcp_keepalives_{name}')") for name in names]
    assert kept == ["10", "5", "3"]
