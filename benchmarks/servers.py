"""The servers of the benchmarks, as `sendgate up` runs them: PostgreSQL with fsync, Temporal on a file."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks.processes import Child, child, plain_environment
from client.local.ports import HOST
from client.local.postgres import PostgresCluster, free_port, temporary_directory
from client.local.programs import temporal_cli, temporal_program
from storage.database import Pool, migrate, open_pool
from tests.eventually import eventually


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    made = temporary_directory("sendgate-bench-")
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def postgres(folder: Path, *, options: tuple[str, ...] = ()) -> Iterator[PostgresCluster]:
    """A cluster of its own; `options` as `PostgresCluster` takes them."""
    cluster = PostgresCluster(folder / "postgres", options=options)
    try:
        cluster.create()
        cluster.start(free_port())
        cluster.wait_until_ready()
        yield cluster
    finally:
        cluster.stop()


@asynccontextmanager
async def database() -> AsyncIterator[tuple[Pool, str]]:
    """A migrated database in a cluster of its own; both are gone afterwards."""
    with folder() as made, postgres(made) as cluster:
        async with open_pool(cluster.url(), most=20) as pool:
            await migrate(pool)
            yield pool, cluster.url()


@asynccontextmanager
async def temporal(folder: Path) -> AsyncIterator[tuple[Child, str]]:
    """A Temporal server that answers; yields its address, too."""
    for name in ("temporal", "logs"):
        (folder / name).mkdir()
    port = free_port()
    program = temporal_program(folder, plain_environment(), temporal_cli(None), port)
    with child(program.command, program.log, program.environment) as started:
        await eventually(program.answers, within=30)
        yield started, f"{HOST}:{port}"
