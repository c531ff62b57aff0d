"""The sweep: every few seconds one worker looks after what a crash or a hand in the Temporal UI left behind."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from activities.answers import answer_within
from client.temporal import Presence, Workflows
from models.commands import Command, Verb
from models.message import MessageStatus
from storage import commands, ledger, lookout, messages, orphans, unheard
from storage.alone import alone
from storage.database import Pool

logger = logging.getLogger(__name__)

EVERY = timedelta(seconds=5)
#: Of so many sweeps one asks Temporal about workflows that may be closed or unknown: that is nearly all that ten
#: thousand messages cost while they sleep.
_ASKS_TEMPORAL_ONCE_IN = 3
#: A start or signal that is not answered this long after it was asked for is taken for lost.
LOST_AFTER = timedelta(seconds=10)
_LOOK_BACK = timedelta(days=1)
_LISTING_LAG = timedelta(minutes=1)
_ASKED_AT_A_TIME = 3
_MOST_IN_A_ROW = 60
_LOCK = 7_364_002
#: A database that has vanished without a word is given up on, and asked over a fresh connection.
_LAPSE_WITHIN_SECONDS = 30.0


class Sweep:
    """Repeat what was lost. Each step may run twice, in two workers even: all of it is conditional in the database."""

    def __init__(self, pool: Pool, workflows: Workflows, *, lost_after: timedelta = LOST_AFTER) -> None:
        self._pool = pool
        self._workflows = workflows
        self._lost_after = lost_after
        self._looked_at_closed = datetime.now(UTC) - _LOOK_BACK
        self._asked_up_to = ""
        self._held = False
        self._numbers = itertools.count()

    async def run(self, every: timedelta = EVERY) -> None:
        """Sweep for ever, in one worker at a time, and in each of them list who is in doubt.

        That needs nothing but the database, and so it waits for no other step: what asks a Temporal that is away
        takes its time.
        """
        both = _for_ever(self._sweep_alone, every), _for_ever(self.lapse_leases, every)
        # With exceptions, or a cancellation that reached only one of them would leave the other running.
        await asyncio.gather(*both, return_exceptions=True)

    async def _sweep_alone(self) -> None:
        asks_temporal = next(self._numbers) % _ASKS_TEMPORAL_ONCE_IN == 0
        async with alone(self._pool, _LOCK) as is_alone:
            if is_alone:
                await self.once(asks_temporal=asks_temporal)

    async def once(self, *, asks_temporal: bool = True) -> None:
        """Do every step once, stops first. One that fails keeps no other from its turn; the first error is raised.

        `asks_temporal`: with the steps that find out what became of workflows, which cost the most.
        """
        failed: list[Exception] = []
        asking = (self._look_after_closed_workflows, self._look_after_unknown_workflows) if asks_temporal else ()
        for step in (
            self._repeat_commands,
            self._start_what_is_not_adopted,
            self._repeat_terminates,
            *asking,
            self._repeat_wakes,
        ):
            try:
                await step()
            except Exception as error:
                logger.exception("a step of the sweep failed: %s", step.__name__)
                failed.append(error)
        if failed:
            raise failed[0]

    async def lapse_leases(self) -> None:
        """List as in doubt whom silent lanes hold, in any message."""
        await answer_within(_LAPSE_WITHIN_SECONDS, ledger.lapse_all(self._pool))

    async def _start_what_is_not_adopted(self) -> None:
        for start in await lookout.not_adopted(self._pool, self._lost_after):
            await self._workflows.start(start.message_id, start.generation, start.name, start.status)

    async def _repeat_terminates(self) -> None:
        for message_id, generation in await lookout.to_terminate(self._pool):
            await self._workflows.terminate(message_id, generation, "unscheduled")
            await messages.forget_terminate(self._pool, message_id, generation)

    async def _look_after_closed_workflows(self) -> None:
        """A workflow closed by hand: back to draft if nothing has begun, else paused, under the next generation."""
        began_to_look = datetime.now(UTC)
        settled = True
        async for message_id, generation in self._workflows.closed_by_hand_since(self._looked_at_closed):
            status = await orphans.status_of(self._pool, message_id, generation)
            if status is not None and await self._workflows.presence(message_id, generation) is Presence.CLOSED:
                settled = await self._look_after_closed(message_id, generation, status) and settled
        if settled:
            self._looked_at_closed = began_to_look - _LISTING_LAG

    async def _look_after_unknown_workflows(self) -> None:
        """Ask Temporal about a few messages: its listing looks back a day, and its database may be lost.

        Where one is found the next few are asked about at once: there will be more.
        """
        for _ in range(_MOST_IN_A_ROW):
            asked = await lookout.adopted(self._pool, after=self._asked_up_to, most=_ASKED_AT_A_TIME)
            self._asked_up_to = asked[-1][0] if len(asked) == _ASKED_AT_A_TIME else ""
            found = False
            for message_id, generation, status in asked:
                presence = await self._workflows.presence(message_id, generation)
                found = found or presence is not Presence.RUNNING
                if presence is Presence.UNKNOWN and status is MessageStatus.SCHEDULED:
                    await lookout.forget_adoption(self._pool, message_id, generation)
                elif presence is not Presence.RUNNING:
                    await self._look_after_closed(message_id, generation, status)
            if not found or not self._asked_up_to:
                return

    async def _look_after_closed(self, message_id: str, generation: int, status: MessageStatus) -> bool:
        """Return whether it is done; not while emails are in flight.

        A crash before the start leaves a message that nobody has adopted, which is started like any other.
        """
        reason = "its workflow was closed in Temporal"
        if status is MessageStatus.SCHEDULED:
            await orphans.back_to_draft(self._pool, message_id, generation, _system(Verb.UNSCHEDULE, reason))
            return True
        taken = await orphans.take_over(self._pool, message_id, generation, _system(Verb.PAUSE, reason))
        if taken is None:
            return False
        await self._workflows.start(message_id, taken[0], taken[1], MessageStatus.PAUSED)
        return True

    async def _repeat_wakes(self) -> None:
        """Wake everybody, oldest first, when a hold that was seen is gone: its release may have woken only some.

        One that nobody saw go is made up for by the workflows' own slow timer. And wake those to which somebody in
        doubt was returned a moment ago.
        """
        was_held, self._held = self._held, await lookout.is_held(self._pool)
        if was_held and not self._held:
            for message_id, generation in await lookout.waiting(self._pool):
                await self._workflows.wake(message_id, generation)
        for message_id, generation in await lookout.resent(self._pool, self._lost_after):
            await self._workflows.wake(message_id, generation)

    async def _repeat_commands(self) -> None:
        """A stop must not be lost between the row that asks for it and its signal."""
        for message_id, command in await commands.unanswered(self._pool, self._lost_after):
            if not await unheard.answer(self._pool, message_id, command):
                generation = (await messages.get(self._pool, message_id)).generation
                await self._workflows.signal(message_id, generation, command)


async def _for_ever(step: Callable[[], Awaitable[None]], every: timedelta) -> None:
    while True:
        try:
            await step()
        except Exception as error:  # noqa: BLE001  # a sweep that ended would be missed only when it is needed
            logger.warning("the sweep is repeated in %s s: %s", every.total_seconds(), error)
        await asyncio.sleep(every.total_seconds())


def _system(verb: Verb, reason: str) -> Command:
    return Command(
        command_id=secrets.token_urlsafe(12),
        verb=verb,
        actor="system",
        reason=reason,
        source="system",
        requested_at=datetime.now(UTC),
    )
