"""Random commands, audience changes, refusals and worker restarts, on real PostgreSQL, Temporal and SMTP.

Hypothesis draws the steps; after each, and at the end, everything that must always hold is looked at. The examples are
those of the seeds 1, 2, 3 …, the same at every run. `RANDOM_EXAMPLES=500 pytest THIS_FILE --hypothesis-seed=100` draws
those of 100 to 599. A failure prints its steps and its seed, which draws it again.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partialmethod
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, assume, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from temporalio.client import Client

from client.temporal import Workflows
from models.commands import Verb
from tests.harness import Harness
from workflows.state import Knobs

pytest.register_assert_rewrite("tests.random_send")  # a failed assertion shows its values there as it does here

from tests.random_send import NOTE_MOVES, WITHIN_SECONDS, Send  # noqa: E402  # not before it is registered

T = TypeVar("T")

EXAMPLES = int(os.environ.get("RANDOM_EXAMPLES", "10"))
FIRST_SEED = 1
STEPS = 12
#: Two connections and two round trips an email: about 100 a second, so that most steps fall into the send.
DELAY_MS, CONNECTIONS = 10, 2

ONE_EXAMPLE = settings(
    max_examples=1,
    stateful_step_count=STEPS,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # a race does not shrink
    suppress_health_check=list(HealthCheck),
)

ARGUMENTS = st.sampled_from([None, "a reason", {"reason": "r", "actor": "al"}, {"command_id": "twice"}, 42])
SIGNALS = st.lists(st.tuples(st.sampled_from([Verb.PAUSE, Verb.RESUME]), ARGUMENTS), min_size=1, max_size=4)
VERBS = st.lists(st.sampled_from([Verb.PAUSE, Verb.RESUME]), min_size=2, max_size=3)
SOMEBODY = st.integers(0, 999)


class Worker:
    """The one worker, which may be restarted."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._running = AsyncExitStack()

    async def start(self) -> None:
        await self._running.enter_async_context(self._harness.worker(lanes=2, smtp_connections=CONNECTIONS))

    async def stop(self) -> None:
        await self._running.aclose()


class RandomCommands(RuleBasedStateMachine):
    """Steps in a thread of hypothesis's; the work is done on the event loop of the test."""

    def __init__(self, harness: Harness, worker: Worker, number: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.send = Send(harness, number)
        self.worker = worker
        self.loop = loop
        self.steps: list[str] = []
        self.has_failed = False
        self.causes_are_lifted = False

    def do(self, work: Coroutine[Any, Any, T], step: str) -> T:
        self.steps.append(step)
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=4 * WITHIN_SECONDS)
        except BaseException as error:
            self.has_failed = True
            error.add_note("The steps were:\n" + "\n".join(f"  {step}" for step in self.steps))
            raise

    @initialize(chance=st.integers(0, 2**32), by_way_of_a_schedule=st.booleans())
    def begin(self, chance: int, by_way_of_a_schedule: bool) -> None:
        assume(chance > 0)  # the first example that hypothesis draws is the simplest there is, and tells nothing
        self.causes_are_lifted = chance % 2 == 0
        self.send.harness.smtp.set(refuse=[], delay_ms=DELAY_MS)
        self.do(self.send.begin(by_way_of_a_schedule=by_way_of_a_schedule), f"begin {by_way_of_a_schedule=}")

    @rule(number=st.integers(1, 20))
    def let_it_send(self, number: int) -> None:
        self.do(self.send.let_it_send(number), f"let it send {number}")

    @rule(after=st.integers(0, 10))
    def pause(self, after: int) -> None:
        self.do(self.send.let_it_send(after), f"let it send {after}")
        self.do(self.send.command(Verb.PAUSE), "pause")

    @rule()
    def resume(self) -> None:
        self.do(self.send.command(Verb.RESUME), "resume")

    @precondition(lambda self: len(self.steps) > STEPS / 2)
    @rule()
    def cancel(self) -> None:
        self.do(self.send.command(Verb.CANCEL), "cancel")

    @rule(verbs=VERBS)
    def all_at_once(self, verbs: list[Verb]) -> None:
        self.do(self.send.all_at_once(verbs), f"all at once: {', '.join(verbs)}")

    @rule(signals=SIGNALS)
    def signal(self, signals: list[tuple[Verb, Any]]) -> None:
        self.do(self.send.signal(signals), f"signal {signals}")

    @rule(verbs=VERBS)
    def restart_worker(self, verbs: list[Verb]) -> None:
        """Commands given while no worker is up are obeyed once one is."""

        async def restart() -> None:
            await self.worker.stop()
            try:
                for verb in verbs:
                    await self.send.command(verb, wait=0)
            finally:
                await self.worker.start()

        self.do(restart(), f"restart the worker, and meanwhile: {', '.join(verbs)}")

    @rule()
    def copy(self) -> None:
        self.do(self.send.copy(), "copy")

    @rule(number=st.integers(1, 6))
    def join(self, number: int) -> None:
        self.do(self.send.join(number), f"{number} join")

    @rule(somebody=SOMEBODY)
    def leave(self, somebody: int) -> None:
        self.do(self.send.leave(somebody), f"unmailed number {somebody} leaves")

    @rule(somebody=SOMEBODY, mailed=st.booleans())
    def delete(self, somebody: int, mailed: bool) -> None:
        self.do(self.send.delete(somebody, mailed=mailed), f"delete number {somebody}, {mailed=}")

    @rule()
    def import_again(self) -> None:
        self.do(self.send.import_again(), "import the deleted ones again")

    @rule(somebody=SOMEBODY)
    def suppress(self, somebody: int) -> None:
        self.do(self.send.suppress(somebody), f"suppress unmailed number {somebody}")

    @rule()
    def unsuppress(self) -> None:
        self.do(self.send.unsuppress(), "unsuppress all")

    @rule(digit=st.integers(0, 9), at=st.sampled_from(["rcpt", "dot"]), for_good=st.booleans())
    def refuse(self, digit: int, at: str, for_good: bool) -> None:
        self.steps.append(f"refuse {digit=} {at=} {for_good=}")
        self.send.may_bounce |= for_good
        reply = "550 5.1.1 no such user" if for_good else "450 4.2.1 later"
        self.send.harness.smtp.refuse(f"{digit}@", reply, at=at)

    @rule()
    def refuse_nobody(self) -> None:
        self.steps.append("refuse nobody")
        self.send.harness.smtp.set(refuse=[])

    @rule()
    def drop_connections(self) -> None:
        self.steps.append("drop connections")
        self.send.may_be_in_doubt = True
        self.send.harness.smtp.drop_connections()

    @rule()
    def time_passes(self) -> None:
        self.do(self.send.time_passes(), "time passes for the deferred")

    @invariant()
    def everything_holds(self) -> None:
        if self.steps:
            self.do(self.send.check(), "(look)")
            self.steps.pop()

    def teardown(self) -> None:
        if self.steps and not self.has_failed:
            self.do(self.send.end(causes_are_lifted=self.causes_are_lifted), f"end {self.causes_are_lifted=}")


async def test_whatever_is_done_in_whatever_order_nobody_is_mailed_twice_or_lost(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr("worker.WINDOW", 8)  # so that a send of this size is many claims
    # What a worker took from Temporal in the moment it was stopped is handed out again after 10 s by default.
    quick = partialmethod(Client.start_workflow, task_timeout=timedelta(seconds=2))
    monkeypatch.setattr(Client, "start_workflow", quick)
    harness.workflows = Workflows(harness.client, knobs=Knobs(no_server_longest_wait=timedelta(seconds=1)))
    await harness.pool.execute(NOTE_MOVES)
    worker = Worker(harness)
    await worker.start()
    loop = asyncio.get_running_loop()
    numbers = itertools.count(1)
    first = int(request.config.getoption("--hypothesis-seed") or FIRST_SEED)

    class Example(RandomCommands):
        def __init__(self) -> None:
            super().__init__(harness, worker, next(numbers), loop)

    try:
        for number in range(first, first + EXAMPLES):
            await asyncio.to_thread(run_state_machine_as_test, seed(number)(Example), settings=ONE_EXAMPLE)
    except BaseException as error:
        error.add_note(f"Draw it again: RANDOM_EXAMPLES=1 pytest {request.node.nodeid} --hypothesis-seed={number}")
        raise
    finally:
        await worker.stop()
