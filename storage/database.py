"""Connections to PostgreSQL, and its migrations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from models.errors import SendgateError, Unreachable

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = 7_364_001

#: What asyncpg raises when a server cannot be connected to, or goes away.
CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    ValueError,  # an unreadable address
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)

#: For every connection of ours.
_SERVER_SETTINGS = {
    # UTC, so that wall-clock text in attributes means the same on every server.
    "timezone": "UTC",
    # A process frozen inside a transaction would keep its locks, and with the hold's everybody else out.
    "idle_in_transaction_session_timeout": "30s",
    # A machine that has vanished is missed after 25 s, with all that its sessions hold, and not after two hours. Where
    # the connection is a Unix socket they are ignored: there is no other machine.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # A claim that a crash of the server forgets after its email has left would be mailed again.
    "synchronous_commit": "on",
}


class MigrationMismatch(SendgateError):
    """The database was made by another version: an applied migration is not the file of that number here."""

    code = "migration_mismatch"


@asynccontextmanager
async def open_pool(url: str, *, most: int = 10, application: str = "sendgate") -> AsyncIterator[Pool]:
    """Open a pool of at most `most` connections whose jsonb columns are Python values. Raises Unreachable."""
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=most,
            init=_initialise,
            reset=_reset,
            timeout=10,
            server_settings={**_SERVER_SETTINGS, "application_name": application},
        )
        async with pool.acquire():
            pass  # a pool connects when it is used: find out now whether it can
    except CONNECTION_ERRORS as error:
        raise unreachable(error) from error
    try:
        yield pool
    finally:
        pool.terminate()  # whatever is still running belongs to a caller that has gone


def unreachable(error: BaseException) -> Unreachable:
    """Return the sentence for an error of CONNECTION_ERRORS."""
    return Unreachable(f"The database does not answer: {_first_line(error)}.")


async def _initialise(connection: Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _reset(connection: Connection) -> None:
    """Make a connection fit for whoever takes it next, without asking the server: that would cost as much as a claim.

    Nothing of ours outlives its transaction in a session.
    """
    if connection.is_in_transaction():
        await connection.reset()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


async def migrate(pool: Pool) -> int:
    """Bring the schema up to date and return how many migrations that took.

    All of them run in one transaction under an advisory lock: two programs that start at once do it once, and a
    crash in the middle leaves the old schema. Raises MigrationMismatch when an applied file has changed since.
    """
    files = sorted(MIGRATIONS.glob("*.sql"))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(
            "create table if not exists migrations ("
            " name text primary key, checksum text not null, applied_at timestamptz not null default now())"
        )
        applied = {
            row["name"]: row["checksum"] for row in await connection.fetch("select name, checksum from migrations")
        }
        unknown = sorted(set(applied) - {file.name for file in files})
        if unknown:
            raise MigrationMismatch(f"The database is newer than this program: it has the migration {unknown[-1]}.")
        done = 0
        for file in files:
            script = file.read_text(encoding="utf-8")
            checksum = hashlib.sha256(script.encode()).hexdigest()
            if file.name not in applied:
                await connection.execute(script)
                await connection.execute("insert into migrations (name, checksum) values ($1, $2)", file.name, checksum)
                done += 1
            elif applied[file.name] != checksum:
                raise MigrationMismatch(
                    f"The database was made by another version of Sendgate (its {file.name} differs): use that version,"
                    " or an empty database."
                )
    return done
