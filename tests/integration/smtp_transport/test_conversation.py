"""The transport and a real SMTP server over one email: every reply, loss and silence, and what the permit forbids.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from models.recipient import Verdict
from tests.eventually import eventually
from tests.integration.smtp_transport.canned import SILENCE, canned
from tests.integration.smtp_transport.transports import (
    CONTENT,
    Allow,
    email,
    hand_over,
    hand_over_when_it_connects,
    on_both_loops,
    transport,
)
from tests.smtp_log_server import SmtpLogServer

FOREVER_MS = 600_000


# --------------------------------------------------------------------------------------------------- the next hop says


@on_both_loops
async def test_an_accepted_email_is_sent_byte_by_byte(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    before = datetime.now(UTC)
    outcome = await hand_over(way)
    assert (outcome.verdict, outcome.smtp_code, outcome.enhanced_code) == (Verdict.SENT, 250, "2.0.0")
    assert outcome.handed_over_at is not None
    assert before <= outcome.handed_over_at <= datetime.now(UTC)
    (accepted,) = smtp_server.accepted()
    assert (accepted.recipient, accepted.message_id, accepted.subject) == (
        "ola@example.com",
        "<1@shop.example>",
        "Hello",
    )
    assert accepted.sha1 == hashlib.sha1(CONTENT).hexdigest()
    assert abs(accepted.at - outcome.handed_over_at.timestamp()) < 5


@pytest.mark.parametrize("at", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(
    ("reply", "verdict", "enhanced"),
    [("550 5.1.1 No such user", Verdict.BOUNCED, "5.1.1"), ("451 4.7.1 Later", Verdict.DEFERRED, "4.7.1")],
)
@on_both_loops
async def test_a_refusal_is_an_outcome_and_the_connection_is_used_again(
    smtp_server: SmtpLogServer, at: str, reply: str, verdict: Verdict, enhanced: str
) -> None:
    way = transport(smtp_server, connections=1)
    smtp_server.refuse(".*", reply, at=at)
    if at == "mail" and verdict is Verdict.BOUNCED:
        verdict = Verdict.NO_SERVER  # the sender is refused: no recipient's fault
    outcome = await hand_over(way)
    assert (outcome.verdict, outcome.smtp_code, outcome.enhanced_code) == (verdict, int(reply[:3]), enhanced)
    assert outcome.reply == reply[4:]
    assert (outcome.handed_over_at is not None) == (at == "dot")
    smtp_server.set(refuse=[])
    assert (await hand_over(way)).verdict is Verdict.SENT
    seen = smtp_server.seen()
    assert (seen["connect"], seen["RSET"]) == (1, int(at in ("rcpt", "data")))
    assert len(smtp_server.accepted()) == 1


@pytest.mark.parametrize("at", ["mail", "rcpt", "data"])
@on_both_loops
async def test_421_says_that_there_is_no_server(smtp_server: SmtpLogServer, at: str) -> None:
    smtp_server.refuse(".*", "421 4.3.2 Shutting down", at=at)
    outcome = await hand_over(transport(smtp_server))
    assert (outcome.verdict, outcome.smtp_code, outcome.reply) == (Verdict.NO_SERVER, 421, "4.3.2 Shutting down")


@pytest.mark.parametrize("greeting", ["554 5.7.1 Not you", "421 4.3.2 Busy"])
@on_both_loops
async def test_a_refused_connection_is_no_server_with_the_reply(smtp_server: SmtpLogServer, greeting: str) -> None:
    smtp_server.set(greeting=greeting)
    outcome = await hand_over(transport(smtp_server))
    assert (outcome.verdict, outcome.smtp_code) == (Verdict.NO_SERVER, int(greeting[:3]))
    assert outcome.reply == greeting[4:]


@on_both_loops
async def test_without_a_server_nothing_is_handed_over_and_when_it_is_back_it_is(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    smtp_server.set(listening=False)
    outcome = await hand_over(way)
    assert outcome.verdict is Verdict.NO_SERVER
    assert "connect" in (outcome.reply or "").lower()
    smtp_server.set(listening=True)
    assert (await hand_over_when_it_connects(way)).verdict is Verdict.SENT


@on_both_loops
async def test_a_large_body_arrives_whole(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    large = CONTENT + (b"." + b"x" * 70 + b"\r\n") * 20_000
    assert (await hand_over(way, email(content=large))).verdict is Verdict.SENT
    assert smtp_server.accepted()[0].sha1 == hashlib.sha1(large).hexdigest()


@on_both_loops
async def test_international_addresses_need_a_server_that_offers_smtputf8(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1)
    assert (await hand_over(way, email("grüße@example.com"))).verdict is Verdict.SENT
    assert smtp_server.accepted()[0].recipient == "grüße@example.com"
    smtp_server.set(offers=["PIPELINING", "8BITMIME"])
    way = transport(smtp_server, connections=1)
    outcome = await hand_over(way, email("grüße@example.com"))
    assert outcome.verdict is Verdict.FAILED
    assert "SMTPUTF8" in (outcome.reply or "")
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert smtp_server.seen()["connect"] == 2


# ------------------------------------------------------------------------------------------------ lost and too slow


@pytest.mark.parametrize(
    ("drop", "verdicts"),
    [
        ("connect", {Verdict.NO_SERVER}),
        ("mail", {Verdict.NO_SERVER}),
        ("rcpt", {Verdict.NOT_HANDED_OVER}),
        ("data", {Verdict.NOT_HANDED_OVER}),
        # We read 354 and write the dot; whether the loss is seen before that is a matter of microseconds.
        ("body", {Verdict.NOT_HANDED_OVER, Verdict.IN_DOUBT}),
        ("dot", {Verdict.IN_DOUBT}),
    ],
)
@on_both_loops
async def test_a_lost_connection_gives_back_before_the_dot_and_is_in_doubt_after_it(
    smtp_server: SmtpLogServer, drop: str, verdicts: set[Verdict]
) -> None:
    way = transport(smtp_server)
    smtp_server.set(drop=drop)
    outcome = await hand_over(way)
    assert outcome.verdict in verdicts
    assert (outcome.handed_over_at is not None) == (outcome.verdict is Verdict.IN_DOUBT)
    assert outcome.reply
    assert len(smtp_server.accepted()) == int(drop == "dot")
    smtp_server.set(drop="")
    assert (await hand_over_when_it_connects(way)).verdict is Verdict.SENT


@on_both_loops
async def test_a_reply_that_does_not_come_in_time_gives_back_before_the_dot_and_is_in_doubt_after_it(
    smtp_server: SmtpLogServer,
) -> None:
    def slow() -> bool:
        smtp_server.set(delay_ms=FOREVER_MS)
        return True

    way = transport(smtp_server, timeout=timedelta(seconds=2))
    assert (await hand_over(way, permit=Allow(write_body=slow))).verdict is Verdict.IN_DOUBT
    assert (await hand_over(way)).verdict is Verdict.NO_SERVER
    smtp_server.set(delay_ms=0)
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert len(smtp_server.accepted()) == 2


# ---------------------------------------------------------------------------------------------------------- the permit


@on_both_loops
async def test_without_permit_to_start_nothing_reaches_the_server(smtp_server: SmtpLogServer) -> None:
    outcome = await hand_over(transport(smtp_server), permit=Allow(start=lambda: False))
    assert outcome.verdict is Verdict.NOT_HANDED_OVER
    assert smtp_server.seen()["connect"] == 0


@on_both_loops
async def test_the_permit_is_asked_again_after_the_wait_for_a_connection() -> None:
    async with canned() as server:
        server.answer({"body": SILENCE})
        way = transport(server, connections=1)
        allowed = True
        first = hand_over(way)
        second = hand_over(way, permit=Allow(start=lambda: allowed))
        await eventually(lambda: server.bodies)
        allowed = False
        server.say(b"250 Ok\r\n")
        assert (await first).verdict is Verdict.SENT
        assert (await second).verdict is Verdict.NOT_HANDED_OVER
        assert len(server.bodies) == 1


@on_both_loops
async def test_without_permit_to_write_no_byte_of_the_body_leaves_and_the_connection_is_cut(
    smtp_server: SmtpLogServer,
) -> None:
    way = transport(smtp_server, connections=1)
    outcome = await hand_over(way, permit=Allow(write_body=lambda: False))
    assert (outcome.verdict, outcome.handed_over_at) == (Verdict.NOT_HANDED_OVER, None)
    await eventually(lambda: smtp_server.seen()["lost"])
    assert (smtp_server.seen()["DATA"], smtp_server.seen()["dot"]) == (1, 0)
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert smtp_server.seen()["connect"] == 2
