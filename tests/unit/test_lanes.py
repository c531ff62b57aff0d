"""The lanes of a slice: which are started again, and what is told of all of them."""

from __future__ import annotations

import asyncio
from typing import cast

from models.ledger import LaneEnd, LaneReport
from workflows.lanes import Lane, Lanes


def report(end: LaneEnd, sent: int) -> LaneReport:
    return LaneReport(end=end, settled={"sent": sent})


async def test_a_lane_whose_worker_ends_is_started_again_while_others_go_on() -> None:
    """Else its share of the rate is missed until the slice of the others is over, a minute."""
    started: list[tuple[int, asyncio.Future[LaneReport]]] = []

    def start(place: int) -> Lane:
        lane: asyncio.Future[LaneReport] = asyncio.get_running_loop().create_future()
        started.append((place, lane))
        return cast(Lane, lane)

    lanes = Lanes(2, start)
    assert not lanes.need_replacing
    started[1][1].set_result(report(LaneEnd.STOPPED, 3))
    assert lanes.need_replacing
    lanes.replace()
    assert [place for place, _ in started] == [0, 1, 1]
    assert not lanes.need_replacing
    started[0][1].set_result(report(LaneEnd.SLICE_OVER, 5))
    assert not lanes.are_back
    started[2][1].set_exception(RuntimeError())
    assert lanes.are_back
    assert not lanes.need_replacing
    assert sorted(each.settled["sent"] for each in lanes.reports()) == [3, 5]


async def test_a_lane_that_ended_by_itself_is_not_started_again() -> None:
    lane: asyncio.Future[LaneReport] = asyncio.get_running_loop().create_future()
    other: asyncio.Future[LaneReport] = asyncio.get_running_loop().create_future()
    lanes = Lanes(2, lambda place: cast(Lane, [lane, other][place]))
    lane.set_result(report(LaneEnd.NOTHING_DUE, 1))
    assert not lanes.need_replacing
    other.set_result(report(LaneEnd.STOPPED, 1))
    assert lanes.are_back
    assert not lanes.need_replacing  # all are back: the next look decides
