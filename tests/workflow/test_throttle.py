"""Throttled sends, each a small story: who gets it when is typed, not computed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from models.message import MessageStatus
from tests.workflow.story import Story, deliveries
from tests.workflow.virtual import VirtualHarness

#: Three every quarter of an hour.
THREES = {"batch_size": 3, "every": "15m"}
UNTIL_ELEVEN = THREES | {"ends_at": "2040-06-04T11:00:00Z"}
#: Three every quarter of an hour, from nine o'clock in each contact's own zone on the second day.
NINE_O_CLOCK: dict[str, Any] = {"at": "2040-06-05T09:00", "time_zone": "contact", "throttle": THREES}


@dataclass
class Case:
    """`expired` and the like are the counts that are not 0 in the end, besides sent and total."""

    name: str
    steps: tuple[str, ...]
    got: tuple[str, ...]
    audience: Mapping[str, str | None] = field(default_factory=lambda: {"p1-p10": None})
    schedule: Mapping[str, Any] = field(default_factory=lambda: {"throttle": THREES})
    counts: Mapping[str, int] = field(default_factory=dict)


CASES = [
    Case(
        "straight",
        steps=("10:00 send",),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7-p9", "10:45 p10"),
    ),
    Case(
        "at an instant to come",
        schedule={"at": "2040-06-04T12:00:00Z", "throttle": THREES},
        steps=("10:00 send",),
        got=("12:00 p1-p3", "12:15 p4-p6", "12:30 p7-p9", "12:45 p10"),
    ),
    Case(
        "paused between batch 2 and turn 3, resumed before turn 3",
        steps=("10:00 send", "10:32 pause", "10:40 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7-p9", "10:45 p10"),
    ),
    Case(
        "paused between batch 2 and turn 3, resumed after turn 3",
        steps=("10:00 send", "10:32 pause", "10:50 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7-p9", "11:00 p10"),
    ),
    Case(
        "paused over many turns: no burst",
        steps=("10:00 send", "10:01 pause", "+3d 10:07 resume"),
        got=("10:00 p1-p3", "+3d 10:15 p4-p6", "+3d 10:30 p7-p9", "+3d 10:45 p10"),
    ),
    Case(
        "paused inside batch 2, resumed before turn 3",
        steps=("10:00 send", "10:30 pause after 1", "10:40 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7", "10:40 p8-p9", "10:45 p10"),
    ),
    Case(
        "paused inside batch 2, resumed after turn 3",
        steps=("10:00 send", "10:30 pause after 1", "10:50 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7", "10:50 p8-p9", "11:00 p10"),
    ),
    Case(
        "paused inside batch 2, resumed after turn 7",
        steps=("10:00 send", "10:30 pause after 2", "11:50 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7-p8", "11:50 p9", "12:00 p10"),
    ),
    Case(
        "paused inside batch 1, resumed after the end date: the batch completes, the rest expires",
        schedule={"throttle": UNTIL_ELEVEN},
        steps=("10:00 send", "10:15 pause after 1", "11:20 resume"),
        got=("10:00 p1-p3", "10:15 p4", "11:20 p5-p6"),
        counts={"expired": 4},
    ),
    Case(
        "paused between batches over the end date: the rest expires at the resume",
        schedule={"throttle": UNTIL_ELEVEN},
        steps=("10:00 send", "10:20 pause", "11:20 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6"),
        counts={"expired": 4},
    ),
    Case(
        "no batch opens at the end date itself",
        schedule={"throttle": THREES | {"ends_at": "2040-06-04T10:30:00Z"}},
        steps=("10:00 send",),
        got=("10:00 p1-p3", "10:15 p4-p6"),
        counts={"expired": 4},
    ),
    Case(
        "an end date on the clocks of the one zone",
        schedule={
            "at": "2040-06-04T12:00",
            "time_zone": "Europe/Oslo",
            "throttle": THREES | {"ends_at": "2040-06-04T12:20"},
        },
        steps=("09:00 send",),
        got=("10:00 p1-p3", "10:15 p4-p6"),
        counts={"expired": 4},
    ),
    Case(
        "resumed with another end date",
        schedule={"throttle": UNTIL_ELEVEN},
        steps=("10:00 send", "10:20 pause", "11:32 resume until 12:10"),
        got=("10:00 p1-p3", "10:15 p4-p6", "11:45 p7-p9", "12:00 p10"),
    ),
    Case(
        "resumed with an earlier end date",
        schedule={"throttle": UNTIL_ELEVEN},
        steps=("10:00 send", "10:05 pause", "10:10 resume until 10:20"),
        got=("10:00 p1-p3", "10:15 p4-p6"),
        counts={"expired": 4},
    ),
    Case(
        "deferred ones of a batch are tried again after the end date",
        schedule={"throttle": THREES | {"ends_at": "2040-06-04T10:15:30Z"}},
        steps=("10:00 send", "10:10 next-hop defers p4"),
        got=("10:00 p1-p3", "10:15 p5-p6", "10:16 p4"),
        counts={"expired": 4},
    ),
    Case(
        "deferred ones are tried again beside later batches",
        steps=("10:00 send", "10:01 next-hop defers p4-p6"),
        got=("10:00 p1-p3", "10:16 p4-p6", "10:30 p7-p9", "10:45 p10"),
    ),
    Case(
        "held over two turns: they are missed",
        steps=("10:00 send", "10:20 hold", "10:50 release"),
        got=("10:00 p1-p3", "10:15 p4-p6", "11:00 p7-p9", "11:15 p10"),
    ),
    Case(
        "held between two turns: nothing is missed",
        steps=("10:00 send", "10:20 hold", "10:25 release"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7-p9", "10:45 p10"),
    ),
    Case(
        "held over the end date: the rest expires at the release",
        schedule={"throttle": UNTIL_ELEVEN},
        steps=("10:00 send", "10:20 hold", "11:20 release"),
        got=("10:00 p1-p3", "10:15 p4-p6"),
        counts={"expired": 4},
    ),
    Case(
        "held before it begins: the first batch at the release, the others on the grid of its time",
        schedule={"at": "2040-06-04T12:00:00Z", "throttle": THREES},
        steps=("10:00 send", "11:00 hold", "12:20 release"),
        got=("12:20 p1-p3", "12:30 p4-p6", "12:45 p7-p9", "13:00 p10"),
    ),
    Case(
        "no mail server for a while: the batch is late, the turns stay",
        steps=("10:00 send", "10:14 next-hop leaves", "10:19:30 next-hop returns"),
        got=("10:00 p1-p3", "10:20 p4-p6", "10:30 p7-p9", "10:45 p10"),
    ),
    Case(
        "a batch that outlasts the interval: the turn in it is missed",
        steps=("10:00 send", "10:14 next-hop leaves", "10:34:30 next-hop returns"),
        got=("10:00 p1-p3", "10:35 p4-p6", "10:45 p7-p9", "11:00 p10"),
    ),
    Case(
        "a number of batches, with a remainder",
        schedule={"throttle": {"max_batches": 4, "every": "15m"}},
        steps=("10:00 send",),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7-p8", "10:45 p9-p10"),
    ),
    Case(
        "more batches than people",
        audience={"p1-p2": None},
        schedule={"throttle": {"max_batches": 5, "every": "15m"}},
        steps=("10:00 send",),
        got=("10:00 p1", "10:15 p2"),
    ),
    Case(
        "a number of batches: joiners are spread over those that are left",
        schedule={"throttle": {"max_batches": 4, "every": "15m"}},
        steps=("10:00 send", "10:20 pause", "10:21 join j1-j4", "10:25 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7-p10", "10:45 j1-j4"),
    ),
    Case(
        "a number of batches: who joins in the last one goes in one more",
        audience={"p1-p4": None},
        schedule={"throttle": {"max_batches": 2, "every": "15m"}},
        steps=("10:00 send", "10:15 pause after 1", "10:16 join j1-j2", "10:20 resume"),
        got=("10:00 p1-p2", "10:15 p3", "10:20 p4", "10:30 j1-j2"),
    ),
    Case(
        "joiners never enter the interrupted batch, and stand behind all others",
        steps=("10:00 send", "10:30 pause after 1", "10:35 join j1-j3", "10:40 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7", "10:40 p8-p9", "10:45 p10 j1-j2", "11:00 j3"),
    ),
    Case(
        "leavers of the interrupted batch are not replaced",
        steps=("10:00 send", "10:30 pause after 1", "10:35 leave p8", "10:40 resume"),
        got=("10:00 p1-p3", "10:15 p4-p6", "10:30 p7", "10:40 p9", "10:45 p10"),
        counts={"withdrawn": 1},
    ),
    Case(
        "suppressed ones of a batch are not replaced",
        steps=("10:00 send", "10:05 suppress p5"),
        got=("10:00 p1-p3", "10:15 p4 p6", "10:30 p7-p9", "10:45 p10"),
        counts={"suppressed": 1},
    ),
    Case(
        "who left and came back stands with the joiners, not in a batch long closed",
        steps=(
            *("10:00 send", "10:15 pause after 1", "10:16 leave p5", "10:17 resume"),
            *("10:18 pause", "10:19 return p5", "10:20 resume"),
        ),
        got=("10:00 p1-p3", "10:15 p4", "10:17 p6", "10:30 p7-p9", "10:45 p10 p5"),
    ),
    Case(
        "joiners after the end date expire with the rest",
        schedule={"throttle": UNTIL_ELEVEN},
        steps=("10:00 send", "10:15 pause after 1", "10:20 join j1-j2", "11:20 resume"),
        got=("10:00 p1-p3", "10:15 p4", "11:20 p5-p6"),
        counts={"expired": 6},
    ),
    Case(
        "by zones: each zone's instant is the earliest, the turns decide the rest",
        audience={"t1-t5": "Asia/Tokyo", "o1-o2": "Europe/Oslo", "n1-n4": "America/New_York"},
        schedule=NINE_O_CLOCK,
        steps=("10:00 send",),
        got=("+1d 00:00 t1-t3", "+1d 00:15 t4-t5", "+1d 07:00 o1-o2", "+1d 13:00 n1-n3", "+1d 13:15 n4"),
    ),
    Case(
        "by zones: an instant between two turns waits for the next",
        audience={"t1": "Asia/Tokyo", "k1-k2": "Asia/Kathmandu", "i1": "Asia/Kolkata"},
        schedule=NINE_O_CLOCK | {"throttle": {"batch_size": 3, "every": "1h"}},
        steps=("10:00 send",),
        got=("+1d 00:00 t1", "+1d 04:00 k1-k2 i1"),
    ),
    Case(
        "by zones: a batch takes from several zones, the earlier first",
        audience={"o1-o4": "Europe/Oslo", "t1-t4": "Asia/Tokyo"},
        schedule=NINE_O_CLOCK,
        steps=("10:00 send", "+1d 00:05 pause", "+1d 08:02 resume"),
        got=("+1d 00:00 t1-t3", "+1d 08:15 t4 o1-o2", "+1d 08:30 o3-o4"),
    ),
    Case(
        "by zones: paused inside a batch, with joiners of a passed zone",
        audience={"t1-t4": "Asia/Tokyo", "o1-o2": "Europe/Oslo"},
        schedule=NINE_O_CLOCK,
        steps=("10:00 send", "+1d 00:00 pause after 2", "+1d 00:20 join j1 in Asia/Tokyo", "+1d 00:25 resume"),
        got=("+1d 00:00 t1-t2", "+1d 00:25 t3", "+1d 00:30 t4 j1", "+1d 07:00 o1-o2"),
    ),
    Case(
        "by zones: the end date comes before the last zones",
        audience={"t1-t4": "Asia/Tokyo", "o1-o2": "Europe/Oslo", "n1-n4": "America/New_York"},
        schedule=NINE_O_CLOCK | {"throttle": THREES | {"ends_at": "2040-06-05T13:10:00Z"}},
        steps=("10:00 send",),
        got=("+1d 00:00 t1-t3", "+1d 00:15 t4", "+1d 07:00 o1-o2", "+1d 13:00 n1-n3"),
        counts={"expired": 1},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_throttled_send(virtual: VirtualHarness, case: Case) -> None:
    async with AsyncExitStack() as workers:
        story = Story(virtual, workers)
        await story.play(case.audience, case.schedule, case.steps)
    assert story.got == deliveries(*case.got)
    await story.assert_counts(deliveries(*case.got), case.counts)
    assert await virtual.status(story.message_id) is MessageStatus.SENT
