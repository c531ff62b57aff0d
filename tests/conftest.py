"""Real servers for the suite: one PostgreSQL cluster and one Temporal server a session, one database a test."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from client.local.postgres import PostgresCluster, free_port, temporary_directory
from storage.database import Pool, migrate, open_pool

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """A cluster with fsync off: durability against power loss is PostgreSQL's own promise, not under test."""
    directory = temporary_directory("sendgate-test-")
    cluster = PostgresCluster(directory, options=("-c", "fsync=off", "-c", "max_connections=300"))
    try:
        cluster.create()
        cluster.start(free_port())
        cluster.wait_until_ready()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
async def template_database(postgres: PostgresCluster) -> str:
    """A migrated database that every test's own is copied from (40 ms)."""
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("create database template_of_tests")
    await connection.close()
    async with open_pool(postgres.url("template_of_tests")) as pool:
        await migrate(pool)
    return "template_of_tests"


@pytest.fixture
async def database_url(postgres: PostgresCluster, template_database: str) -> AsyncIterator[str]:
    """The address of a fresh database."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres.url())
    await connection.execute(f'create database "{name}" template "{template_database}"')
    yield postgres.url(name)
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, most=20) as opened:
        yield opened
