"""A whole Sendgate for one test: its own database and SMTP server, workers in this process or as processes."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle

from activities.smtp.connections import SmtpTransport
from client.batch_messages import BatchMessages
from client.interface import AskedBy
from client.temporal import Workflows, ensure_search_attributes
from models.audience import Audience
from models.message import Counts, Message, MessageContent, MessageStatus, workflow_id
from models.schedule import Schedule
from settings import Settings
from storage.database import Pool
from tests.eventually import eventually
from tests.smtp_log_server import SmtpLogServer
from worker import make_workers, running
from workflows.state import Knobs

ROOT = Path(__file__).parent.parent
OPERATOR = "operator"
SECRET_KEY = "what signs links"
SLOW_MS = 100  # before each reply of the SMTP server: at most 2.5 emails a second over each connection


def asked_by(reason: str = "", **fields: Any) -> AskedBy:
    return AskedBy(actor=OPERATOR, source="test", reason=reason, **fields)


class Harness:
    """Everything a send needs, and shorthands for what tests do all the time."""

    def __init__(
        self, pool: Pool, database_url: str, client: Client, smtp: SmtpLogServer, knobs: Knobs | None = None
    ) -> None:
        self.pool = pool
        self.database_url = database_url
        self.client = client
        self.smtp = smtp
        self.workflows = Workflows(client, knobs=knobs)
        self.use_cases = self.make_use_cases()

    def make_use_cases(self, *, public_url: str | None = None) -> BatchMessages:
        return BatchMessages(self.pool, self._connected, self._transport, secret_key=SECRET_KEY, public_url=public_url)

    async def prepare_server(self) -> None:
        await ensure_search_attributes(self.client)

    async def _connected(self) -> Workflows:
        return self.workflows

    def _transport(self) -> SmtpTransport:
        return SmtpTransport(self.smtp.host, self.smtp.port, connections=1)

    def settings(self, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            "database_url": SecretStr(self.database_url),
            "smtp_host": self.smtp.host,
            "smtp_port": self.smtp.port,
            "lease": timedelta(seconds=3),
            "smtp_timeout": timedelta(seconds=10),
        }
        return Settings(**(values | changes))

    @asynccontextmanager
    async def worker(self, *, tls_context: ssl.SSLContext | None = None, **changes: Any) -> AsyncIterator[None]:
        """A worker in this process, drained at the end. `tls_context`: whom it trusts."""
        settings = self.settings(**changes)
        assert settings.smtp_host is not None
        await self.prepare_server()
        transport = SmtpTransport(
            settings.smtp_host,
            settings.smtp_port,
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
            tls=settings.smtp_tls,
            connections=settings.smtp_connections,
            emails_per_connection=settings.smtp_emails_per_connection,
            timeout=settings.smtp_timeout,
            tls_context=tls_context,
        )
        try:
            async with running(make_workers(self.client, self.pool, settings, transport)):
                yield
        finally:
            await transport.aclose()

    @contextmanager
    def worker_process(self, log: Path, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker as operators run it; whatever is left of it is killed at the end."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SENDGATE_")}
        environment |= {
            "SENDGATE_DATABASE_URL": self.database_url,
            "SENDGATE_SMTP_HOST": self.smtp.host,
            "SENDGATE_SMTP_PORT": str(self.smtp.port),
            "SENDGATE_LEASE": "3s",
            "TEMPORAL_ADDRESS": self.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": self.client.namespace,
        } | changes
        with ExitStack() as stack:
            file = stack.enter_context(log.open("ab"))
            process = subprocess.Popen(
                [sys.executable, "worker.py"], cwd=ROOT, env=environment, stdout=file, stderr=file
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                process.wait()

    # -- what tests do all the time

    async def add_contacts(
        self, number: int, *, list_name: str = "everybody", prefix: str = "c", time_zone: str | None = None
    ) -> None:
        """Add contacts `{prefix}1@example.com` and so on, in one statement, to a list."""
        await self.pool.execute(
            "insert into contacts (address, address_key, attributes, time_zone)"
            " select a, a, jsonb_build_object('first_name', 'N' || n), $3"
            "   from (select n, $2 || n || '@example.com' as a from generate_series(1, $1::int) as n) as made",
            number,
            prefix,
            time_zone,
        )
        await self.pool.execute("insert into lists (name) values ($1) on conflict do nothing", list_name)
        await self.pool.execute(
            "insert into list_members select l.id, c.id from lists l, contacts c"
            " where l.name = $1 and c.address ~ ('^' || $2 || '[0-9]+@') on conflict do nothing",
            list_name,
            prefix,
        )

    async def draft(self, *, lists: tuple[str, ...] = ("everybody",), **changes: Any) -> str:
        content = MessageContent(
            **{
                "name": "News",
                "from_address": "news@example.com",
                "subject": "Hello {{ contact.first_name }}",
                "text": "Dear {{ contact.first_name }},\n\nall is well.\n",
                "audience": Audience(lists=lists),
            }
            | changes
        )
        return (await self.use_cases.create(content)).id

    async def send(self, message_id: str, **schedule: Any) -> Message:
        return (await self.use_cases.send(message_id, Schedule(**schedule), asked_by())).message

    async def counts(self, message_id: str) -> Counts:
        """The counts as they are kept."""
        return Counts(**await self.pool.fetchval("select counts_of($1)", message_id))

    async def counted(self, message_id: str) -> Counts:
        """The counts by counting the rows."""
        rows = await self.pool.fetch(
            "select status, count(*) from recipients where message_id = $1 group by status", message_id
        )
        return Counts(**{row["status"]: row["count"] for row in rows}, total=sum(row["count"] for row in rows))

    async def status(self, message_id: str) -> MessageStatus:
        return MessageStatus(await self.pool.fetchval("select status from messages where id = $1", message_id))

    async def until(self, message_id: str, status: MessageStatus, within: float = 30) -> None:
        async def reached() -> bool:
            return await self.status(message_id) is status

        await eventually(reached, within)

    def handle(self, message_id: str, generation: int = 1) -> WorkflowHandle[Any, Any]:
        """The workflow of one scheduling of a message."""
        return self.client.get_workflow_handle(workflow_id(message_id, generation))

    async def until_asleep(self, message_id: str) -> None:
        """Wait until the workflow has started a timer."""

        async def sleeps() -> bool:
            events = (await self.handle(message_id).fetch_history()).events
            return any(event.HasField("timer_started_event_attributes") for event in events)

        await eventually(sleeps)

    async def until_left(self, number: int, within: float = 30) -> None:
        """Wait until the SMTP server has taken at least so many emails."""
        await eventually(lambda: len(self.smtp.accepted()) >= number, within)

    async def until_in_mid_send(self, number: int) -> None:
        """Wait until at least so many have left, and have the rest take far longer than whatever a test does then.

        Without that a send of some hundreds may be over before a stop has gone through a server that stands still for
        a moment. `smtp.set(delay_ms=0)` lets it end. For a worker in this process: another one goes on meanwhile.
        """
        await self.until_left(number)
        self.smtp.set(delay_ms=SLOW_MS)

    async def cut_off_whoever_reads(self, table: str) -> None:
        """Have the database end a connection in the midst of a query of this table, as a restart does."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"lock table {table} in access exclusive mode")
            await self.cut_off_whoever_waits()

    async def cut_off_whoever_waits(self) -> None:
        """Have the database end a connection that waits for a lock, once there is one."""

        async def ended() -> bool:
            return bool(
                await self.pool.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where wait_event_type = 'Lock' and datname = current_database()"
                )
            )

        await eventually(ended)

    async def assert_once_each(self, message_id: str) -> None:
        """Nobody twice, nobody lost, the counts add up: judged by the SMTP server's own log."""
        accepted = self.smtp.accepted()
        addresses = [email.recipient for email in accepted]
        assert len(set(addresses)) == len(addresses), "somebody got it twice"
        assert len({email.message_id for email in accepted}) == len(accepted), "a Message-ID came twice"
        counts = await self.counts(message_id)
        assert counts == await self.counted(message_id)
        assert counts.parts == counts.total
        ledger = {
            row["address"]
            for row in await self.pool.fetch(
                "select address from recipients where message_id = $1 and status = 'sent'", message_id
            )
        }
        in_doubt = {
            row["address"]
            for row in await self.pool.fetch(
                "select address from recipients where message_id = $1 and status = 'in_doubt'", message_id
            )
        }
        assert ledger <= set(addresses) <= ledger | in_doubt
