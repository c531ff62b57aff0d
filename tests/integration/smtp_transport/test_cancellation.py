"""A hand-over that is canceled, at each point of the conversation: it returns what became of the email.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import asyncio

import pytest
from aiosmtplib.protocol import SMTPProtocol

from activities.ports import Taken
from activities.smtp import SmtpTransport
from activities.smtp.lines import Line
from models.recipient import Outcome, Verdict
from tests.eventually import eventually
from tests.integration.smtp_transport.canned import SILENCE, canned
from tests.integration.smtp_transport.transports import CONTENT, Allow, email, hand_over, on_both_loops, transport
from tests.smtp_log_server import SmtpLogServer

FOREVER_MS = 600_000


class OneLeft:
    """A bag with one email."""

    def __init__(self) -> None:
        self._left = [(0, email())]
        self.verdicts: list[Verdict] = []

    def take(self) -> Taken | None:
        return self._left.pop() if self._left else None

    def settle(self, place: int, outcome: Outcome) -> None:
        self.verdicts.append(outcome.verdict)


@pytest.mark.parametrize(
    ("point", "verdict"),
    [
        ("MAIL", Verdict.NOT_HANDED_OVER),
        ("RCPT", Verdict.NOT_HANDED_OVER),
        ("DATA", Verdict.NOT_HANDED_OVER),
        ("dot", Verdict.IN_DOUBT),
    ],
)
@on_both_loops
async def test_a_canceled_conversation_returns_what_became_of_it(
    smtp_server: SmtpLogServer, point: str, verdict: Verdict
) -> None:
    def fall_silent() -> bool:
        smtp_server.set(delay_ms=FOREVER_MS)
        return True

    way = transport(smtp_server, connections=1)
    if point != "dot":
        fall_silent()
    task = hand_over(way, permit=Allow(write_body=fall_silent))
    await eventually(lambda: smtp_server.seen()[point], every=0.005)
    task.cancel()
    outcome = await task
    assert outcome.verdict is verdict
    assert (outcome.handed_over_at is not None) == (verdict is Verdict.IN_DOUBT)
    await eventually(lambda: smtp_server.seen()["open"] == 0)
    assert len(smtp_server.accepted()) == int(point == "dot")
    smtp_server.set(delay_ms=0)
    assert (await hand_over(way)).verdict is Verdict.SENT


@on_both_loops
async def test_a_cancellation_that_comes_together_with_a_reply_is_not_lost(smtp_server: SmtpLogServer) -> None:
    """asyncio.wait_for (3.11) swallows a cancellation when the reply has come in the same turn of the loop."""
    original = SMTPProtocol.data_received
    left = 0  # replies until the cancellation
    task: asyncio.Task[Outcome] | None = None

    def data_received(self: SMTPProtocol, data: bytes) -> None:
        nonlocal left
        original(self, data)
        left -= 1
        if left == 0 and task is not None:
            task.cancel()

    smtp_server.set(offers=[])  # no PIPELINING, so that aiosmtplib's protocol reads the replies
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SMTPProtocol, "data_received", data_received)  # before a connection is made: uvloop keeps it
        for replies in (1, 2, 3):  # of MAIL, RCPT and DATA
            way = transport(smtp_server)
            assert (await hand_over(way)).verdict is Verdict.SENT
            left, task = replies, hand_over(way)
            assert (await task).verdict is Verdict.NOT_HANDED_OVER
            assert left <= 0
            assert (smtp_server.seen()["dot"], len(smtp_server.accepted())) == (replies, replies)


@on_both_loops
async def test_canceled_while_waiting_for_a_connection_gives_back() -> None:
    async with canned() as server:
        server.answer({"body": SILENCE})
        way = transport(server, connections=1)
        first = hand_over(way)
        second = hand_over(way)
        await eventually(lambda: server.bodies)
        second.cancel()
        assert (await second).verdict is Verdict.NOT_HANDED_OVER
        server.say(b"250 Ok\r\n")
        assert (await first).verdict is Verdict.SENT
        assert len(server.bodies) == 1
        server.answer({})
        assert (await hand_over(way)).verdict is Verdict.SENT  # the place was not lost


@on_both_loops
async def test_canceled_while_connecting_gives_back() -> None:
    greeted = asyncio.Event()

    async def never_greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_greet, "127.0.0.1", 0)
    way = SmtpTransport("127.0.0.1", server.sockets[0].getsockname()[1])
    task = hand_over(way)
    await greeted.wait()
    task.cancel()
    assert (await task).verdict is Verdict.NOT_HANDED_OVER
    await way.aclose()
    server.close()
    await server.wait_closed()


@on_both_loops
async def test_let_go_while_connecting_gives_back_and_leaves_nothing_open() -> None:
    """A stop does not wait for a server that says nothing."""
    async with canned() as server:
        server.answer({"EHLO": SILENCE})
        way = transport(server)
        bag = OneLeft()
        waiting = asyncio.create_task(way.hand_over_each(bag, Allow()))
        await eventually(lambda: "EHLO" in server.commands)
        way.let_go(bag)
        assert (await asyncio.wait({waiting}, timeout=5))[0], "it waits for the server"  # wait_for would cancel it
        assert bag.verdicts == [Verdict.NOT_HANDED_OVER]
        assert not way._queues, "it remembers a bag that is gone"
        await eventually(lambda: not server.writers)
        server.answer({})
        assert (await hand_over(way)).verdict is Verdict.SENT  # the place was not lost


@on_both_loops
async def test_let_go_or_canceled_as_the_connection_opens_leaves_no_line_that_nobody_knows() -> None:
    async with canned() as server:
        way = transport(server, connections=1)
        opened = asyncio.Event()
        original = way._opener.open

        async def open_and_tell() -> Line | Outcome:
            line = await original()
            opened.set()
            return line

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(way._opener, "open", open_and_tell)
            task = hand_over(way)
            await opened.wait()
            task.cancel()
            await task
        await eventually(lambda: len(server.writers) == way._pool.working)
        assert (await hand_over(way)).verdict is Verdict.SENT
        assert len(server.writers) == 1


@on_both_loops
async def test_nothing_begins_on_a_connection_that_opened_after_the_stop() -> None:
    async with canned() as server:
        server.answer({"EHLO": SILENCE})
        way = transport(server)
        is_stopped = False
        task = hand_over(way, permit=Allow(start=lambda: not is_stopped))
        await eventually(lambda: "EHLO" in server.commands)
        is_stopped = True
        server.answer({})
        server.say(b"250 PIPELINING\r\n")
        assert (await task).verdict is Verdict.NOT_HANDED_OVER
        assert "MAIL" not in " ".join(server.commands)
        is_stopped = False
        assert (await hand_over(way)).verdict is Verdict.SENT
        assert server.connections == 1  # it was kept


@on_both_loops
async def test_canceled_while_the_body_waits_to_be_written_gives_back(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    smtp_server.set(stop_reading=True)
    large = CONTENT + b"x" * 70 + (b"\r\n" + b"x" * 70) * 200_000
    written = asyncio.Event()

    def note() -> bool:
        written.set()
        return True

    task = hand_over(way, email(content=large), Allow(write_body=note))
    await written.wait()
    await asyncio.sleep(0)
    task.cancel()
    assert (await task).verdict is Verdict.NOT_HANDED_OVER
    smtp_server.set(stop_reading=False)
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert smtp_server.seen()["dot"] == 1
