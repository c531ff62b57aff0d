"""TLS from the start, STARTTLS and AUTH, with aiosmtpd as the server where one must speak them.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from client.local.postgres import free_port
from models.recipient import Verdict
from tests.integration.smtp_transport.transports import Allow, hand_over, on_both_loops, transport
from tests.smtp_log_server import SmtpLogServer

CERTIFICATE = Path(__file__).parent.parent.parent / "certificates" / "localhost.pem"


class Secured:
    """aiosmtpd, by other hands than ours: STARTTLS or TLS, and AUTH with the user `us` and the password `right`."""

    def __init__(self, *, implicit: bool) -> None:
        self.received: list[str] = []
        self.offers: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        security = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
        self.port = free_port()
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self.authenticate,
            auth_required=True,
            auth_require_tls=not implicit,  # aiosmtpd knows only of TLS that began with STARTTLS
            **security,
        )

    def authenticate(
        self, server: object, session: object, envelope: object, mechanism: str, data: object
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"us", b"right")
        return AuthResult(success=right, handled=False)

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name
        self, server: object, session: Any, envelope: object, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], *self.offers, responses[-1]]

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.received += envelope.rcpt_tos
        return "250 2.0.0 Ok"


@pytest.fixture(params=["starttls", "tls"])
def secured(request: pytest.FixtureRequest) -> Iterator[tuple[str, Secured]]:
    server = Secured(implicit=request.param == "tls")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # aiosmtpd's own: the thread it runs in, AUTH without STARTTLS
        server.controller.start()
        yield request.param, server
        server.controller.stop()


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


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
async def test_where_starttls_is_wanted_nothing_is_said_without_it(smtp_server: SmtpLogServer) -> None:
    outcome = await hand_over(transport(smtp_server, tls="starttls", username="us", password="right"))
    assert outcome.verdict is Verdict.NO_SERVER
    assert "STARTTLS" in (outcome.reply or "")
    assert (smtp_server.seen()["MAIL"], smtp_server.seen()["AUTH"]) == (0, 0)
