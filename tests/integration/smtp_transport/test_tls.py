"""TLS from the start, STARTTLS and AUTH, with aiosmtpd as the server where one must speak them.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from models.recipient import Verdict
from tests.integration.smtp_transport.transports import CONTENT, Allow, email, hand_over, on_both_loops, transport
from tests.secured_server import Secured, secured_server, trusting
from tests.smtp_log_server import SmtpLogServer


@pytest.fixture(params=["starttls", "tls"])
def secured(request: pytest.FixtureRequest) -> Iterator[tuple[str, Secured]]:
    with secured_server(implicit=request.param == "tls") as server:
        yield request.param, server


@pytest.mark.parametrize("offers", [[], ["250-PIPELINING"]], ids=["one by one", "pipelined"])
@on_both_loops
async def test_tls_and_auth_are_used_and_connections_kept(secured: tuple[str, Secured], offers: list[str]) -> None:
    tls, server = secured
    server.offers = offers
    way = transport(server, tls=tls, username="us", password="right", tls_context=trusting(), connections=1)
    assert [(await hand_over(way)).verdict for _ in range(3)] == [Verdict.SENT] * 3
    assert server.received == ["ola@example.com"] * 3
    stopped = await hand_over(way, permit=Allow(write_body=lambda: False))
    assert stopped.verdict is Verdict.NOT_HANDED_OVER
    assert (await hand_over(way)).verdict is Verdict.SENT


@on_both_loops
async def test_a_wrong_password_is_no_server_with_the_reply(secured: tuple[str, Secured]) -> None:
    tls, server = secured
    way = transport(server, tls=tls, username="us", password="wrong", tls_context=trusting())
    outcome = await hand_over(way)
    assert (outcome.verdict, outcome.smtp_code) == (Verdict.NO_SERVER, 535)
    assert "wrong" not in (outcome.reply or "")


@on_both_loops
async def test_a_certificate_that_is_not_trusted_is_no_server(secured: tuple[str, Secured]) -> None:
    tls, server = secured
    outcome = await hand_over(transport(server, tls=tls, username="us", password="right"))
    assert outcome.verdict is Verdict.NO_SERVER
    assert "certificate" in (outcome.reply or "").lower()
    assert server.received == []


@on_both_loops
async def test_beneath_tls_a_body_that_was_written_may_have_left_whatever_the_buffer_says(
    smtp_server: SmtpLogServer,
) -> None:
    """It counts what is not encrypted yet, or what is, as the loop likes: the dot may be with the kernel."""
    smtp_server.set(tls=True, stop_reading=True)
    written = asyncio.Event()

    def note() -> bool:
        written.set()
        return True

    large = CONTENT + (b"x" * 70 + b"\r\n") * 200_000
    way = transport(smtp_server, tls="tls", tls_context=trusting())
    task = hand_over(way, email(content=large), Allow(write_body=note))
    await written.wait()
    await asyncio.sleep(0)
    task.cancel()
    assert (await task).verdict is Verdict.IN_DOUBT


@on_both_loops
async def test_where_starttls_is_wanted_nothing_is_said_without_it(smtp_server: SmtpLogServer) -> None:
    outcome = await hand_over(transport(smtp_server, tls="starttls", username="us", password="right"))
    assert outcome.verdict is Verdict.NO_SERVER
    assert "STARTTLS" in (outcome.reply or "")
    assert (smtp_server.seen()["MAIL"], smtp_server.seen()["AUTH"]) == (0, 0)
