"""The servers of the benchmarks: PostgreSQL as `sendgate up` runs it, with fsync."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from client.local.postgres import PostgresCluster, free_port, temporary_directory
from storage.database import Pool, migrate, open_pool


@asynccontextmanager
async def database() -> AsyncIterator[tuple[Pool, str]]:
    """A migrated database in a cluster of its own; both are gone afterwards."""
    directory = temporary_directory("sendgate-bench-")
    cluster = PostgresCluster(directory)
    try:
        cluster.create()
        cluster.start(free_port())
        cluster.wait_until_ready()
        url = cluster.url()
        async with open_pool(url, most=20) as pool:
            await migrate(pool)
            yield pool, url
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)
