"""A lane when time runs out under it, or when something breaks that nobody foresaw: who is in doubt, and who is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from activities import delivery
from activities.lease import Lease
from activities.ports import Bag, Email, Permit
from models.ledger import LaneEnd, LaneReport
from models.recipient import ClaimedRecipient, Outcome, Verdict
from tests.clock import Clock
from tests.eventually import eventually
from tests.unit.test_lane import LEASE, Book, Hop, Letter, lane_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(delivery, "Lease", partial(Lease, clock=made))
    monkeypatch.setattr(delivery, "lease_clock", made)
    return made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_REPEAT_AFTER_SECONDS", 0.001)


async def ended(running: asyncio.Task[LaneReport]) -> None:
    """Wait until a lane has ended. Not by wait_for: a lane that goes on is not ended by being canceled."""
    done, _ = await asyncio.wait({running}, timeout=10)
    assert done, "it goes on"


class SlowBook(Book):
    """A ledger that answers a claim late."""

    def __init__(self, recipients: int, before_the_answer: Callable[[], None]) -> None:
        super().__init__(recipients)
        self._before_the_answer = before_the_answer

    async def claim(self, *args: Any, **options: Any) -> Any:
        claimed = await super().claim(*args, **options)
        self._before_the_answer()
        return claimed


async def test_a_lease_counts_from_before_the_claim_was_asked_for(clock: Clock) -> None:
    """The answer came so late that the claim may lapse at any moment: nobody is begun, everybody is given back."""

    late = [LEASE.total_seconds()]  # the first answer alone

    def passes() -> None:
        clock.now += late.pop() if late else 0

    book, hop = SlowBook(5, passes), Hop()
    report = await lane_of(book, hop).run()
    assert hop.begun == []
    assert sorted(book.given_back) == [1, 2, 3, 4, 5]
    assert report.settled == {}


async def test_no_body_is_written_when_the_lease_ran_out_in_the_conversation(clock: Clock) -> None:
    written: list[bool] = []

    class Slow(Hop):
        async def hand_over(self, email: Email, permit: Permit) -> Outcome:
            clock.now += LEASE.total_seconds()
            written.append(permit.may_write_body())
            return Outcome(Verdict.NOT_HANDED_OVER)

    await lane_of(Book(1), Slow()).run()
    assert written == [False]


async def test_while_one_window_cannot_be_settled_nothing_is_claimed_however_the_other_fares() -> None:
    class Deaf(Book):
        """Takes no settle of the second window, and that of the first when it has refused one."""

        def __init__(self) -> None:
            super().__init__(95)
            self.refused = asyncio.Event()
            self.hears = False
            self.tries = 0

        async def settle(self, message_id: str, lane: str, token: UUID, outcomes: Sequence[Any], **options: Any) -> int:
            if lane == "1.0.1" and not self.hears:
                self.tries += 1
                self.refused.set()
                raise OSError("gone")
            await self.refused.wait()
            return await super().settle(message_id, lane, token, outcomes, **options)

    book = Deaf()
    running = asyncio.create_task(lane_of(book, Hop()).run())
    await eventually(lambda: len(book.settled) == 10)
    await eventually(lambda: book.tries > 7)
    assert len(book.asked_for) == 2
    book.hears = True
    assert (await running).settled == {"sent": 95}


async def test_a_database_that_does_not_answer_is_asked_again_within_the_lease() -> None:
    """Over a fresh connection: this one may have vanished without a word."""

    class Silent(Book):
        silent = True

        async def settle(self, *args: Any, **options: Any) -> int:
            if self.silent:
                self.silent = False
                await asyncio.Event().wait()
            return await super().settle(*args, **options)

    book = Silent(3)
    report = await asyncio.wait_for(lane_of(book, Hop(), lease=timedelta(seconds=0.1)).run(), 20)
    assert report.settled == {"sent": 3}
    assert len(book.settled) == 3


async def test_a_claim_that_is_never_answered_is_given_up_and_back_with_the_lease() -> None:
    class Silent(Book):
        async def claim(self, *args: Any, **options: Any) -> Any:
            await super().claim(*args, **options)
            await asyncio.Event().wait()

    book = Silent(3)
    running = asyncio.create_task(lane_of(book, Hop(), lease=timedelta(seconds=0.2)).run())
    await ended(running)
    with pytest.raises(TimeoutError):
        await running
    assert book.given_back == [1, 2, 3]


async def test_a_renewal_that_is_never_answered_ends_with_the_lease() -> None:
    class Silent(Book):
        async def renew(self, *args: Any, **options: Any) -> int:
            await asyncio.Event().wait()
            return 1

    book, hop = Silent(2), Hop()
    hop.gate.clear()
    await asyncio.wait_for(lane_of(book, hop, lease=timedelta(seconds=0.2)).run(), 20)
    assert {outcome.verdict for outcome in book.settled.values()} == {Verdict.IN_DOUBT}


async def test_a_claim_that_the_database_no_longer_knows_is_given_up_at_once(clock: Clock) -> None:
    """However long the lane's own clock says that it holds."""
    book, hop = Book(2), Hop()
    book.renewals = 0
    hop.gate.clear()
    running = asyncio.create_task(lane_of(book, hop, lease=timedelta(seconds=0.3)).run())
    await ended(running)
    assert {outcome.verdict for outcome in book.settled.values()} == {Verdict.IN_DOUBT}
    assert clock.now == 1000.0


async def test_a_lease_is_renewed_while_conversations_last(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lease, "renew_every_seconds", 0.001)

    class Busy(Book):
        """By the lane's clock half a lease passes with each renewal."""

        async def renew(self, *args: Any, **options: Any) -> int:
            clock.now += LEASE.total_seconds() / 2
            return await super().renew(*args, **options)

    book, hop = Busy(4), Hop()
    hop.gate.clear()
    running = asyncio.create_task(lane_of(book, hop).run())
    await eventually(lambda: running.done() or sum(call == "renew" for call, _ in book.calls) >= 4)
    hop.gate.set()
    await running
    assert {outcome.verdict for outcome in book.settled.values()} == {Verdict.SENT}


@pytest.mark.usefixtures("clock")
async def test_a_renewal_that_fails_is_tried_again_while_the_lease_holds() -> None:
    book, hop = Book(2), Hop()
    book.fail("renew", OSError("gone"), OSError("still gone"))
    hop.gate.clear()
    running = asyncio.create_task(lane_of(book, hop, lease=timedelta(seconds=3)).run())
    await eventually(lambda: sum(call == "renew" for call, _ in book.calls) >= 4)
    hop.gate.set()
    await running
    assert {outcome.verdict for outcome in book.settled.values()} == {Verdict.SENT}


async def test_a_stop_lets_go_of_who_only_waits_for_a_connection() -> None:
    """With all connections in others' hands: nobody whom this lane waits for would ever come."""

    class Full(Hop):
        def __init__(self) -> None:
            super().__init__()
            self.let_go_of: dict[int, asyncio.Event] = {}

        async def hand_over_each(self, bag: Bag, permit: Permit) -> None:
            await self.let_go_of.setdefault(id(bag), asyncio.Event()).wait()

        def let_go(self, bag: Bag) -> None:
            self.let_go_of[id(bag)].set()

    book, hop = Book(20), Full()
    lane = lane_of(book, hop)
    running = asyncio.create_task(lane.run())
    await eventually(lambda: len(hop.let_go_of) == 2)
    lane.stop()
    try:
        await ended(running)
    finally:
        for waits in hop.let_go_of.values():
            waits.set()
    report = await running
    assert (report.end, report.given_back) == (LaneEnd.STOPPED, 20)


async def test_when_only_some_were_not_let_in_the_lane_goes_on() -> None:
    """One lost connection says nothing about the server: those who were given back come again."""
    once = {"r3@example.com"}

    def answer(recipient: str) -> Outcome:
        if recipient in once:
            once.remove(recipient)
            return Outcome(Verdict.NO_SERVER, reply="421 gone")
        return Outcome(Verdict.SENT)

    book = Book(25)
    report = await lane_of(book, Hop(answer)).run()
    assert report.end is LaneEnd.NOTHING_DUE
    assert (report.settled, report.given_back) == ({"sent": 24}, 1)


async def test_what_the_last_windows_met_is_told_whatever_ended_the_lane() -> None:
    book, hop = Book(8), Hop(lambda _: Outcome(Verdict.NO_SERVER, reply="gone"))
    hop.gate.clear()
    lane = lane_of(book, hop)
    running = asyncio.create_task(lane.run())
    await eventually(lambda: len(book.asked_for) == 2)  # the second claim found nobody, and the first window goes on
    hop.gate.set()
    assert (await running).end is LaneEnd.NO_SERVER


async def test_given_up_it_keeps_the_whole_last_reply() -> None:
    refusal = Outcome(Verdict.DEFERRED, smtp_code=452, enhanced_code="4.2.2", reply="4.2.2 mailbox full")
    book = Book(1, attempts=12)
    await lane_of(book, Hop(lambda _: refusal)).run()
    settled = book.settled[1]
    assert (settled.verdict, settled.smtp_code, settled.enhanced_code) == (Verdict.FAILED, 452, "4.2.2")
    assert settled.reply == "gave up after 12 tries: 4.2.2 mailbox full"


@pytest.mark.parametrize("code", [421, 451, 454])
async def test_the_longer_it_is_busy_the_longer_it_rests_and_no_try_counts(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    rests: list[float] = []

    async def rest(_: delivery.Lane, seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr(delivery.Lane, "_rest", rest)
    book = Book(60)
    await lane_of(book, Hop(lambda _: Outcome(Verdict.DEFERRED, smtp_code=code)), window=4).run()
    assert rests[:3] == [1.0, 2.0, 4.0]  # two windows had met it before the first rest
    assert max(rests) == 10.0
    assert book.uncounted == set(range(1, 61))


# ------------------------------------------------------------------------------------------- what nobody foresaw


async def test_a_rendering_that_breaks_in_a_way_of_its_own_fails_for_this_contact_alone() -> None:
    class Broken(Letter):
        def render(self, recipient: ClaimedRecipient) -> Email:
            if recipient.contact_id == 2:
                raise TypeError(f"not for {recipient.address}")
            return super().render(recipient)

    book = Book(3)
    await lane_of(book, Hop(), letter=Broken()).run()
    assert book.settled[2] == Outcome(Verdict.FAILED, reply="The email cannot be written: TypeError.")
    assert [book.settled[n].verdict for n in (1, 3)] == [Verdict.SENT, Verdict.SENT]


async def test_a_conversation_that_breaks_leaves_in_doubt_whom_it_had_taken_and_nobody_else() -> None:
    """All others are settled before the error comes out: nothing is left claimed for a lease to lapse."""

    def answer(recipient: str) -> Outcome:
        if recipient == "r2@example.com":
            raise TypeError
        return Outcome(Verdict.SENT)

    book, hop = Book(20), Hop(answer)
    hop.gate.clear()
    lane = lane_of(book, hop)
    running = asyncio.create_task(lane.run())
    await eventually(lambda: len(hop.begun) == 20)
    hop.gate.set()
    with pytest.raises(TypeError):
        await running
    assert {n: outcome.verdict for n, outcome in book.settled.items()} == {
        n: Verdict.IN_DOUBT if n == 2 else Verdict.SENT for n in range(1, 21)
    }


async def test_who_was_not_taken_is_given_back_when_all_conversations_break() -> None:
    def answer(_: str) -> Outcome:
        raise TypeError

    book = Book(64)
    with pytest.raises(TypeError):
        await lane_of(book, Hop(answer), window=64).run()
    assert {outcome.verdict for outcome in book.settled.values()} == {Verdict.IN_DOUBT}
    assert len(book.settled) == 16  # as many as there were conversations
    assert len(book.given_back) == 48
