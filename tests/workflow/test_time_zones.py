"""Sends at the same wall-clock time in each contact's own zone: who gets it at which instant is typed, not computed.

The clocks of 2040: summer time begins on 25 March and ends on 28 October in Europe, on 11 March and 4 November in the
United States; on Lord Howe Island, where it is half an hour, it ends on 1 April and begins on 7 October.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from models.message import MessageStatus
from tests.workflow.story import Story, deliveries
from tests.workflow.virtual import VirtualHarness


@dataclass
class Case:
    """`at` in each contact's own zone; `counts` are those that are not 0 in the end, besides sent and total."""

    name: str
    at: str
    audience: Mapping[str, str | None]
    steps: tuple[str, ...]
    got: tuple[str, ...]
    schedule: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


CASES = [
    Case(
        "once around the world, in 26 hours",
        at="2040-06-05T09:00",
        audience={
            "a1": "Pacific/Kiritimati",  # UTC+14
            "b1": "Pacific/Chatham",  # +12:45 in its winter
            "c1": "Australia/Lord_Howe",  # +10:30 in its winter
            "d1-d2": "Asia/Tokyo",  # +9
            "e1": "Asia/Seoul",  # +9: the same slot
            "f1": "Asia/Kathmandu",  # +5:45
            "g1": "Asia/Kolkata",  # +5:30
            "h1": "Europe/Oslo",  # +2 in summer
            "i1": "Africa/Lagos",  # +1
            "j1": None,  # UTC, the fallback
            "k1": "Mars/Olympus",  # no zone: UTC, too
            "l1": "America/New_York",  # -4 in summer
            "m1": "Etc/GMT+12",  # -12
        },
        steps=("2040-06-01T10:00 send",),
        got=(
            "2040-06-04T19:00 a1",
            "2040-06-04T20:15 b1",
            "2040-06-04T22:30 c1",
            "2040-06-05T00:00 d1-d2 e1",
            "2040-06-05T03:15 f1",
            "2040-06-05T03:30 g1",
            "2040-06-05T07:00 h1",
            "2040-06-05T08:00 i1",
            "2040-06-05T09:00 j1 k1",
            "2040-06-05T13:00 l1",
            "2040-06-05T21:00 m1",
        ),
    ),
    Case(
        "a spring gap: 02:30 does not exist in Oslo, and is 03:30",
        at="2040-03-25T02:30",
        audience={
            "o1": "Europe/Oslo",
            "l1": "Africa/Lagos",  # +1 all the year: the same instant
            "t1": "Asia/Tokyo",
            "n1": "America/New_York",  # in summer time since 11 March
        },
        steps=("2040-03-20T10:00 send",),
        got=("2040-03-24T17:30 t1", "2040-03-25T01:30 o1 l1", "2040-03-25T06:30 n1"),
    ),
    Case(
        "an autumn overlap: 02:30 comes twice in Oslo, and the first is meant",
        at="2040-10-28T02:30",
        audience={
            "o1": "Europe/Oslo",
            "l1": "Europe/London",  # 02:30 comes once there: the clocks went back at 02:00
            "n1": "America/New_York",  # still in summer time
        },
        steps=("2040-10-20T10:00 send",),
        got=("2040-10-28T00:30 o1", "2040-10-28T02:30 l1", "2040-10-28T06:30 n1"),
    ),
    Case(
        "half an hour of summer time: the gap of Lord Howe",
        at="2040-10-07T02:15",
        audience={"h1": "Australia/Lord_Howe", "b1": "Australia/Brisbane"},
        steps=("2040-10-01T10:00 send",),
        got=("2040-10-06T15:45 h1", "2040-10-06T16:15 b1"),
    ),
    Case(
        "half an hour of summer time: the overlap of Lord Howe",
        at="2040-04-01T01:45",
        audience={"h1": "Australia/Lord_Howe", "b1": "Australia/Brisbane"},
        steps=("2040-03-28T10:00 send",),
        got=("2040-03-31T14:45 h1", "2040-03-31T15:45 b1"),
    ),
    Case(
        "the clocks change between the send and its time",
        at="2040-03-11T09:00",
        audience={"n1": "America/New_York", "p1": "America/Phoenix"},
        steps=("2040-03-10T20:00 send",),
        got=("2040-03-11T13:00 n1", "2040-03-11T16:00 p1"),
    ),
    Case(
        "the fallback zone that the send names",
        at="2040-06-05T09:00",
        audience={"j1": None, "k1": "Mars/Olympus", "t1": "Asia/Tokyo"},
        schedule={"fallback_time_zone": "Asia/Kathmandu"},
        steps=("2040-06-01T10:00 send",),
        got=("2040-06-05T00:00 t1", "2040-06-05T03:15 j1 k1"),
    ),
    Case(
        "passed zones go at once",
        at="2040-06-04T12:00",
        audience={"t1-t2": "Asia/Tokyo", "o1": "Europe/London", "n1": "America/New_York"},
        steps=("2040-06-04T10:00 send",),
        got=("2040-06-04T10:00 t1-t2", "2040-06-04T11:00 o1", "2040-06-04T16:00 n1"),
    ),
    Case(
        "passed zones on the next day",
        at="2040-06-04T12:00",
        audience={"t1-t2": "Asia/Tokyo", "o1": "Europe/London", "n1": "America/New_York"},
        schedule={"passed_zones": "next_day"},
        steps=("2040-06-04T10:00 send",),
        got=("2040-06-04T11:00 o1", "2040-06-04T16:00 n1", "2040-06-05T03:00 t1-t2"),
    ),
    Case(
        "passed zones are skipped",
        at="2040-06-04T12:00",
        audience={"t1-t2": "Asia/Tokyo", "o1": "Europe/London", "n1": "America/New_York"},
        schedule={"passed_zones": "skip"},
        steps=("2040-06-04T10:00 send",),
        got=("2040-06-04T11:00 o1", "2040-06-04T16:00 n1"),
        counts={"expired": 2},
    ),
    Case(
        "who joins in a zone before the others, after the send and before it begins, is not late",
        at="2040-06-05T09:00",
        audience={"n1": "America/New_York"},
        steps=("2040-06-01T10:00 send", "2040-06-03T10:00 join t1 in Asia/Tokyo"),
        got=("2040-06-05T00:00 t1", "2040-06-05T13:00 n1"),
    ),
    Case(
        "a pause over some zones: they go at once, the others at their own instants",
        at="2040-06-05T09:00",
        audience={"t1": "Asia/Tokyo", "k1": "Asia/Kathmandu", "o1": "Europe/Oslo", "n1": "America/New_York"},
        steps=("2040-06-01T10:00 send", "2040-06-05T01:00 pause", "2040-06-05T08:10 resume"),
        got=("2040-06-05T00:00 t1", "2040-06-05T08:10 k1 o1", "2040-06-05T13:00 n1"),
    ),
    Case(
        "joiners of zones that have passed, are to come, and were not in the audience; leavers; edited zones",
        at="2040-06-05T09:00",
        audience={"t1": "Asia/Tokyo", "o1-o3": "Europe/Oslo", "n1-n3": "America/New_York"},
        steps=(
            "2040-06-01T10:00 send",
            "2040-06-05T01:00 pause",
            "2040-06-05T01:10 join t2 in Asia/Tokyo",
            "2040-06-05T01:11 join n4 in America/New_York",
            "2040-06-05T01:12 join k1 in Asia/Kathmandu",
            "2040-06-05T01:13 join l1 in America/Los_Angeles",
            "2040-06-05T01:14 leave o2",
            "2040-06-05T01:15 move o3 to America/New_York",
            "2040-06-05T01:16 move n3 to Asia/Tokyo",
            "2040-06-05T05:00 resume",
        ),
        got=(
            "2040-06-05T00:00 t1",
            "2040-06-05T05:00 t2 k1 n3",
            "2040-06-05T07:00 o1",
            "2040-06-05T13:00 n1-n2 n4 o3",
            "2040-06-05T16:00 l1",
        ),
        counts={"withdrawn": 1},
    ),
    Case(
        "a zone edited in mid-send without a pause: the recipient keeps the instant",
        at="2040-06-05T09:00",
        audience={"t1": "Asia/Tokyo", "n1": "America/New_York"},
        steps=("2040-06-01T10:00 send", "2040-06-05T01:00 move n1 to Europe/Oslo"),
        got=("2040-06-05T00:00 t1", "2040-06-05T13:00 n1"),
    ),
    Case(
        "held over some zones: as in a pause",
        at="2040-06-05T09:00",
        audience={"t1": "Asia/Tokyo", "o1": "Europe/Oslo", "n1": "America/New_York"},
        steps=("2040-06-01T10:00 send", "2040-06-05T01:00 hold", "2040-06-05T08:10 release"),
        got=("2040-06-05T00:00 t1", "2040-06-05T08:10 o1", "2040-06-05T13:00 n1"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_send_by_time_zones(virtual: VirtualHarness, case: Case) -> None:
    schedule = {"at": case.at, "time_zone": "contact", **case.schedule}
    async with AsyncExitStack() as workers:
        story = Story(virtual, workers)
        await story.play(case.audience, schedule, case.steps)
    assert story.got == deliveries(*case.got)
    await story.assert_counts(deliveries(*case.got), case.counts)
    assert await virtual.status(story.message_id) is MessageStatus.SENT


async def test_one_zone_for_all(virtual: VirtualHarness) -> None:
    async with AsyncExitStack() as workers:
        story = Story(virtual, workers)
        schedule = {"at": "2040-03-25T02:30", "time_zone": "Europe/Oslo"}
        await story.play({"t1": "Asia/Tokyo", "o1": "Europe/Oslo"}, schedule, ["2040-03-20T10:00 send"])
    assert story.got == deliveries("2040-03-25T01:30 t1 o1")
