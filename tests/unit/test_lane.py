"""The rules of a lane, each broken on purpose by a ledger or a next hop that misbehaves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from activities import delivery
from activities.delivery import Lane
from activities.lease import Lease
from activities.ports import Email, OneByOne, Permit, RenderingFailed
from activities.requests import LaneRequest
from models.ledger import LaneEnd
from models.recipient import ClaimedRecipient, Outcome, Place, Verdict
from models.retry import RetryRule
from tests.eventually import eventually

LEASE = timedelta(seconds=30)
DUE = datetime(2030, 1, 7, 9, tzinfo=UTC)


class Book:
    """A ledger in memory that writes down what it is asked."""

    def __init__(self, recipients: int, *, attempts: int = 1) -> None:
        self.waiting = list(range(1, recipients + 1))
        self.calls: list[tuple[str, Any]] = []
        self.counted: list[tuple[str, str]] = []  # which counters each call added to
        self.failures: dict[str, list[Exception]] = {}
        self.settled: dict[int, Outcome] = {}
        self.uncounted: set[int] = set()
        self.limits: list[timedelta] = []  # answered before anything is claimed
        self.asked_for: list[int] = []
        self.asked_behind: list[Place | None] = []
        self.next_tries: dict[int, datetime | None] = {}
        self.given_back: list[int] = []
        self.renewals = 1
        self.claims_before_it_closes: int | None = None
        self.closed: LaneEnd = LaneEnd.GATE_CLOSED
        self.refusals = 0
        self.takes_back = False  # whether those given back wait again
        self.at_claim: Callable[[], object] = lambda: None  # called while a claim is being made
        self._attempts = attempts
        self._held: dict[UUID, list[int]] = {}

    def fail(self, call: str, *errors: Exception) -> None:
        self.failures[call] = list(errors)

    def _note(self, call: str, what: Any = None) -> None:
        self.calls.append((call, what))
        if self.failures.get(call):
            raise self.failures[call].pop(0)

    async def claim(
        self,
        message_id: str,
        generation: int,
        lane: str,
        *,
        as_of: datetime,
        most: int,
        token: UUID,
        lease: timedelta,
        after: Place | None = None,
    ) -> list[ClaimedRecipient] | LaneEnd | timedelta:
        if self.limits:
            return self.limits.pop()
        if len(self.asked_for) == self.claims_before_it_closes:
            self.refusals += 1
            return self.closed
        self.asked_for.append(most)
        self.asked_behind.append(after)
        self.counted.append(("claim", lane))
        taken, self.waiting = self.waiting[:most], self.waiting[most:]
        self._held[token] = taken
        self._note("claim", token)
        self.at_claim()
        if not taken:
            return LaneEnd.NOTHING_DUE
        return [
            ClaimedRecipient(n, f"r{n}@example.com", self._attempts, None, {}, place=(DUE, n)) for n in reversed(taken)
        ]

    async def settle(
        self,
        message_id: str,
        lane: str,
        token: UUID,
        outcomes: Sequence[tuple[int, Outcome, datetime | None]],
        *,
        uncounted: Collection[int] = (),
    ) -> int:
        self.uncounted |= set(uncounted)
        self.counted.append(("settle", lane))
        self._note("settle", [contact_id for contact_id, _, _ in outcomes])
        for contact_id, outcome, next_try_at in outcomes:
            self.settled[contact_id] = outcome
            self.next_tries[contact_id] = next_try_at
        return len(outcomes)

    async def give_back(self, message_id: str, lane: str, token: UUID, contact_ids: Sequence[int] | None) -> int:
        self._note("give_back", contact_ids)
        given = self._held[token] if contact_ids is None else contact_ids
        self.given_back += given
        if self.takes_back:
            self.waiting += given
        return len(given)

    async def renew(self, message_id: str, tokens: Sequence[UUID], lease: timedelta) -> int:
        self._note("renew")
        return self.renewals


class Hop(OneByOne):
    """A next hop that answers as it is told, for each recipient."""

    def __init__(self, answer: Callable[[str], Outcome] = lambda _: Outcome(Verdict.SENT)) -> None:
        self.answer = answer
        self.begun: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def hand_over(self, email: Email, permit: Permit) -> Outcome:
        if not permit.may_start():
            return Outcome(Verdict.NOT_HANDED_OVER)
        self.begun.append(email.recipient)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            return Outcome(Verdict.IN_DOUBT)
        return self.answer(email.recipient)


class Letter:
    """A compiled message that fails for whom it is told to."""

    def __init__(self, *, fails_for: Sequence[int] = ()) -> None:
        self._fails_for = fails_for

    def render(self, recipient: ClaimedRecipient) -> Email:
        if recipient.contact_id in self._fails_for:
            raise RenderingFailed("division by zero")
        return Email("news@example.com", recipient.address, b"")


def lane_of(
    book: Book,
    hop: Hop,
    *,
    window: int = 10,
    lease: timedelta = LEASE,
    letter: Letter | None = None,
    most: int | None = None,
) -> Lane:
    request = LaneRequest(
        message_id="m",
        generation=1,
        lane="1.0",
        as_of=datetime.now(UTC),
        window=window,
        slice_length=timedelta(seconds=60),
        most=most,
    )
    return Lane(request, letter or Letter(), book, hop, lease=lease, conversations=16)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat at once: what is under test is that it is repeated."""
    monkeypatch.setattr(delivery, "_REPEAT_AFTER_SECONDS", 0.001)
    monkeypatch.setattr(delivery, "_FIRST_REST_SECONDS", 0.001)


async def test_windows_are_taken_until_nothing_is_due() -> None:
    book = Book(25)
    report = await lane_of(book, Hop()).run()
    assert report.end is LaneEnd.NOTHING_DUE
    assert report.settled == {"sent": 25}
    assert sorted(book.settled) == list(range(1, 26))
    assert Counter(call for call, _ in book.calls) == {"claim": 4, "settle": 3}


async def test_each_claim_goes_on_behind_the_one_before() -> None:
    book = Book(25)
    await lane_of(book, Hop()).run()
    assert book.asked_behind == [None, (DUE, 10), (DUE, 20), (DUE, 25)]


async def test_now_and_then_a_claim_begins_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who were given back, or resent, before the place that the lane has come to."""
    monkeypatch.setattr(delivery, "_FORGET_PLACE_AFTER_SECONDS", 0.0)
    book = Book(25)
    await lane_of(book, Hop()).run()
    assert book.asked_behind == [None] * 4


async def test_two_windows_overlap_and_never_more() -> None:
    """So many rows can be in doubt when the process dies."""
    book, hop = Book(100), Hop()
    hop.gate.clear()
    running = asyncio.create_task(lane_of(book, hop).run())
    await eventually(lambda: len(hop.begun) == 20)
    assert [call for call, _ in book.calls] == ["claim", "claim"]
    hop.gate.set()
    assert (await running).settled == {"sent": 100}
    unsettled = 0
    for call, _ in book.calls:
        unsettled += {"claim": 1, "settle": -1}[call]
        assert unsettled <= 2


async def test_windows_that_overlap_never_share_counters() -> None:
    """They would wait for each other's commit."""
    book = Book(100)
    await lane_of(book, Hop()).run()
    held: set[str] = set()
    for call, counters in book.counted:
        if call == "claim":
            assert counters not in held
            held.add(counters)
        else:
            held.remove(counters)


async def test_a_claim_that_takes_nobody_leaves_the_counters_of_an_open_window_alone() -> None:
    """Under a rate limit it would hold the buckets that the give-back of that window waits for, and wait for it."""
    book, hop = Book(20), Hop()
    hop.gate.clear()
    book.at_claim = lambda: book.limits.append(timedelta(0))  # every other claim is told to wait
    running = asyncio.create_task(lane_of(book, hop).run())
    await eventually(lambda: len(hop.begun) == 20)
    assert len({counters for _, counters in book.counted}) == 2
    hop.gate.set()
    assert (await running).settled == {"sent": 20}


async def test_a_settle_is_repeated_until_it_succeeds_and_nothing_is_claimed_before() -> None:
    book = Book(95)
    book.fail("settle", OSError("gone"), OSError("still gone"), OSError("nearly back"))
    await lane_of(book, Hop()).run()
    calls = [call for call, _ in book.calls]
    failed_at = calls.index("settle")
    assert calls[failed_at : failed_at + 4].count("settle") >= 3
    assert "claim" not in calls[failed_at + 1 : failed_at + 4]
    assert len(book.settled) == 95


async def test_a_claim_whose_answer_was_lost_is_given_back_by_its_token() -> None:
    book = Book(5)
    book.fail("claim", OSError("the answer was lost"))
    with pytest.raises(OSError, match="lost"):
        await lane_of(book, Hop()).run()
    assert book.given_back == [1, 2, 3, 4, 5]
    assert not book.settled


async def test_stopped_it_finishes_what_runs_and_gives_back_the_rest() -> None:
    book, hop = Book(30), Hop()
    hop.gate.clear()
    lane = lane_of(book, hop)
    running = asyncio.create_task(lane.run())
    await eventually(lambda: len(hop.begun) == 20)
    lane.stop()
    hop.gate.set()
    report = await running
    assert report.end is LaneEnd.STOPPED
    assert report.settled == {"sent": 20}
    assert len(book.waiting) == 10


async def test_when_the_lease_is_lost_conversations_are_aborted() -> None:
    """Whose final dot was written is in doubt; the others are given back."""
    book, hop = Book(4), Hop()
    book.renewals = 0  # the database no longer knows the claim
    hop.gate.clear()
    lane = lane_of(book, hop, lease=timedelta(seconds=0.3))
    await asyncio.wait_for(lane.run(), 10)
    assert {outcome.verdict for outcome in book.settled.values()} == {Verdict.IN_DOUBT}


async def test_without_a_server_everybody_is_given_back_and_the_lane_ends() -> None:
    book, hop = Book(20), Hop(lambda _: Outcome(Verdict.NO_SERVER, reply="421 <r1@example.com> too many"))
    report = await lane_of(book, hop).run()
    assert report.end is LaneEnd.NO_SERVER
    assert report.given_back == 20
    assert report.last_reply == "421 (address) too many"  # it goes into Temporal's history
    assert Counter(call for call, _ in book.calls) == {"claim": 2, "give_back": 2}


async def test_one_whose_template_fails_has_failed_and_the_others_are_sent() -> None:
    book = Book(3)
    await lane_of(book, Hop(), letter=Letter(fails_for=[2])).run()
    assert book.settled[2] == Outcome(Verdict.FAILED, reply="division by zero")
    assert [book.settled[n].verdict for n in (1, 3)] == [Verdict.SENT, Verdict.SENT]


async def test_refused_for_now_is_tried_again_later_and_given_up_in_the_end() -> None:
    refused = Hop(lambda _: Outcome(Verdict.DEFERRED, smtp_code=450, reply="later"))
    book = Book(1)
    await lane_of(book, refused).run()
    assert book.settled[1].verdict is Verdict.DEFERRED
    next_try_at = book.next_tries[1]
    assert next_try_at is not None
    assert timedelta(seconds=50) < next_try_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert book.uncounted == set()
    book = Book(1, attempts=RetryRule().tries)
    await lane_of(book, refused).run()
    assert book.settled[1].verdict is Verdict.FAILED
    assert "gave up" in (book.settled[1].reply or "")


async def test_a_next_hop_that_is_busy_is_asked_for_less_and_its_refusals_do_not_count() -> None:
    busy = [True]

    def answer(recipient: str) -> Outcome:
        return Outcome(Verdict.DEFERRED, smtp_code=451, reply="busy") if busy else Outcome(Verdict.SENT)

    book = Book(100, attempts=RetryRule().tries)
    lane = lane_of(book, Hop(answer), window=32)
    running = asyncio.create_task(lane.run())
    await eventually(lambda: book.asked_for[-1:] == [4])
    busy.clear()
    report = await running
    assert book.uncounted == {n for n, outcome in book.settled.items() if outcome.verdict is Verdict.DEFERRED}
    assert set(report.settled) == {"deferred", "sent"}
    assert book.asked_for[:4] == [32, 32, 8, 4] or book.asked_for[:5] == [32, 32, 16, 8, 4]
    assert max(book.asked_for[-4:]) > 4


async def test_one_greylisted_recipient_does_not_slow_the_others_down() -> None:
    book = Book(100)
    hop = Hop(lambda r: Outcome(Verdict.DEFERRED, smtp_code=451) if r == "r7@example.com" else Outcome(Verdict.SENT))
    await lane_of(book, hop, window=32).run()
    assert set(book.asked_for) == {32}
    assert book.uncounted == {7}


async def test_under_a_rate_limit_it_waits_as_long_as_it_is_told_and_a_stop_ends_the_wait() -> None:
    book = Book(10)
    book.limits = [timedelta(milliseconds=1), timedelta(milliseconds=2)]
    assert (await lane_of(book, Hop()).run()).settled == {"sent": 10}
    book.limits = [timedelta(hours=1)]
    lane = lane_of(book, Hop())
    running = asyncio.create_task(lane.run())
    await eventually(lambda: not book.limits)
    lane.stop()
    assert (await asyncio.wait_for(running, 5)).end is LaneEnd.STOPPED


async def test_it_comes_back_when_most_emails_fail_or_when_it_was_asked_for_few() -> None:
    """So that the workflow looks before a million have bounced."""
    book = Book(5_000)
    await lane_of(book, Hop(lambda _: Outcome(Verdict.BOUNCED, smtp_code=550)), window=50).run()
    assert 500 <= len(book.settled) <= 600
    book = Book(5_000)
    await lane_of(book, Hop(), window=50, most=120).run()
    assert 120 <= len(book.settled) <= 200


def test_a_lease_is_not_used_in_its_last_fifteenth() -> None:
    now = 100.0
    lease = Lease(timedelta(seconds=30), clock=lambda: now)
    assert lease.usable_seconds() == pytest.approx(28)
    now = 127.9
    assert lease.is_usable()
    lease.renewed(asked_at=110.0)
    assert lease.usable_seconds() == pytest.approx(10.1)
    now = 138.0
    assert not lease.is_usable()
    lease.renewed(asked_at=130.0)
    lease.lose()
    assert not lease.is_usable()
