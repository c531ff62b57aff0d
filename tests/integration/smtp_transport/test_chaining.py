"""Several emails of a bag on one line: an envelope goes with the body before it, and what may come between.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from activities.ports import Email, Taken
from activities.smtp import SmtpTransport
from activities.smtp.wire import stuffed
from models.recipient import Outcome, Verdict
from tests.eventually import eventually
from tests.integration.smtp_transport.canned import CLOSE, SILENCE, canned
from tests.integration.smtp_transport.transports import Allow, email, on_both_loops, transport

BODY = stuffed(email().content)
S, B, D, N = Verdict.SENT, Verdict.BOUNCED, Verdict.DEFERRED, Verdict.NO_SERVER
DOUBT, G = Verdict.IN_DOUBT, Verdict.NOT_HANDED_OVER


class Pile:
    """A bag that remembers, as verdicts in the order of its emails; None for whom nobody took."""

    def __init__(self, *emails: Email, name: str = "r", number: int = 3) -> None:
        self.emails = list(emails) or [email(f"{name}{place}@example.com") for place in range(number)]
        self.outcomes: dict[int, Outcome] = {}
        self.taken = 0
        self._left = iter(enumerate(self.emails))

    def take(self) -> Taken | None:
        self.taken += 1
        return next(self._left, None)

    def settle(self, place: int, outcome: Outcome) -> None:
        assert place not in self.outcomes, "settled twice"
        self.outcomes[place] = outcome

    @property
    def verdicts(self) -> list[Verdict | None]:
        return [self.outcomes[n].verdict if n in self.outcomes else None for n in range(len(self.emails))]


async def hand_over_all(way: SmtpTransport, pile: Pile, permit: Allow | None = None) -> list[Verdict | None]:
    await way.hand_over_each(pile, permit or Allow())
    return pile.verdicts


def envelope(recipient: str) -> bytes:
    return f"MAIL FROM:<news@shop.example>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()


@on_both_loops
async def test_an_envelope_goes_in_one_write_with_the_body_before_it() -> None:
    async with canned() as server:
        assert await hand_over_all(transport(server, connections=1), Pile()) == [S, S, S]
        first, second, third = (envelope(f"r{place}@example.com") for place in range(3))
        assert server.packets[1:] == [first, BODY + second, BODY + third, BODY]
        assert server.bodies == [BODY] * 3


@on_both_loops
async def test_without_pipelining_an_envelope_waits_for_the_reply_to_the_body() -> None:
    async with canned() as server:
        server.answer({"EHLO": "250 canned"})
        assert await hand_over_all(transport(server, connections=1), Pile()) == [S, S, S]
        assert server.packets.count(BODY) == 3
        assert server.connections == 1


@pytest.mark.parametrize(
    ("answers", "verdicts", "connections"),
    [
        ({"body": ["550 5.7.1 Spam", "250 Ok"]}, [B, S, S], 1),
        ({"body": ["451 4.3.0 Later", "250 Ok"]}, [D, S, S], 1),
        ({"body": ["421 4.3.2 Bye", "250 Ok"]}, [D, S, S], 2),
        (  # what was refused behind it stays refused, and is not asked again
            {
                "body": ["421 4.3.2 Bye", "250 Ok"],
                "RCPT": ["250 Ok", "550 5.1.1 No", "250 Ok"],
                "DATA": ["354 Go", "503 No", "354 Go"],
            },
            [D, B, S],
            2,
        ),
        ({"body": [CLOSE, "250 Ok"]}, [DOUBT, S, S], 2),
        ({"body": ["250 Ok", CLOSE, "250 Ok"]}, [S, DOUBT, S], 2),
        ({"MAIL": ["250 Ok", "421 4.3.2 Enough", "250 Ok"]}, [S, S, S], 2),
        ({"MAIL": ["250 Ok", CLOSE, "250 Ok"]}, [S, S, S], 2),
        ({"MAIL": ["250 Ok", "550 5.7.1 Not you", "250 Ok"], "DATA": ["354 Go", "503 No", "354 Go"]}, [S, N, S], 1),
        ({"RCPT": ["250 Ok", "550 5.1.1 No", "250 Ok"], "DATA": ["354 Go", "503 No", "354 Go"]}, [S, B, S], 1),
        ({"RCPT": ["250 Ok", "550 5.1.1 No", "250 Ok"]}, [S, B, S], 1),  # and DATA taken: a lone dot ends it
        ({"RCPT": ["250 Ok", CLOSE, "250 Ok"]}, [S, G, S], 2),
        ({"DATA": ["354 Go", "451 4.3.0 Later", "354 Go"]}, [S, D, S], 1),
        ({"DATA": ["354 Go", "421 4.3.2 Bye", "354 Go"]}, [S, N, S], 2),
        ({"DATA": ["354 Go", CLOSE, "354 Go"]}, [S, G, S], 2),
    ],
    ids=str,
)
@on_both_loops
async def test_what_becomes_of_one_says_nothing_of_the_others(
    answers: dict[str, str | list[str]], verdicts: list[Verdict], connections: int
) -> None:
    async with canned() as server:
        server.answer({verb: list(replies) for verb, replies in answers.items()})
        assert await hand_over_all(transport(server, connections=1), Pile()) == verdicts
        assert server.connections == connections
        handed_over = [body for body in server.bodies if body != b".\r\n"]
        assert len(handed_over) == sum(verdict in (S, DOUBT) for verdict in verdicts) + _refused_bodies(answers)


def _refused_bodies(answers: dict[str, str | list[str]]) -> int:
    return sum(reply[0] in "45" for reply in answers.get("body", []))


@on_both_loops
async def test_one_that_can_never_be_given_to_this_server_is_passed_over() -> None:
    async with canned() as server:
        server.answer({"EHLO": f"250-canned\r\n250-SIZE {len(email().content) + 10}\r\n250 PIPELINING"})
        large = email("large@example.com", email().content + b"x" * 100 + b"\r\n")
        for emails in ([email(), large, large, email()], [large, email()], [email(), large]):
            expected = [Verdict.FAILED if each is large else S for each in emails]
            assert await hand_over_all(transport(server, connections=1), Pile(*emails)) == expected


@on_both_loops
async def test_a_server_that_throws_away_what_comes_behind_a_body_gets_them_apart() -> None:
    async with canned() as server:
        way = transport(server, connections=1, timeout=timedelta(seconds=0.5))
        server.answer(
            {"MAIL": ["250 Ok", SILENCE, "250 Ok"], "RCPT": ["250 Ok", SILENCE, "250 Ok"]}
            | {"DATA": ["354 Go", SILENCE, "354 Go"]}
        )
        assert await hand_over_all(way, Pile()) == [S, S, S]
        server.answer({})
        assert await hand_over_all(way, Pile(name="later")) == [S, S, S]
        assert server.packets.count(BODY) == 3, "none of them with an envelope behind it"
        assert envelope("later1@example.com") in server.packets, "and still an envelope in one write"


# ------------------------------------------------------------------------------------------------------- being stopped


@on_both_loops
async def test_who_may_not_be_begun_stays_in_the_bag() -> None:
    async with canned() as server:
        pile = Pile()
        may_start = iter([True, True, True])  # before and after the wait for a place, and once the line is open
        permit = Allow(start=lambda: next(may_start, False))
        assert await hand_over_all(transport(server, connections=1), pile, permit) == [S, None, None]
        assert server.packets[-1] == BODY
        assert pile.take() == (1, pile.emails[1])


@on_both_loops
async def test_a_body_that_may_not_be_written_leaves_neither_line_nor_trace() -> None:
    async with canned() as server:
        may_write = iter([True, False])
        permit = Allow(write_body=lambda: next(may_write, True))
        way = transport(server, connections=1)
        assert await hand_over_all(way, Pile(), permit) == [S, G, S]
        assert server.connections == 2  # the third was not spoken of on a line that waits for a body
        assert server.bodies == [BODY, BODY]


@pytest.mark.parametrize("waits_for", ["body", "MAIL", "RCPT", "DATA"])
@on_both_loops
async def test_canceled_amid_two_emails_each_is_what_it_is(waits_for: str) -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        silent = ["body", "MAIL", "RCPT", "DATA"]
        silent = silent[silent.index(waits_for) :]
        server.answer({verb: SILENCE if verb == "body" else [_good(verb), SILENCE] for verb in silent})
        pile = Pile()
        task = asyncio.ensure_future(way.hand_over_each(pile, Allow()))
        await eventually(lambda: server.commands.count("DATA") == 2)
        task.cancel()
        await task
        first = pile.outcomes[0].verdict
        assert first in ((DOUBT,) if waits_for == "body" else (S, DOUBT))  # its reply may not have been read yet
        assert pile.verdicts[1:] == [G, None]
        server.answer({})
        assert await hand_over_all(way, Pile()) == [S, S, S]
        assert server.bodies == [BODY] * 3


def _good(verb: str) -> str:
    return "354 Go on" if verb == "DATA" else "250 Ok"


# ------------------------------------------------------------------------------------------------------------- turns


@on_both_loops
async def test_a_connection_that_is_full_is_given_no_envelope_more() -> None:
    async with canned() as server:
        way = transport(server, connections=1, emails_per_connection=2)
        assert await hand_over_all(way, Pile(number=5)) == [S] * 5
        assert server.connections == 3
        assert server.commands.count("MAIL") == 5


@on_both_loops
async def test_whoever_waits_for_the_connection_gets_it_after_eight() -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        big, small = Pile(name="big", number=30), Pile(name="small", number=2)
        await asyncio.gather(way.hand_over_each(big, Allow()), way.hand_over_each(small, Allow()))
        assert big.verdicts + small.verdicts == [S] * 32
        said = b"".join(server.packets)
        before_the_first = said[: said.index(b"small0@")].count(b"RCPT TO:<big")
        assert before_the_first == 8


@on_both_loops
async def test_whoever_only_waits_for_a_connection_is_let_go_at_once() -> None:
    async with canned() as server:
        server.answer({"body": SILENCE})
        way = transport(server, connections=1)
        busy, waiting = Pile(name="busy"), Pile(name="waiting")
        handing_over = asyncio.ensure_future(way.hand_over_each(busy, Allow()))
        await eventually(lambda: server.commands.count("DATA") == 2)
        may_start = True
        calls = [asyncio.ensure_future(way.hand_over_each(waiting, Allow(start=lambda: may_start))) for _ in range(2)]
        await eventually(lambda: waiting.taken == 2)
        may_start = False
        way.let_go(waiting)
        await asyncio.gather(*calls)
        assert waiting.verdicts == [G, G, None]
        assert busy.verdicts == [None, None, None]
        handing_over.cancel()
        await handing_over
