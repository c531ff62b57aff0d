"""A whole Sendgate for one benchmark: servers as `sendgate up` runs them, worker processes, contacts, messages."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from temporalio.client import Client

from activities.ports import Transport
from benchmarks import servers
from benchmarks.newsletter import ATTRIBUTES, content
from benchmarks.processes import Child, child, plain_environment, python_module
from client.batch_messages import BatchMessages
from client.interface import AskedBy
from client.local.ports import HOST
from client.local.postgres import PostgresCluster, free_port
from client.local.programs import NAMESPACE
from client.temporal import Workflows, connect, ensure_search_attributes
from models.message import MessageStatus, workflow_id
from models.schedule import Schedule
from storage.database import Pool, migrate, open_pool
from tests.eventually import eventually

WINDOW = 64  # what a worker's own is
_LONGEST_BEGINNING_SECONDS = 300.0


def asked() -> AskedBy:
    """Return who asks here; every call is a command of its own."""
    return AskedBy(actor="benchmark", source="benchmark")


@dataclass(frozen=True, slots=True)
class Sent:
    """How one send went, by the ledger's own columns and Temporal's history."""

    message_id: str
    sent: int
    seconds: float  # from the start of the first lane, right before the first claim, to the last settle
    seconds_since_begun: float  # from began_at: with the audience turned into recipients

    @property
    def rate(self) -> float:
        """Emails a second."""
        return self.sent / self.seconds

    @property
    def rate_since_begun(self) -> float:
        return self.sent / self.seconds_since_begun


def _no_transport() -> Transport:
    raise AssertionError("a benchmark sends no test emails")


class Stack:
    """The servers, and shorthands for what benchmarks do all the time."""

    def __init__(
        self, folder: Path, pool: Pool, cluster: PostgresCluster, temporal: Child, address: str, client: Client
    ) -> None:
        self.folder = folder  # for logs; gone afterwards
        self.pool = pool
        self._cluster = cluster
        self._temporal = temporal
        self._temporal_address = address
        self._client = client
        self._workflows = Workflows(client)
        self.use_cases = BatchMessages(pool, self._connected, _no_transport)

    async def _connected(self) -> Workflows:
        return self._workflows

    @asynccontextmanager
    async def worker(
        self, smtp_port: int, *, window: int = WINDOW, profile: Path | None = None, **settings: str
    ) -> AsyncIterator[Child]:
        """Run `python worker.py` on this stack; `settings` as in `smtp_connections="64"`. Drained at the end."""
        environment = self._environment() | {"SENDGATE_SMTP_HOST": HOST, "SENDGATE_SMTP_PORT": str(smtp_port)}
        environment |= {f"SENDGATE_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "worker.py"]
        if window != WINDOW or profile is not None:
            command = python_module("benchmarks.tuned_worker", "--window", str(window))
            command += ["--profile", str(profile)] if profile is not None else []
        with child(command, self.folder / f"worker-{time.monotonic_ns()}.log", environment) as started:
            await started.until_said("working on")
            yield started

    @asynccontextmanager
    async def api(self, admin_key: str) -> AsyncIterator[tuple[str, Child]]:
        """Run `sendgate serve` on this stack; yields its address and the process."""
        port = free_port()
        environment = self._environment() | {"SENDGATE_ADMIN_KEY": admin_key}
        command = python_module("client", "serve", "--port", str(port))
        with child(command, self.folder / f"api-{time.monotonic_ns()}.log", environment) as started:
            await started.until_said("Serving on")
            yield f"http://{HOST}:{port}", started

    def _environment(self) -> dict[str, str]:
        """Return the environment of a process that is to use these servers."""
        return plain_environment() | {
            "SENDGATE_DATABASE_URL": self._cluster.url(),
            "TEMPORAL_ADDRESS": self._temporal_address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
        }

    async def add_contacts(self, number: int, list_name: str) -> None:
        """Add so many contacts with the attributes of the newsletter, to a new list."""
        await self.pool.execute(
            "with made as (insert into contacts (address, address_key, attributes)"
            f" select a, a, {ATTRIBUTES} from (select n, $2 || n || '@example.com' as a"
            " from generate_series(1, $1::int) as n) as numbered returning id),"
            " list as (insert into lists (name) values ($2) returning id)"
            " insert into list_members select list.id, made.id from list, made",
            number,
            list_name,
            timeout=600,
        )
        await self.pool.execute("vacuum analyze contacts, list_members", timeout=600)

    async def draft(self, list_name: str, *, name: str = "May news") -> str:
        return (await self.use_cases.create(content(list_name, name=name))).id

    async def send(
        self,
        list_name: str,
        *,
        name: str = "May news",
        at: datetime | None = None,
        emails_per_second: float | None = None,
    ) -> str:
        """Write a message to everybody on a list and send it; return its id."""
        message_id = await self.draft(list_name, name=name)
        await self.use_cases.send(message_id, Schedule(at=at, emails_per_second=emails_per_second), asked())
        return message_id

    async def send_and_pause(self, list_name: str, *, emails_per_second: float) -> str:
        """Send a message and pause it when some have it, its recipients are all in the ledger then."""
        message_id = await self.send(list_name, emails_per_second=emails_per_second)
        await self.until_left(message_id, 1, within=_LONGEST_BEGINNING_SECONDS)
        await self.use_cases.pause(message_id, asked(), wait=timedelta(minutes=1))
        return message_id

    async def send_and_wait(
        self, list_name: str, *, within: float, meanwhile: Callable[[], None] = lambda: None
    ) -> Sent:
        """Send a message, wait until it is sent, and return how it went; `meanwhile` is called some times a second.

        Before it begins the tables are as autovacuum leaves them within a minute of the last send: its statistics know
        every message but this one.
        """
        await self.pool.execute("vacuum analyze", timeout=600)
        message_id = await self.send(list_name)
        await self.until_sent(message_id, within=within, meanwhile=meanwhile)
        return await self.outcome(message_id)

    async def until_sent(self, message_id: str, *, within: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until the message is sent, calling `meanwhile` some times a second."""
        async with asyncio.timeout(within):
            while await self.status(message_id) is not MessageStatus.SENT:
                meanwhile()
                await asyncio.sleep(0.2)

    async def until_left(self, message_id: str, number: int, *, within: float) -> None:
        """Wait until so many emails of the message have left."""

        async def have_left() -> bool:
            return (await self.use_cases.message(message_id)).counts.sent >= number

        await eventually(have_left, within=within, every=0.2)

    async def status(self, message_id: str) -> MessageStatus:
        return MessageStatus(await self.pool.fetchval("select status from messages where id = $1", message_id))

    async def outcome(self, message_id: str) -> Sent:
        """Return how the send of a message went that is over."""
        row = await self.pool.fetchrow(
            "select m.began_at, max(r.settled_at) as last_settle, count(*) filter (where r.status = 'sent') as sent,"
            " count(*) as everybody from recipients r join messages m on m.id = r.message_id"
            " where r.message_id = $1 group by m.id",
            message_id,
            timeout=120,
        )
        assert row is not None
        if row["sent"] != row["everybody"]:
            raise RuntimeError(f"only {row['sent']:,} of {row['everybody']:,} were sent")
        began, last = row["began_at"], row["last_settle"]
        first = await self._first_lane_at(message_id)
        return Sent(message_id, row["sent"], (last - first).total_seconds(), (last - began).total_seconds())

    async def rate_over_time(self, message_id: str, step_seconds: float) -> list[tuple[float, float]]:
        """Return (seconds since the send began, emails a second) for every step of the send."""
        rows = await self.pool.fetch(
            "select floor(extract(epoch from r.settled_at - m.began_at) / $2) as step, count(*) as number"
            " from recipients r join messages m on m.id = r.message_id where m.id = $1 group by 1 order by 1",
            message_id,
            step_seconds,
            timeout=120,
        )
        return [(float(row["step"]) * step_seconds, row["number"] / step_seconds) for row in rows[:-1]]

    def processes(self) -> dict[str, int]:
        """Return the server processes, by name."""
        assert self._cluster.process is not None
        return {"PostgreSQL": self._cluster.process.pid, "Temporal": self._temporal.pid}

    async def _first_lane_at(self, message_id: str) -> datetime:
        """Return when the first lane started: the ledger does not keep the instant of a claim that is settled."""
        handle = self._client.get_workflow_handle(workflow_id(message_id, 1))
        lanes: set[int] = set()
        starts: list[datetime] = []
        async for event in handle.fetch_history_events():
            scheduled, started = (
                event.activity_task_scheduled_event_attributes,
                event.activity_task_started_event_attributes,
            )
            if scheduled.activity_type.name == "deliver":
                lanes.add(event.event_id)
            elif started.scheduled_event_id in lanes:
                starts.append(event.event_time.ToDatetime(UTC))
        return min(starts)


@asynccontextmanager
async def open_stack(*, postgres_options: tuple[str, ...] = ()) -> AsyncIterator[Stack]:
    """Run the servers for one benchmark; they and all they wrote are gone afterwards."""
    with servers.folder() as folder, servers.postgres(folder, options=postgres_options) as cluster:
        async with servers.temporal(folder) as (temporal, address), open_pool(cluster.url(), most=20) as pool:
            await migrate(pool)
            client = await connect(address, NAMESPACE, alone=True)
            await ensure_search_attributes(client)
            yield Stack(folder, pool, cluster, temporal, address, client)
