"""Errors of a send before a pause and after it: whoever resumes has seen those before, and they count no more."""

from __future__ import annotations

from datetime import timedelta

from models.commands import HistoryEntry, Verb
from models.failures import LOOKED_AT
from models.ledger import Adoption
from models.message import MessageStatus
from tests.workflow.story import Story, when
from tests.workflow.virtual import VirtualHarness

NOON = "2040-06-04T12:00:00Z"
BATCH = LOOKED_AT * 4 // 5  # too few to be judged, and of two of them half is more than is borne
WINDOW = Adoption(status=None).window  # what a lane has begun it finishes


async def begin(virtual: VirtualHarness, story: Story, people: int) -> None:
    """Write a message to so many and start a worker; the next hop refuses everybody."""
    await virtual.add_contacts(people)
    virtual.next_hop.bounces = True
    await story.prepare({})


async def pauses_by_the_system(virtual: VirtualHarness, message_id: str) -> list[HistoryEntry]:
    history = await virtual.use_cases.history(message_id)
    return [entry for entry in history if entry.command is Verb.PAUSE and entry.actor == "system"]


async def test_what_failed_before_a_resume_is_not_counted_again(virtual: VirtualHarness, story: Story) -> None:
    """400 fail, it is mended, and 400 are taken: of the 800 half has failed, of what came since nobody."""
    await begin(virtual, story, 2 * BATCH)
    schedule = {"at": NOON, "throttle": {"batch_size": BATCH, "every": "1h"}}
    await story.go(["11:00 send", "12:10 pause"], schedule)
    assert (await virtual.counts(story.message_id)).bounced == BATCH
    virtual.next_hop.bounces = False
    await story.go(["12:20 resume"])
    await virtual.skipping.sleep(timedelta(days=1))
    await virtual.sent(story.message_id)
    assert await pauses_by_the_system(virtual, story.message_id) == []
    counts = await virtual.counts(story.message_id)
    assert (counts.bounced, counts.sent) == (BATCH, BATCH)


async def test_after_a_resume_the_first_are_looked_at_as_soon_as_they_are_enough(
    virtual: VirtualHarness, story: Story
) -> None:
    """As at the beginning: when it was resumed in vain, no more of them go wrong than that takes."""
    await begin(virtual, story, 4 * LOOKED_AT)
    await story.go(["11:00 send"], {"at": NOON})
    await virtual.skip_to(when("12:10"))
    bounced = [0]
    for again in ("12:30 resume", "12:50 look"):
        await virtual.until(story.message_id, MessageStatus.PAUSED)
        bounced.append((await virtual.counts(story.message_id)).bounced)
        assert LOOKED_AT <= bounced[-1] - bounced[-2] < LOOKED_AT + WINDOW
        await story.go([again])
    pauses = await pauses_by_the_system(virtual, story.message_id)
    assert len(pauses) == 2
