"""The door that needs no server of ours: the use cases in this process, on the database and Temporal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from activities.smtp.connections import SmtpTransport
from client.batch_messages import BatchMessages
from client.local.stack_file import read_stack
from client.temporal import Workflows, connect, ensure_search_attributes
from models.errors import InvalidInput
from settings import read_settings
from storage.database import open_pool


@asynccontextmanager
async def open_use_cases(data: Path | None = None) -> AsyncIterator[BatchMessages]:
    """Open the use cases on the stack of `data`, SENDGATE_DATA or ./.sendgate, else on the environment's settings.

    Connects to the database now (Unreachable) and to Temporal when a use case needs it.
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
    transports: list[SmtpTransport] = []
    connected: list[Workflows] = []

    async def workflows() -> Workflows:
        if not connected:
            client = await (connect(stack.temporal_address, stack.temporal_namespace) if stack else connect())
            await ensure_search_attributes(client)
            connected.append(Workflows(client))
        return connected[0]

    def transport() -> SmtpTransport:
        host = stack.smtp_host if stack else settings.smtp_host
        if host is None:
            raise InvalidInput("SENDGATE_SMTP_HOST is not set: there is no next hop to send a test email to.")
        transports.append(
            SmtpTransport(
                host,
                stack.smtp_port if stack else settings.smtp_port,
                username=settings.smtp_username,
                password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
                tls=settings.smtp_tls,
                connections=1,
                timeout=settings.smtp_timeout,
            )
        )
        return transports[-1]

    async with open_pool(database_url, most=8, application="sendgate client") as pool:
        try:
            yield BatchMessages(pool, workflows, transport)
        finally:
            for opened in transports:
                await opened.aclose()
