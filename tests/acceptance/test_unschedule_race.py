"""Unschedule against the beginning of the send: either the send has begun or the message is a draft, never both.

Many small messages are unscheduled at instants swept around the one at which their send begins, as measured while the
test runs. What each of them came to is judged by the SMTP server's log and the ledger. The same sweep with the
guard taken out shows that the judge finds what the guard prevents.
"""

from __future__ import annotations

import asyncio
import functools
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from client.batch_messages import BatchMessages
from client.interface import AskedBy, CommandResult
from client.temporal import Workflows
from models.commands import Command
from models.errors import IllegalTransition
from models.ledger import Beginning
from models.message import MessageStatus
from storage import messages
from storage.database import Connection, Pool
from storage.sending import Sending
from tests.eventually import eventually
from tests.harness import Harness, asked_by

AUDIENCE = 2
AT_ONCE = 24  # trials under way at any moment: more only wait for each other
LEAD = timedelta(seconds=1.3)  # timers under a second take a second
SWEEP_SECONDS = 0.1  # to either side of the instant
FOLLOW = 0.015  # by this part of itself the instant moves after each trial, so that as many end one way as the other
STEPS = 41  # of the sweep; no divisor of anything, so that no step meets the same neighbours again
LONGEST_DELAY_SECONDS = 0.05  # of `begin`'s first statement

FEWEST_TRIALS, MOST_TRIALS = 200, 1000
FEWEST_EACH_WAY = 40
FEWEST_TERMINATED_IN_BEGIN = 5


@dataclass(frozen=True)
class Span:
    """From when to when something ran, in seconds of the monotonic clock."""

    began: float
    ended: float

    def within(self, other: Span) -> bool:
        return other.began < self.began and self.ended < other.ended


@dataclass
class Trial:
    """One message, and what its unschedule was told."""

    message_id: str
    subject: str
    refused: bool
    begin: Span | None = None
    terminate: Span | None = None  # the one that succeeded

    @property
    def terminated_in_begin(self) -> bool:
        """Whether `begin` was running before the terminate was asked for, and still when it had succeeded."""
        return self.begin is not None and self.terminate is not None and self.terminate.within(self.begin)


class Race:
    """Runs trials, and notes when each `begin` and each terminate ran."""

    def __init__(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trials: list[Trial] = []
        self.measured = 0.0  # seconds from a message's instant to the end of its `begin`
        self._instant = 0.0  # the same, as it is now, where an unschedule is as often too late as not
        self._harness = harness
        self._begins: dict[str, Span] = {}
        self._terminates: dict[str, Span] = {}
        self._running: dict[str, asyncio.Task[Beginning]] = {}  # by message id
        harness.workflows = _NotingWorkflows(harness.client, self._terminates)
        monkeypatch.setattr(
            "worker.Sending", functools.partial(_LateSending, begins=self._begins, running=self._running)
        )
        # The sandbox imports everything anew for each workflow, which costs as much as all the rest.
        monkeypatch.setattr("worker.Worker", functools.partial(Worker, workflow_runner=UnsandboxedWorkflowRunner()))

    async def measure(self, number: int) -> None:
        """Find out how long after a message's instant its `begin` ends, without any unschedule."""
        clocks = time.time() - time.monotonic()
        lags: list[float] = []

        async def one(count: int) -> None:
            message_id, at = await self._scheduled(f"Measured {count}")
            await self._harness.until(message_id, MessageStatus.SENT)
            lags.append(self._begins[message_id].ended + clocks - at.timestamp())

        await _side_by_side(one, range(number))
        self.measured = self._instant = statistics.median(lags)

    async def run(self, enough: Callable[[], bool]) -> None:
        """Run trials until it is enough, or there have been MOST_TRIALS; then wait until nothing moves any more."""

        async def one(number: int) -> None:
            if not enough():
                await self._try(number)

        await _side_by_side(one, range(len(self.trials), MOST_TRIALS))
        await eventually(self._is_still, within=30)
        for trial in self.trials:
            trial.begin = self._begins.get(trial.message_id)

    async def _try(self, number: int) -> None:
        message_id, at = await self._scheduled(f"Trial {number}")
        offset = (number % STEPS / (STEPS - 1) * 2 - 1) * SWEEP_SECONDS
        await _until_instant(at.timestamp() + self._instant + offset)
        refused = False
        try:
            await self._harness.use_cases.unschedule(message_id, asked_by())
        except IllegalTransition:
            refused = True
        self._instant *= 1 - FOLLOW if refused else 1 + FOLLOW
        trial = Trial(message_id, f"Trial {number}", refused, terminate=self._terminates.get(message_id))
        self.trials.append(trial)
        if trial.terminate:
            await eventually(lambda: message_id not in self._running)
        trial.begin = self._begins.get(message_id)

    async def _scheduled(self, subject: str) -> tuple[str, datetime]:
        message_id = await self._harness.draft(subject=subject)
        at = datetime.now(UTC) + LEAD
        await self._harness.send(message_id, at=at)
        return message_id, at

    async def _is_still(self) -> bool:
        moving = await self._harness.pool.fetchval(
            "select exists (select from messages where status in ('scheduled', 'sending'))"
            " or exists (select from recipients where status = 'claimed')"
        )
        return not moving and not self._running

    # -- the verdict

    async def broken(self) -> list[str]:
        """Say of each trial that is neither a draft of which nothing left nor a send, what it is."""
        rows = await self._harness.pool.fetch(
            "select m.id, m.status, (select count(*) from recipients r where r.message_id = m.id) as recipients"
            "  from messages m"
        )
        state = {row["id"]: (MessageStatus(row["status"]), row["recipients"]) for row in rows}
        left = Counter(email.subject for email in self._harness.smtp.accepted())
        verdicts = (broken(trial, *state[trial.message_id], left[trial.subject]) for trial in self.trials)
        return [verdict for verdict in verdicts if verdict]

    def has_tried(self, number: int) -> bool:
        return len(self.trials) >= number

    def drafts(self) -> int:
        return sum(not trial.refused for trial in self.trials)

    def begun(self) -> int:
        return sum(trial.refused for trial in self.trials)

    def terminated_in_begin(self) -> int:
        return sum(trial.terminated_in_begin for trial in self.trials)

    def figures(self) -> str:
        return (
            f"{len(self.trials)} unschedules: {self.drafts()} made a draft, {self.begun()} refused;"
            f" {self.terminated_in_begin()} terminated while begin ran;"
            f" begin ended {self.measured * 1000:.0f} ms after its instant at first,"
            f" the sweep's middle was {self._instant * 1000:.0f} ms after it at last"
        )


def broken(trial: Trial, status: MessageStatus, recipients: int, left: int) -> str | None:
    """Judge one trial when nothing moves any more; None: it is sound."""
    what = f"{trial.subject}: {status}, {recipients} recipients, {left} emails, refused: {trial.refused}"
    if status is MessageStatus.DRAFT:
        return what if trial.refused or recipients or left else None
    return None if status is MessageStatus.SENT and trial.refused and recipients == left == AUDIENCE else what


class _LateSending(Sending):
    """Waits up to 50 ms before `begin`'s first statement, and notes when it ran."""

    def __init__(
        self,
        pool: Pool,
        *,
        max_late: timedelta,
        begins: dict[str, Span],
        running: dict[str, asyncio.Task[Beginning]],
    ) -> None:
        super().__init__(pool, max_late=max_late)
        self._begins = begins
        self._running = running

    async def begin(self, message_id: str, generation: int, *, as_of: datetime, late: Command) -> Beginning:
        # This server tells a worker of a terminated workflow's activities; most do not, and `begin` goes on there.
        task = asyncio.create_task(self._begin_late(message_id, generation, as_of, late))
        self._running[message_id] = task
        task.add_done_callback(lambda _: self._running.pop(message_id, None))
        return await asyncio.shield(task)

    async def _begin_late(self, message_id: str, generation: int, as_of: datetime, late: Command) -> Beginning:
        began = time.monotonic()
        await _until_instant(time.time() + random.uniform(0, LONGEST_DELAY_SECONDS))
        try:
            return await super().begin(message_id, generation, as_of=as_of, late=late)
        finally:
            self._begins.setdefault(message_id, Span(began, time.monotonic()))


class _NotingWorkflows(Workflows):
    """Notes from when to when a terminate ran that succeeded."""

    def __init__(self, client: Client, terminates: dict[str, Span]) -> None:
        super().__init__(client)
        self._terminates = terminates

    async def terminate(self, message_id: str, generation: int, reason: str) -> bool:
        began = time.monotonic()
        terminated = await super().terminate(message_id, generation, reason)
        if terminated:
            self._terminates.setdefault(message_id, Span(began, time.monotonic()))
        return terminated


async def _until_instant(moment: float) -> None:
    """Return at an instant (unix time): when to act is what is tested here, there is no condition to wait for."""
    reached = asyncio.Event()
    asyncio.get_running_loop().call_later(max(moment - time.time(), 0), reached.set)
    await reached.wait()


async def _side_by_side(one: Callable[[int], Awaitable[None]], numbers: range) -> None:
    """Run `one` for every number, AT_ONCE of them at a time, each starting when another has ended."""
    todo = iter(numbers)

    async def runner() -> None:
        for number in todo:
            await one(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(runner())


# -- the tests


async def test_either_the_send_has_begun_or_the_message_is_a_draft(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.add_contacts(AUDIENCE)
    race = Race(harness, monkeypatch)

    def enough() -> bool:
        return (
            len(race.trials) >= FEWEST_TRIALS
            and min(race.drafts(), race.begun()) >= FEWEST_EACH_WAY
            and race.terminated_in_begin() >= FEWEST_TERMINATED_IN_BEGIN
        )

    async with harness.worker():
        await race.measure(AT_ONCE // 2)
        await race.run(enough)
    print(race.figures())
    assert await race.broken() == []
    assert enough(), f"not a race: {race.figures()}"


async def _without_the_condition(connection: Connection, message_id: str, generation: int) -> datetime | None:
    """`storage.messages.unschedule` without its `where status = 'scheduled'`."""
    at: datetime = await connection.fetchval(
        "update messages set status = 'draft', terminate_generation = generation, gate_open = false,"
        " next_slot_at = null, updated_at = clock_timestamp() where id = $1 and generation = $2 returning updated_at",
        message_id,
        generation,
    )
    return at


class _TerminateAlone(BatchMessages):
    """Trusts in a terminate that succeeded."""

    async def unschedule(self, message_id: str, asked_by: AskedBy) -> CommandResult:
        message = await self.message(message_id)
        workflows = await self._workflows()
        if not await workflows.terminate(message_id, message.generation, asked_by.reason):
            raise IllegalTransition("It is over.", status=message.status, allowed=())
        await self._pool.execute("update messages set status = 'draft', gate_open = false where id = $1", message_id)
        return CommandResult(message=await self.message(message_id), receipt=None)


@pytest.mark.parametrize("without", ["the condition", "the reset before the terminate"])
async def test_the_judge_finds_what_the_conditional_reset_prevents(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    """The same sweep with the guard taken out: there are drafts that have begun to be sent."""
    await harness.add_contacts(AUDIENCE)
    if without == "the condition":
        monkeypatch.setattr(messages, "unschedule", _without_the_condition)
    else:
        harness.use_cases = _TerminateAlone(harness.pool, harness._connected, harness._transport)
    race = Race(harness, monkeypatch)
    found: list[str] = []
    async with harness.worker():
        await race.measure(AT_ONCE // 2)
        while not found and len(race.trials) < MOST_TRIALS:
            await race.run(functools.partial(race.has_tried, len(race.trials) + STEPS))
            found = await race.broken()
    print(f"without {without}: {len(found)} broken of {race.figures()}", *found[:5], sep="\n")
    assert found
