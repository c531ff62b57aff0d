"""A database, a next hop or a disk that fails in the middle of a command is told as what it is, in one sentence."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client

from client.direct import open_use_cases
from client.local.postgres import PostgresCluster
from models.errors import Unreachable
from storage.database import Pool, open_pool
from tests.acceptance.bad_input_case import assert_one_sentence
from tests.acceptance.bad_input_world import World, environment_of, open_world
from tests.eventually import eventually
from tests.harness import ROOT, Harness


@pytest.fixture(scope="module")
async def world(
    postgres: PostgresCluster, template_database: str, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with open_world(postgres, template_database, temporal, tmp_path_factory) as made:
        yield made


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def test_a_database_that_goes_away_under_a_query_is_said_so(world: World) -> None:
    async with world.harness.pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table messages in access exclusive mode")
        showing = asyncio.create_task(world.run(("messages", "show", "<draft>")))
        await eventually(lambda: _end_waiting_client(world.harness.pool))
        ended = await showing
    assert_one_sentence(ended, 5)
    assert "The database does not answer" in ended.err


async def _end_waiting_client(pool: Pool) -> int:
    ended = await pool.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'"
        " and application_name = 'sendgate client' and datname = current_database()"
    )
    return len(ended)


async def test_a_database_that_goes_away_between_two_queries_is_said_so(
    world: World, postgres: PostgresCluster, template_database: str
) -> None:
    admin = await asyncpg.connect(postgres.url())
    await admin.execute(f'create database goes_away template "{template_database}"')
    url = postgres.url("goes_away")
    async with open_pool(url) as pool:
        message_id = await Harness(pool, url, world.harness.client, world.harness.smtp).draft(lists=())
    watching = asyncio.create_task(
        world.run(("watch", message_id, "--every", "0.1"), {"SENDGATE_DATABASE_URL": url, "SENDGATE_SMTP_HOST": None})
    )
    connected = "select count(*) from pg_stat_activity where datname = 'goes_away' and query like '%accepted_at%'"
    await eventually(lambda: admin.fetchval(connected))
    await admin.execute("drop database goes_away with (force)")
    ended = await watching
    await admin.close()
    assert ended.code == 5
    assert ended.err.startswith("Error: The database does not answer: ")
    assert ended.err.count("\n") == 1


GONE = (asyncpg.AdminShutdownError("x"), asyncpg.ConnectionDoesNotExistError("x"), asyncpg.InternalClientError("x"))
OURS = (FileNotFoundError("x"), TimeoutError("x"), ValueError("x"), asyncpg.UniqueViolationError("x"))


@pytest.mark.parametrize("error", [*GONE, *OURS], ids=lambda error: type(error).__name__)
async def test_only_what_the_database_raises_means_that_it_has_gone(world: World, error: Exception) -> None:
    with environment_of(world.surroundings({})), pytest.raises(Unreachable if error in GONE else type(error)):
        async with open_use_cases():
            raise error


async def test_a_refused_connection_of_the_database_means_that_it_has_gone(world: World) -> None:
    """An OSError too, and yet the database's: the pool connects again when a connection was lost."""
    with environment_of(world.surroundings({})), pytest.raises(Unreachable, match="The database does not answer"):
        async with open_use_cases():
            await asyncpg.connect(world.filled("postgresql://u:p@<closed>/x"))


async def test_a_full_disk_is_not_taken_for_a_database(world: World) -> None:
    """Standard output fails with an OSError while the database is open."""
    message_id = await world.harness.draft(text="a" * 100_000)
    with Path("/dev/full").open("w") as full:  # noqa: ASYNC230  # it never blocks
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "client", "messages", "show", message_id, "--json"),
            env=world.surroundings({}) | {"PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
    assert process.returncode == 1
    assert err.count(b"\n") == 1
    assert b"No space left" in err


async def test_a_test_email_without_a_next_hop_ends_with_1(world: World) -> None:
    host, port = world.words["closed"].split(":")
    before = await world.checksums()
    environment = {"SENDGATE_SMTP_HOST": host, "SENDGATE_SMTP_PORT": port}
    ended = await world.run(("sendtest", "<draft>", "me@example.com", "--json"), environment)
    assert ended.code == 1
    assert [outcome["verdict"] for outcome in json.loads(ended.out)["outcomes"]] == ["no_server"]
    assert ended.err.count("\n") == 1
    assert await world.checksums() == before
