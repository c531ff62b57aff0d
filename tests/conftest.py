"""Real servers for the suite: one PostgreSQL cluster and one Temporal server a session, one database a test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import zoneinfo
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import hypothesis
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from client.local.postgres import PostgresCluster, free_port, temporary_directory
from client.temporal import ensure_search_attributes
from storage.database import Pool, migrate, open_pool
from tests.harness import Harness
from tests.smtp_log_server import SmtpLogServer, shared_smtp_server, smtp_server

__all__ = ["shared_smtp_server", "smtp_server"]

# The zones of the package tzdata, here and in child processes: instants typed in tests hold on every machine.
os.environ["PYTHONTZPATH"] = ""
zoneinfo.reset_tzpath(to=())

# A shell that runs the suite in the background has Ctrl-C ignored, and all that tests start would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No test is judged by a time: machines are noisy.
hypothesis.settings.register_profile("sendgate", deadline=None)
hypothesis.settings.load_profile("sendgate")

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-histories", action="store_true", help="write the histories that tests/replay replays, anew"
    )
    parser.addoption(
        "--all-deaths", action="store_true", help="kill 50 workers and end 20, instead of a few: seven minutes"
    )


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
    async with fresh_database(postgres, template_database) as url:
        yield url


@asynccontextmanager
async def fresh_database(postgres: PostgresCluster, template_database: str) -> AsyncIterator[str]:
    """Make a database with our tables and nothing in it; return its address, and drop it at the end."""
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


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[Client]:
    """A Temporal server with stops pushed to workers, as `sendgate up` runs it."""
    environment = await _started_temporal()
    async with environment:
        await ensure_search_attributes(environment.client)
        yield environment.client


async def _started_temporal() -> WorkflowEnvironment:
    """Start it, again where the SDK gave it up: it allows a start five seconds, and no option says how many."""
    for _ in range(9):
        with suppress(RuntimeError):
            return await _start_temporal()
    return await _start_temporal()


async def _start_temporal() -> WorkflowEnvironment:
    return await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_log_level="error",
        dev_server_extra_args=[
            *("--dynamic-config-value", "frontend.WorkerCommandsEnabled=true"),
            *("--dynamic-config-value", "system.enableCancelActivityWorkerCommand=true"),
        ],
    )


@pytest.fixture
async def harness(
    pool: Pool, database_url: str, temporal: Client, smtp_server: SmtpLogServer
) -> AsyncIterator[Harness]:
    """A whole Sendgate; no worker yet. Workflows left over are terminated: the task queues are everybody's."""
    made = Harness(pool, database_url, temporal, smtp_server)
    yield made
    for row in await pool.fetch("select id, generation from messages where generation > 0"):
        for generation in range(1, row["generation"] + 1):
            await made.workflows.terminate(row["id"], generation, "the test is over")
