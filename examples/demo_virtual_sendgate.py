"""A whole Sendgate on a skipping clock: a database and a worker of its own, and a record of when what left.

It stands beside a running stack, on its PostgreSQL and with its mail catcher as the next hop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.parser import BytesHeaderParser

from pydantic import SecretStr

from activities.ports import Email, OneByOne, Permit, Transport
from activities.smtp.connections import SmtpTransport
from client.batch_messages import BatchMessages
from client.local.stack_file import Stack
from client.temporal import Workflows
from examples.demo_virtual_time import VirtualTime, virtual_time
from models.recipient import Outcome, Verdict
from settings import Settings
from storage.database import migrate, open_pool
from worker import make_workers, running

_DATABASE = "sendgate_fast_motion"


@dataclass(frozen=True)
class Departure:
    """An email that the mail catcher took; `received_at` is an instant of the skipping clock."""

    address: str
    message_id: str
    received_at: datetime


class RecordingTransport(OneByOne):
    """Hands over to another transport, and writes down what that took, and when by the skipping clock."""

    def __init__(self, next_hop: Transport, time: VirtualTime) -> None:
        self._next_hop = next_hop
        self._time = time
        self.left: list[Departure] = []

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        try:
            now = await self._time.now()  # before: once something is handed over, a cancellation must not hide it
        except asyncio.CancelledError:
            return Outcome(Verdict.NOT_HANDED_OVER)
        outcome = await self._next_hop.hand_over(email, permit)
        if outcome.verdict is Verdict.SENT:
            headers = email.content.partition(b"\r\n\r\n")[0]
            message_id = str(BytesHeaderParser().parsebytes(headers)["Message-ID"])
            self.left.append(Departure(email.recipient, message_id, now))
        return outcome


@dataclass(frozen=True)
class VirtualSendgate:
    """What a story needs: the use cases, their clock, and what has left."""

    use: BatchMessages
    time: VirtualTime
    left: list[Departure]  # grows


@asynccontextmanager
async def virtual_sendgate(stack: Stack) -> AsyncIterator[VirtualSendgate]:
    """Put it together, with a worker in this process that is drained at the end; then nothing is left of it."""
    async with (
        virtual_time() as time,
        _database_of_its_own(stack.database_url) as database_url,
        open_pool(database_url, most=20, application="sendgate demo") as pool,
    ):
        await migrate(pool)
        workflows = Workflows(time.client)

        async def connected() -> Workflows:
            return workflows

        next_hop = SmtpTransport(stack.smtp_host, stack.smtp_port, connections=4)
        recorder = RecordingTransport(next_hop, time)
        settings = Settings(database_url=SecretStr(database_url), lanes=1)
        try:
            async with running(make_workers(time.client, pool, settings, recorder)):
                use = BatchMessages(pool, connected, lambda: next_hop, clock=time.now)
                yield VirtualSendgate(use, time, recorder.left)
        finally:
            await next_hop.aclose()


@asynccontextmanager
async def _database_of_its_own(url: str) -> AsyncIterator[str]:
    """Make a database beside the one of `url` and return its address; it is dropped at the end."""
    async with open_pool(url, most=1, application="sendgate demo") as pool:
        try:
            await pool.execute(f"create database {_DATABASE}")
            yield f"{url.rpartition('/')[0]}/{_DATABASE}"
        finally:
            await pool.execute(f"drop database if exists {_DATABASE} with (force)")
