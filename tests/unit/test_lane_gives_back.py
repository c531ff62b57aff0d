"""What a lane gives back at once: when it is stopped, told to look again, or finds the gate closed."""

from __future__ import annotations

import asyncio

import pytest

from activities.delivery import Lane
from models.ledger import LaneEnd, LaneReport
from tests.eventually import eventually
from tests.unit.test_lane import Book, Hop, lane_of


async def in_the_middle(book: Book, hop: Hop) -> tuple[Lane, asyncio.Task[LaneReport]]:
    """A lane with 128 claimed, 32 of them begun; the next hop is silent until its gate is set."""
    hop.gate.clear()
    lane = lane_of(book, hop, window=64)
    running = asyncio.create_task(lane.run())
    await eventually(lambda: len(hop.begun) == 32)
    return lane, running


async def test_stopped_with_more_claimed_than_there_are_connections_it_gives_those_back() -> None:
    book, hop = Book(300), Hop()
    lane, running = await in_the_middle(book, hop)
    lane.stop()
    hop.gate.set()
    report = await running
    assert (report.settled, report.given_back) == ({"sent": 32}, 96)
    assert len(book.given_back) == len(set(book.given_back)) == 96
    assert not set(book.given_back) & set(book.settled)


async def test_told_to_look_again_it_gives_back_what_is_not_begun_and_asks() -> None:
    """The gate may have closed: what the ledger then answers is what counts."""
    book, hop = Book(300), Hop()
    lane, running = await in_the_middle(book, hop)
    book.claims_before_it_closes = 2
    lane.look_again()
    hop.gate.set()
    report = await running
    assert (report.end, report.settled, report.given_back) == (LaneEnd.GATE_CLOSED, {"sent": 32}, 96)


async def test_told_to_look_again_for_nothing_it_goes_on_with_those_given_back() -> None:
    book, hop = Book(300), Hop()
    book.takes_back = True
    lane, running = await in_the_middle(book, hop)
    lane.look_again()
    hop.gate.set()
    report = await running
    assert (report.end, report.settled, report.given_back) == (LaneEnd.NOTHING_DUE, {"sent": 300}, 96)
    assert book.asked_behind[2] is None  # they stand before the place that it had come to


async def test_a_window_that_was_asked_for_before_it_was_told_begins_nothing() -> None:
    """Its claim was made before the gate closed, and its answer came after the news."""
    book, hop = Book(10), Hop()
    lane = lane_of(book, hop)
    book.claims_before_it_closes = 1
    book.at_claim = lane.look_again
    report = await lane.run()
    assert (hop.begun, report.given_back, report.end) == ([], 10, LaneEnd.GATE_CLOSED)


@pytest.mark.parametrize("closed", [LaneEnd.GATE_CLOSED, LaneEnd.HELD])
async def test_a_claim_that_finds_the_gate_closed_has_the_window_before_it_given_back(closed: LaneEnd) -> None:
    book, hop = Book(64), Hop()
    hop.gate.clear()
    book.claims_before_it_closes, book.closed = 1, closed
    running = asyncio.create_task(lane_of(book, hop, window=64).run())
    await eventually(lambda: book.refusals == 1 and len(hop.begun) == 16)
    hop.gate.set()
    report = await running
    assert (report.end, report.settled, report.given_back) == (closed, {"sent": 16}, 48)
