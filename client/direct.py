"""The use cases in this process, on the database and Temporal: for the API, and for a command line without it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import asyncpg

from activities.smtp.connections import SmtpTransport
from client.batch_messages import BatchMessages
from client.local.stack_file import Stack, read_stack
from client.temporal import Workflows, connect, ensure_search_attributes
from models.errors import InvalidInput, SendgateError
from settings import Settings, read_settings
from storage.database import CONNECTION_ERRORS, Pool, open_pool, unreachable


@asynccontextmanager
async def open_use_cases(data: Path | None = None) -> AsyncIterator[BatchMessages]:
    """Open the use cases on the stack of `data`, SENDGATE_DATA or ./.sendgate, else on the environment's settings.

    Connects to the database now, and to Temporal when a use case needs it. Either may go away later: what the body
    raises because of that is Unreachable too.
    """
    stack = read_stack(data)
    settings = read_settings()
    if stack:
        database_url = stack.database_url
    elif settings.database_url:
        database_url = settings.database_url.get_secret_value()
    else:
        raise InvalidInput(
            "No stack runs here and SENDGATE_DATABASE_URL is not set; start one with `sendgate up`, or set it."
        )
    async with open_pool(database_url, most=8, application="sendgate client") as pool:
        servers = Servers(settings, stack)
        try:
            with database_errors_told():
                yield servers.use_cases(pool)
        finally:
            await servers.aclose()


@dataclass
class Servers:
    """Temporal and the next hop, connected to when they are needed: those of a stack, or else of the settings."""

    settings: Settings
    stack: Stack | None = None

    def __post_init__(self) -> None:
        self._connected: Workflows | None = None
        self._transport: SmtpTransport | None = None

    def use_cases(self, pool: Pool) -> BatchMessages:
        secret = self.settings.secret_key
        return BatchMessages(
            pool,
            self.workflows,
            self.transport,
            default_time_zone=self.settings.default_time_zone,
            secret_key=secret.get_secret_value() if secret else None,
            public_url=self.settings.public_url,
        )

    async def workflows(self) -> Workflows:
        """Connect to Temporal, once. Raises Unreachable."""
        if self._connected is None:
            if self.stack:
                # The stack's own Temporal takes no keys; one that is not its own takes those of the environment.
                own = "temporal" in self.stack.pids
                client = await connect(self.stack.temporal_address, self.stack.temporal_namespace, alone=own)
            else:
                client = await connect()
            await ensure_search_attributes(client)
            self._connected = Workflows(client)
        return self._connected

    def transport(self) -> SmtpTransport:
        """Return the way to the next hop for test emails: one for all, closed with the rest.

        Raises InvalidInput when none is set.
        """
        if self._transport is not None:
            return self._transport
        settings, stack = self.settings, self.stack
        host = stack.smtp_host if stack else settings.smtp_host
        if host is None:
            raise InvalidInput("SENDGATE_SMTP_HOST is not set: there is no next hop to send a test email to.")
        catcher = stack is not None and stack.mailbox is not None  # it knows neither users nor TLS
        password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
        self._transport = SmtpTransport(
            host,
            stack.smtp_port if stack else settings.smtp_port,
            username=None if catcher else settings.smtp_username,
            password=None if catcher else password,
            tls="none" if catcher else settings.smtp_tls,
            connections=settings.smtp_connections,
            emails_per_connection=settings.smtp_emails_per_connection,
            timeout=settings.smtp_timeout,
        )
        return self._transport

    async def aclose(self) -> None:
        if self._transport is not None:
            await self._transport.aclose()


@contextmanager
def database_errors_told() -> Iterator[None]:
    """Turn what asyncpg raises when the database goes away, or is not ours, into a sentence."""
    try:
        yield
    except (asyncpg.AdminShutdownError, asyncpg.CrashShutdownError) as error:
        raise unreachable(error) from error
    except asyncpg.InternalClientError as error:  # of the pool, when the server goes away while it takes a query
        raise unreachable(ConnectionError("the connection was lost")) from error
    except CONNECTION_ERRORS as error:
        # A ValueError is a fault of ours by now: the address has been read. Other OSErrors are those of a full disk.
        if isinstance(error, ValueError) or (isinstance(error, OSError) and not _was_asyncpgs(error.__traceback__)):
            raise
        raise unreachable(error) from error
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError) as error:
        raise SendgateError(
            "The database does not hold the tables of this version of Sendgate; a worker makes them when it starts."
        ) from error


def _was_asyncpgs(trace: TracebackType | None) -> bool:
    """Whether an error came out of asyncpg: of OSErrors only these are the database's."""
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "asyncpg":
            return True
        trace = trace.tb_next
    return False
