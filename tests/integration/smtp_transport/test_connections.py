"""The transport's connections: shared, limited in number, used again, replaced when lost, closed at the end.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import asyncio

import pytest

from models.recipient import Verdict
from tests.eventually import eventually
from tests.integration.smtp_transport.transports import email, hand_over, on_both_loops, transport
from tests.smtp_log_server import SmtpLogServer


@on_both_loops
async def test_connections_are_shared_and_never_more_than_allowed(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=3)
    smtp_server.set(delay_ms=2)
    outcomes = await asyncio.gather(*(hand_over(way, email(f"r{number}@example.com")) for number in range(60)))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.SENT}
    assert smtp_server.seen()["connect"] == 3
    assert sorted(row.recipient for row in smtp_server.accepted()) == sorted(f"r{n}@example.com" for n in range(60))
    await way.aclose()
    await eventually(lambda: smtp_server.seen()["open"] == 0)
    assert smtp_server.seen()["QUIT"] == 3


@on_both_loops
async def test_a_connection_closed_while_idle_is_replaced_and_nobody_notices(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1)
    assert (await hand_over(way)).verdict is Verdict.SENT
    smtp_server.drop_connections()  # our loop does not turn before the next line: the loss is met by MAIL
    assert (await hand_over(way)).verdict is Verdict.SENT
    smtp_server.drop_connections()
    await eventually(lambda: not way._pool.working)
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert (smtp_server.seen()["connect"], len(smtp_server.accepted())) == (3, 3)


@on_both_loops
async def test_a_server_that_refuses_a_reused_connection_is_tried_afresh_once(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1)
    assert (await hand_over(way)).verdict is Verdict.SENT
    smtp_server.refuse(".*", "421 4.4.2 Idle for too long", at="mail")
    assert (await hand_over(way)).verdict is Verdict.NO_SERVER
    assert (smtp_server.seen()["connect"], smtp_server.seen()["MAIL"]) == (2, 3)


@pytest.mark.parametrize("offers", [[], ["PIPELINING"]], ids=["one by one", "pipelined"])
@on_both_loops
async def test_a_connection_that_cannot_be_reset_is_replaced(smtp_server: SmtpLogServer, offers: list[str]) -> None:
    smtp_server.set(offers=offers)
    way = transport(smtp_server, connections=1)
    rules = [("rcpt", "^no", "550 5.1.1 No"), ("rset", "", "500 5.5.1 What?")]
    smtp_server.set(refuse=[{"at": at, "pattern": pattern, "reply": reply} for at, pattern, reply in rules])
    assert (await hand_over(way, email("no@example.com"))).verdict is Verdict.BOUNCED
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert (smtp_server.seen()["RSET"], smtp_server.seen()["connect"]) == (1, 2)
    await eventually(lambda: smtp_server.seen()["open"] == 1)


@on_both_loops
async def test_a_closed_transport_hands_nothing_over(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    await way.aclose()
    assert (await hand_over(way)).verdict is Verdict.NOT_HANDED_OVER
    assert smtp_server.seen()["connect"] == 0
