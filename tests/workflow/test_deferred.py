"""The retry schedule over time: when a recipient who is refused for now is tried again, typed by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

from models.message import MessageStatus
from models.recipient import RecipientStatus
from tests.workflow.story import Story, deliveries, when
from tests.workflow.virtual import VirtualHarness

RULE = {"first_wait": "10m", "longest_wait": "1h", "tries": 5, "max_age": "1d"}


def tried(virtual: VirtualHarness, name: str) -> list[datetime]:
    """Return when somebody was refused, to the minute."""
    times = [moment for moment, address in virtual.next_hop.refused if address == f"{name}@example.com"]
    return [moment.replace(second=0, microsecond=0) for moment in times]


async def play(virtual: VirtualHarness, story: Story, rule: dict[str, object], *steps: str) -> None:
    await story.go(["10:00 send", *steps], {"retry": rule})
    await virtual.skipping.sleep(timedelta(days=30))
    await virtual.sent(story.message_id)


async def test_waits_double_up_to_the_longest_and_the_rest_does_not_wait(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"p1-p3": None})
    virtual.next_hop.refusals = {"p2@example.com": [450, 421, 450, 450, 450]}
    await play(virtual, story, RULE | {"tries": 9})
    expected = ["10:00", "10:10", "10:20", "10:40", "11:20"]  # 421: the next hop was busy, and that try did not count
    assert tried(virtual, "p2") == [when(time) for time in expected]
    assert story.got == deliveries("10:00 p1 p3", "12:20 p2")


async def test_after_the_last_try_it_has_failed_with_the_last_reply(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"p1-p3": None})
    virtual.next_hop.refusals = {"p2@example.com": [450] * 99}
    await play(virtual, story, RULE)
    assert tried(virtual, "p2") == [when(time) for time in ("10:00", "10:10", "10:30", "11:10", "12:10")]
    [failed] = [row async for row in virtual.use_cases.recipients(story.message_id, statuses=[RecipientStatus.FAILED])]
    assert (failed.address, failed.attempts, failed.smtp_code) == ("p2@example.com", 5, 450)
    assert failed.reply == "gave up after 5 tries: not now"
    await story.assert_counts(story.got, {"failed": 1})


async def test_busy_all_day_it_is_given_up_after_a_day(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"p1-p9": None})
    virtual.next_hop.refusals = {"p2@example.com": [451] * 99}
    await play(virtual, story, RULE | {"tries": 2, "longest_wait": "12h"})
    times = tried(virtual, "p2")
    assert times[:4] == [when("10:00"), when("10:10"), when("10:20"), when("10:30")]
    assert when("+1d 04:00") < times[-1] < when("+1d 10:00")
    assert 8 < len(times) < 30
    await story.assert_counts(story.got, {"failed": 1})


async def test_a_pause_over_the_retries_makes_no_burst_and_loses_none(virtual: VirtualHarness, story: Story) -> None:
    await story.prepare({"p1-p3": None})
    virtual.next_hop.refusals = {"p2@example.com": [450, 450]}
    await play(virtual, story, RULE, "10:05 pause", "+3d 09:00 resume")
    assert tried(virtual, "p2") == [when("10:00"), when("+3d 09:00")]
    assert story.got == deliveries("10:00 p1 p3")  # the second try came a day after the first: it was the last
    assert await virtual.status(story.message_id) is MessageStatus.SENT
    await story.assert_counts(story.got, {"failed": 1})
