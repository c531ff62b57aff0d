"""Opening connections: one attempt for all while it fails, a pause between attempts, and what the server allows.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from activities.smtp import SmtpTransport, opening, pool
from activities.smtp.lines import Line
from models.recipient import Outcome, Verdict
from tests.clock import Clock
from tests.eventually import eventually
from tests.integration.smtp_transport.canned import SILENCE, canned
from tests.integration.smtp_transport.transports import (
    email,
    hand_over,
    hand_over_when_it_connects,
    on_both_loops,
    transport,
)
from tests.smtp_log_server import SmtpLogServer


async def hand_over_many(way: SmtpTransport, number: int, side_by_side: int = 20) -> list[Outcome]:
    """Hand so many emails over, each to an address of its own."""
    numbers = iter(range(number))
    outcomes: list[Outcome] = []

    async def lane() -> None:
        for place in numbers:
            outcomes.append(await hand_over(way, email(f"r{place}@example.com")))

    await asyncio.gather(*(lane() for _ in range(side_by_side)))
    return outcomes


def assert_all_were_sent_once(server: SmtpLogServer, outcomes: list[Outcome]) -> None:
    assert {outcome.verdict for outcome in outcomes} == {Verdict.SENT}
    recipients = [row.recipient for row in server.accepted()]
    assert sorted(recipients) == sorted(f"r{place}@example.com" for place in range(len(outcomes)))


# --------------------------------------------------------------------------------------------------- while it fails


@pytest.fixture
def endless_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second attempt after a failed one."""
    monkeypatch.setattr(opening, "_FIRST_WAIT_SECONDS", 1e6)
    monkeypatch.setattr(opening, "_LONGEST_WAIT_SECONDS", 1e6)


@pytest.mark.usefixtures("endless_wait")
@on_both_loops
async def test_one_attempt_speaks_for_all_and_none_follows_it_at_once(smtp_server: SmtpLogServer) -> None:
    smtp_server.set(greeting="554 5.7.1 Not you")
    way = transport(smtp_server)
    outcomes = await hand_over_many(way, 200, side_by_side=50)
    assert set(outcomes) == {Outcome(Verdict.NO_SERVER, None, 554, "5.7.1", "5.7.1 Not you")}
    assert smtp_server.seen()["connect"] == 1


@pytest.mark.parametrize("host", ["smtp..example.com", f"{'x' * 64}.example.com", "smtp.example.com\n"])
@on_both_loops
async def test_a_name_that_can_be_none_is_no_server_and_is_named(host: str) -> None:
    """Neither SMTP nor a socket says so, but Python: nobody must be left claimed by it."""
    way = SmtpTransport(host, 25)
    outcome = await hand_over(way)
    assert outcome.verdict is Verdict.NO_SERVER
    assert f"Error connecting to {host.strip()}" in (outcome.reply or "")
    await way.aclose()


@pytest.mark.usefixtures("endless_wait")
@on_both_loops
async def test_of_attempts_made_side_by_side_the_first_failure_ends_the_rest(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    assert (await hand_over(way)).verdict is Verdict.SENT
    smtp_server.set(listening=False)
    smtp_server.drop_connections()
    assert {outcome.verdict for outcome in await hand_over_many(way, 200)} == {Verdict.NO_SERVER}
    smtp_server.set(listening=True)
    assert (await hand_over(way)).verdict is Verdict.NO_SERVER
    assert smtp_server.seen()["connect"] == 1


@on_both_loops
async def test_who_waits_for_an_attempt_that_is_canceled_makes_one() -> None:
    async with canned() as server:
        server.answer({"EHLO": SILENCE})
        way = transport(server)
        first, second = hand_over(way), hand_over(way)
        await eventually(lambda: "EHLO" in server.commands)
        server.answer({})
        first.cancel()
        assert (await first).verdict is Verdict.NOT_HANDED_OVER
        assert (await second).verdict is Verdict.SENT
        assert server.connections == 2


@on_both_loops
async def test_canceled_while_another_attempts_gives_back_and_leaves_the_attempt_alone() -> None:
    async with canned() as server:
        server.answer({"EHLO": SILENCE})
        way = transport(server)
        first, second = hand_over(way), hand_over(way)
        await eventually(lambda: "EHLO" in server.commands)
        second.cancel()
        assert (await second).verdict is Verdict.NOT_HANDED_OVER
        server.answer({})
        server.say(b"250 PIPELINING\r\n")
        assert (await first).verdict is Verdict.SENT
        assert server.connections == 1


@on_both_loops
async def test_when_the_server_is_back_it_is_found(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    smtp_server.set(greeting="421 4.3.2 Shutting down")
    assert {outcome.verdict for outcome in await hand_over_many(way, 50)} == {Verdict.NO_SERVER}
    smtp_server.set(greeting="220 Hello")
    assert (await hand_over_when_it_connects(way)).verdict is Verdict.SENT
    assert {outcome.verdict for outcome in await hand_over_many(way, 50)} == {Verdict.SENT}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[asyncio.AbstractEventLoop], Clock]]:
    def install(loop: asyncio.AbstractEventLoop) -> Clock:
        made = Clock()
        monkeypatch.setattr(loop, "time", made)
        return made

    yield install
    monkeypatch.undo()


def test_the_wait_between_attempts_doubles_to_5_seconds_and_begins_anew_after_a_success(
    clock: Callable[[asyncio.AbstractEventLoop], Clock],
) -> None:
    class Failing(opening.Opener):
        works = False

        async def _open(self) -> Line:
            attempts.append(time.now)
            await asyncio.sleep(0)
            if self.works:
                return object()  # type: ignore[return-value]  # nobody speaks on it
            raise ConnectionRefusedError

    attempts: list[float] = []

    async def failures(opener: Failing, number: int) -> None:
        assert all(isinstance(line, Outcome) for line in await asyncio.gather(*(opener.open() for _ in range(number))))

    async def success(opener: Failing) -> None:
        time.now += 10
        opener.works = True
        assert not isinstance(await opener.open(), Outcome)
        opener.works = False

    async def waits(opener: Failing, number: int) -> list[float]:
        """Ask for a line every hundredth of a second until so many attempts were made; return the times between."""
        attempts.clear()
        while len(attempts) < number:
            await failures(opener, 1)
            time.now += 0.01
        return [after - before for before, after in itertools.pairwise(attempts)]

    async def main() -> None:
        next_hop = opening.NextHop("localhost", 25, None, None, "none", None, timedelta(seconds=1))
        opener = Failing(next_hop, lambda: False)
        for _ in range(2):
            for wait, longest in zip(await waits(opener, 10), [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5], strict=True):
                assert longest / 2 <= wait + 1e-6
                assert wait <= longest + 0.0101
            await success(opener)
            await failures(opener, 5)  # side by side, which counts as one
            assert opener.not_before <= time.now + 0.1
            await success(opener)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        time = clock(runner.get_loop())
        runner.run(main())


# -------------------------------------------------------------------------------------------- what the server allows


@on_both_loops
async def test_a_servers_limit_of_connections_is_kept_and_every_email_gets_one(smtp_server: SmtpLogServer) -> None:
    smtp_server.set(most_connections=3)
    way = transport(smtp_server, connections=10)
    assert_all_were_sent_once(smtp_server, await hand_over_many(way, 300))
    seen = smtp_server.seen()
    assert seen["open"] == 3
    assert seen["connect"] <= 10  # one attempt for each place at most, and then no more


@pytest.mark.usefixtures("endless_wait")
@on_both_loops
async def test_a_servers_limit_is_no_reason_to_wait_before_a_lost_connection_is_replaced(
    smtp_server: SmtpLogServer,
) -> None:
    smtp_server.set(most_connections=2)
    way = transport(smtp_server, connections=10)
    smtp_server.set(delay_ms=1)
    await hand_over_many(way, 10, side_by_side=2)
    await hand_over_many(way, 50)
    assert smtp_server.seen()["connect"] > 2, "more were asked for, and refused"
    smtp_server.drop_connections()
    assert {outcome.verdict for outcome in await hand_over_many(way, 50)} == {Verdict.SENT}


@pytest.mark.parametrize(
    ("refusal", "is_limit"),
    [
        ({"greeting": "421 4.7.0 Too many"}, True),
        ({"refuse": [{"at": "ehlo", "pattern": "", "reply": "421 4.7.0 Too many"}]}, True),
        ({"greeting": "554 5.7.1 Not now"}, False),
        ({"listening": False}, False),
    ],
)
@on_both_loops
async def test_where_a_connection_works_nobody_hears_that_there_is_no_server(
    smtp_server: SmtpLogServer, refusal: dict[str, Any], is_limit: bool
) -> None:
    smtp_server.set(delay_ms=1)
    way = transport(smtp_server, connections=10)
    first = await hand_over(way, email("r0@example.com"))
    smtp_server.set(**refusal)
    others = await asyncio.gather(*(hand_over(way, email(f"r{place}@example.com")) for place in range(1, 100)))
    assert_all_were_sent_once(smtp_server, [first, *others])
    smtp_server.set(greeting="220 Hello", refuse=[], listening=True)

    async def has_grown() -> bool:
        await hand_over_many(way, 30)
        return smtp_server.seen()["open"] == 10

    if is_limit:
        assert not await has_grown()
    else:
        assert await eventually(has_grown, within=20)


@on_both_loops
async def test_a_servers_limit_is_tried_again_one_connection_at_a_time(
    smtp_server: SmtpLogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    smtp_server.set(most_connections=2, delay_ms=1)
    way = transport(smtp_server, connections=6)
    await hand_over_many(way, 50)
    smtp_server.set(most_connections=0)
    await hand_over_many(way, 50)
    assert smtp_server.seen()["open"] == 2  # a minute has not passed
    monkeypatch.setattr(pool, "_GROW_EVERY", timedelta(0))
    way._pool._grow_at = -math.inf
    await hand_over_many(way, 100)
    assert smtp_server.seen()["open"] == 6
    assert {outcome.verdict for outcome in await hand_over_many(way, 10)} == {Verdict.SENT}


@on_both_loops
async def test_when_the_last_connection_that_worked_is_lost_nobody_waits_for_it(smtp_server: SmtpLogServer) -> None:
    smtp_server.set(most_connections=2, delay_ms=5)
    way = transport(smtp_server, connections=10)
    tasks = [hand_over(way, email(f"r{place}@example.com")) for place in range(200)]
    await eventually(lambda: len(smtp_server.accepted()) > 20)
    smtp_server.set(listening=False)
    smtp_server.drop_connections()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks), 20)
    lost = {Verdict.NO_SERVER, Verdict.NOT_HANDED_OVER, Verdict.IN_DOUBT}
    assert {outcome.verdict for outcome in outcomes} <= {Verdict.SENT, *lost}
    assert sum(outcome.verdict is Verdict.NO_SERVER for outcome in outcomes) > 50
    smtp_server.set(listening=True, most_connections=0)
    assert (await hand_over_when_it_connects(way)).verdict is Verdict.SENT


# ------------------------------------------------------------------------------------------- emails per connection


@on_both_loops
async def test_a_connection_is_ended_after_its_emails(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1, emails_per_connection=3)
    assert_all_were_sent_once(smtp_server, await hand_over_many(way, 10, side_by_side=4))
    await way.aclose()
    assert (smtp_server.seen()["connect"], smtp_server.seen()["QUIT"]) == (4, 4)


@on_both_loops
async def test_the_end_of_a_connection_holds_no_email_up() -> None:
    async with canned() as server:
        server.answer({"QUIT": SILENCE})
        way = transport(server, connections=1, emails_per_connection=1)
        assert [(await hand_over(way)).verdict for _ in range(2)] == [Verdict.SENT] * 2
        assert len(server.bodies) == 2
        assert len(server.writers) == 2, "the first connection still waits for the reply to its QUIT"


@on_both_loops
async def test_a_server_that_still_counts_a_connection_that_ends_is_asked_again() -> None:
    async with canned() as server:
        server.answer({"QUIT": SILENCE})  # for a second, then the connection is cut
        server.most_connections = 1
        way = transport(server, connections=1, emails_per_connection=1)
        assert [(await hand_over(way)).verdict for _ in range(2)] == [Verdict.SENT] * 2
        assert server.connections == 3, "the second was refused"


@on_both_loops
async def test_a_server_that_ends_connections_itself_is_given_every_email(smtp_server: SmtpLogServer) -> None:
    smtp_server.set(most_emails=3)
    way = transport(smtp_server, connections=4)
    assert_all_were_sent_once(smtp_server, await hand_over_many(way, 100))
    assert smtp_server.seen()["connect"] >= 33
