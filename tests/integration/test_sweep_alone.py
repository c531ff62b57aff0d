"""One worker sweeps at a time; and whatever it waits for, or wherever it has got stuck, the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import WorkflowExecutionStatus

from client.sweep import Sweep
from client.temporal import Workflows
from models.commands import Command
from models.errors import Unreachable
from models.message import MessageStatus
from models.recipient import RecipientStatus
from storage import alone as module_of_alone
from storage import database
from storage.alone import alone
from storage.database import Pool, open_pool
from storage.ledger import Ledger
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.integration.test_sweep import losing, workflow_status
from worker import end

LOCK = 1
OFTEN = timedelta(milliseconds=10)
TOMORROW = timedelta(days=1)


class _NeverAnswers(Workflows):
    """Temporal has vanished without a word; `asked` is set when somebody waits for it."""

    asked: asyncio.Event

    async def start(
        self, message_id: str, generation: int, name: str, status: MessageStatus = MessageStatus.SCHEDULED
    ) -> None:
        await self._never()

    async def signal(self, message_id: str, generation: int, command: Command) -> bool:
        await self._never()
        return False

    async def _never(self) -> None:
        self.asked.set()
        await asyncio.Event().wait()


class _IsAway(Workflows):
    async def start(
        self, message_id: str, generation: int, name: str, status: MessageStatus = MessageStatus.SCHEDULED
    ) -> None:
        raise Unreachable("Temporal does not answer.")

    async def signal(self, message_id: str, generation: int, command: Command) -> bool:
        raise Unreachable("Temporal does not answer.")


@asynccontextmanager
async def sweeping(pool: Pool, workflows: Workflows) -> AsyncIterator[None]:
    """A worker's sweep, which takes for lost whatever is not answered at once."""
    task = asyncio.create_task(Sweep(pool, workflows, lost_after=timedelta(0)).run(OFTEN))
    try:
        yield
    finally:
        await end(task)


def never_answers(harness: Harness) -> _NeverAnswers:
    workflows = _NeverAnswers(harness.client)
    workflows.asked = asyncio.Event()
    return workflows


@pytest.fixture
async def impatient(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    """Connections on which the server ends a silent transaction after 2 s."""
    monkeypatch.setitem(database._SERVER_SETTINGS, "idle_in_transaction_session_timeout", "2s")
    async with open_pool(database_url) as pool:
        yield pool


async def test_whom_a_dead_lane_held_is_listed_while_temporal_says_nothing(harness: Harness) -> None:
    await harness.add_contacts(20)
    message_id = await harness.draft()
    silent = never_answers(harness)
    await harness.send(message_id)
    await harness.pool.execute("update messages set status = 'sending', gate_open = true where id = $1", message_id)
    await harness.pool.execute(
        "insert into recipients (message_id, contact_id, address, address_key, due_at, position)"
        " select $1, id, address, address_key, now(), id from contacts",
        message_id,
    )
    with losing(harness, _IsAway):
        await harness.use_cases.pause(message_id, asked_by(), wait=timedelta(0))
    async with sweeping(harness.pool, silent):
        await silent.asked.wait()  # the sweep waits for Temporal, for ever
        claimed = await Ledger(harness.pool).claim(
            message_id, 1, "dead", as_of=datetime.now(UTC), most=5, token=uuid4(), lease=timedelta(microseconds=1)
        )
        assert isinstance(claimed, list)
        assert len(claimed) == 5

        async def are_listed() -> bool:
            return (await harness.counts(message_id)).in_doubt == 5

        await eventually(are_listed)
    found = {r.contact_id: r.status async for r in harness.use_cases.recipients(message_id)}
    assert {found[row.contact_id] for row in claimed} == {RecipientStatus.IN_DOUBT}


async def test_a_worker_that_falls_silent_in_a_sweep_does_not_keep_the_others_from_it(
    harness: Harness, impatient: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that is frozen, or whose machine has vanished: its session is open, and nothing comes from it."""
    monkeypatch.setattr(module_of_alone, "_HEARD_EVERY_SECONDS", 3600)
    await harness.add_contacts(1)
    message_id = await harness.draft()
    frozen = never_answers(harness)
    with losing(harness, _IsAway):
        await harness.send(message_id, at=datetime.now(UTC) + TOMORROW)
    async with sweeping(impatient, frozen):
        await frozen.asked.wait()
        async with sweeping(harness.pool, harness.workflows):

            async def is_started() -> bool:
                return await workflow_status(harness, message_id, 1) is WorkflowExecutionStatus.RUNNING

            await eventually(is_started, within=30)


async def test_who_takes_long_and_is_heard_of_keeps_the_others_out(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends a transaction that has said nothing since its state last changed for as long as it allows."""
    monkeypatch.setattr(module_of_alone, "_HEARD_EVERY_SECONDS", 0.02)
    heard_at: set[datetime] = set()
    async with alone(pool, LOCK) as is_alone:
        assert is_alone

        async def is_heard_of_again_and_again() -> bool:
            at: datetime | None = await pool.fetchval(
                "select state_change from pg_locks join pg_stat_activity using (pid)"
                " where locktype = 'advisory' and datname = current_database()"
            )
            assert at is not None, "the lock is lost"
            heard_at.add(at)
            return len(heard_at) > 5

        await eventually(is_heard_of_again_and_again)
        async with alone(pool, LOCK) as is_other_alone:
            assert not is_other_alone
    async with alone(pool, LOCK) as is_other_alone:
        assert is_other_alone


async def test_who_has_lost_the_lock_hears_of_it_at_the_end(pool: Pool) -> None:
    with pytest.raises((*database.CONNECTION_ERRORS, asyncpg.InternalClientError)):
        async with alone(pool, LOCK):
            await pool.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database ="
                " (select oid from pg_database where datname = current_database())"
            )
