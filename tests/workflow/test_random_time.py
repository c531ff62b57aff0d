"""Random sends over time: hypothesis draws the stories, and the model says who gets it at which minute.

The real workflow goes through each on the time-skipping server, with real PostgreSQL. `RANDOM_STORIES=300 pytest
THIS_FILE` draws more than usual, others each time. A failure prints its seed, which draws it again, and the shortest
story found that shows it: what a case of test_throttle.py takes.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from models.commands import ReceiptOutcome
from models.message import MessageStatus
from storage.database import Pool
from tests.harness import asked_by
from tests.smtp_log_server import SmtpLogServer
from tests.workflow.drawn_story import DrawnStory, drawn_stories
from tests.workflow.model import Model, read_step
from tests.workflow.story import Story
from tests.workflow.virtual import VirtualHarness, time_skipping_server
from workflows.state import Knobs

STORIES = int(os.environ.get("RANDOM_STORIES", "25"))
WITHIN_SECONDS = 120.0  # of one story, which takes two
#: To look every five minutes whether a hold was released tells nothing here, and takes its time.
KNOBS = Knobs(hold_timer=timedelta(days=30))

#: Each from a seed of its own: of many from one, hypothesis draws most as small changes of those before.
ONE_STORY = settings(
    max_examples=1,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

NINE_O_CLOCK = {"at": "2040-06-05T09:05", "time_zone": "contact"}
THREES = {"batch_size": 3, "every": "15m"}
#: What is drawn once in hundreds of times.
RARE = {
    "held for so long that it begins too late, and so paused": DrawnStory(
        audience={"p1-p4": "Asia/Tokyo", "p5-p6": "America/New_York"},
        schedule={**NINE_O_CLOCK, "throttle": THREES},
        steps=("10:00 send", "23:52 hold", "+1d 12:52 release", "+1d 13:02 resume", "+1d 14:01 look"),
    ),
    "zones of the interrupted batch are edited, and of the others": DrawnStory(
        audience={"p1-p4": "Asia/Tokyo"},
        schedule={**NINE_O_CLOCK, "throttle": THREES},
        steps=(
            *("10:00 send", "+1d 00:05 pause after 1", "+1d 00:11 move p2 p4 to America/New_York", "+1d 00:12 resume"),
            "+1d 14:01 look",
        ),
    ),
    "all the others have left under the hold, so that a pause finds nobody": DrawnStory(
        audience={"p1-p3": None},
        schedule={"throttle": {"batch_size": 1, "every": "5m"}},
        steps=("10:00 send", "10:02 pause", "10:03 leave p2 p3", "10:04 hold", "10:06 resume", "10:08 pause"),
    ),
    "who joins in a zone that passed long ago makes nobody late": DrawnStory(
        audience={"p1": "America/New_York"},
        schedule=NINE_O_CLOCK,
        steps=("10:00 send", "+1d 12:52 join p2 in Asia/Tokyo", "+1d 13:06 look"),
    ),
    "resumed under a hold behind the end date: the rest expires at the release": DrawnStory(
        audience={"p1-p4": None},
        schedule={"throttle": {**THREES, "ends_at": "2040-06-04T11:00:00Z"}},
        steps=("10:00 send", "10:02 pause", "11:06 hold", "11:07 resume", "11:12 look", "11:17 release", "11:21 look"),
    ),
    "who joins in a passed zone begins it, at the next instant of any zone": DrawnStory(
        audience={"p1": "America/New_York"},
        schedule=NINE_O_CLOCK,
        steps=("10:00 send", "+1d 07:52 join p2 in Asia/Tokyo", "+1d 08:06 look", "+1d 13:06 look"),
    ),
}


class ComparedStory(Story):
    """A story that is compared with its model after every step."""

    def __init__(self, harness: VirtualHarness, workers: AsyncExitStack, drawn: DrawnStory) -> None:
        super().__init__(harness, workers)
        self._drawn = drawn
        self._model = Model(drawn.audience, drawn.schedule)

    async def play_and_compare(self) -> None:
        await self.prepare(self._drawn.audience)
        try:
            for step in self._drawn.steps:
                is_silent, taken = await self._is_stopped(), len(self._harness.next_hop.taken)
                await self.go([step], self._drawn.schedule)
                await self._harness.at_rest(self.message_id)
                early = [at for at, _ in self._harness.next_hop.taken[taken:] if at < read_step(step)[0]]
                assert not (is_silent and early), f"{len(early)} emails left while it was stopped"
                self._model.do(step)
                await self._compare(f"after {step!r}")
        finally:
            self._harness.next_hop.go_on()

    async def _is_stopped(self) -> bool:
        is_held: bool = await self._harness.pool.fetchval("select exists (select from hold)")
        return is_held or await self._harness.status(self.message_id) is MessageStatus.PAUSED

    async def _compare(self, when: str) -> None:
        addresses = [address for _, address in self._harness.next_hop.taken]
        assert len(set(addresses)) == len(addresses), f"{when} somebody has got it twice"
        counts = await self._harness.counts(self.message_id)
        assert counts == await self._harness.counted(self.message_id), when
        assert counts.parts == counts.total, when
        assert self.got == self._model.got, when
        assert {name: number for name, number in counts if number} == self._model.counts, when
        assert await self._harness.status(self.message_id) is self._model.status, when

    # -- what other stories do not do

    async def _cancel(self, rest: str) -> None:
        result = await self._harness.use_cases.cancel(self.message_id, asked_by(), wait=timedelta(seconds=30))
        assert result.receipt is not None
        assert result.receipt.outcome is ReceiptOutcome.DONE

    async def _unsuppress(self, rest: str) -> None:
        await self._harness.use_cases.unsuppress([f"{name}@example.com" for name in rest.split()])


async def play(drawn: DrawnStory, pool: Pool, database_url: str, smtp: SmtpLogServer) -> None:
    """On a server of its own, whose clock begins anew, and with contacts of its own."""
    await pool.execute("truncate contacts, lists, list_members, suppressions, hold")
    async with time_skipping_server() as skipping, AsyncExitStack() as workers:
        harness = VirtualHarness(pool, database_url, skipping, smtp, KNOBS)
        await asyncio.wait_for(ComparedStory(harness, workers, drawn).play_and_compare(), WITHIN_SECONDS)


@pytest.mark.parametrize("name", RARE)
async def test_a_rare_send_over_time_is_what_the_model_says(
    pool: Pool, database_url: str, smtp_server: SmtpLogServer, name: str
) -> None:
    await play(RARE[name], pool, database_url, smtp_server)


async def test_a_random_send_over_time_is_what_the_model_says(
    pool: Pool, database_url: str, smtp_server: SmtpLogServer, request: pytest.FixtureRequest
) -> None:
    loop = asyncio.get_running_loop()
    first = int(request.config.getoption("--hypothesis-seed") or random.randrange(1_000_000))

    @ONE_STORY
    @given(drawn=drawn_stories())
    def is_as_the_model_says(drawn: DrawnStory) -> None:
        asyncio.run_coroutine_threadsafe(play(drawn, pool, database_url, smtp_server), loop).result()

    for number in range(first, first + STORIES):
        try:
            await asyncio.to_thread(seed(number)(is_as_the_model_says))
        except BaseException as error:
            error.add_note(f"Draw it again: RANDOM_STORIES=1 pytest {request.node.nodeid} --hypothesis-seed={number}")
            raise
