"""The transport against a real SMTP server in another process: what is promised of every way a hand-over can end.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from aiosmtplib.protocol import SMTPProtocol

from activities.ports import Email
from activities.smtp import SmtpTransport
from client.local.postgres import free_port
from models.recipient import Outcome, Verdict
from tests.eventually import eventually
from tests.smtp_log_server import SmtpLogServer

CERTIFICATE = Path(__file__).parent.parent / "certificates" / "localhost.pem"
FOREVER_MS = 600_000
CONTENT = b"From: news@shop.example\r\nSubject: Hello\r\nMessage-ID: <1@shop.example>\r\n\r\n.\r\n..two\r\nend\r\n"


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpLogServer]:
    with SmtpLogServer(tmp_path_factory.mktemp("smtp")) as server:
        yield server


@pytest.fixture
def smtp_server(shared_server: SmtpLogServer) -> SmtpLogServer:
    """One process for the whole file, as new for each test."""
    shared_server.reset()
    return shared_server


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test on a loop of its own, once of each kind."""

    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **fixtures: Any) -> None:
        async def main() -> None:
            try:
                await test(**fixtures)
            finally:  # also when it fails: uvloop never ends over a transport that was left open
                await asyncio.gather(*(_open.pop().aclose() for _ in list(_open)))

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    parameters = inspect.signature(test).parameters.values()
    ours = inspect.Parameter("new_loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = inspect.Signature([*parameters, ours])  # type: ignore[attr-defined]  # what pytest reads
    kinds = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]
    both: Callable[..., None] = pytest.mark.parametrize("new_loop", kinds)(run)
    return both


class Allow:
    """A permit that allows, and can be told to do something when it is asked."""

    def __init__(self, start: Callable[[], bool] = lambda: True, write_body: Callable[[], bool] = lambda: True) -> None:
        self.may_start = start
        self.may_write_body = write_body


def email(recipient: str = "ola@example.com", content: bytes = CONTENT) -> Email:
    return Email("news@shop.example", recipient, content)


def transport(server: SmtpLogServer | Secured, **options: Any) -> SmtpTransport:
    """Return a transport that is closed at the end of the test."""
    way = SmtpTransport("127.0.0.1", server.port, **{"timeout": timedelta(seconds=20), **options})
    _open.append(way)
    return way


_open: list[SmtpTransport] = []


def hand_over(way: SmtpTransport, sent: Email | None = None, permit: Allow | None = None) -> asyncio.Task[Outcome]:
    return asyncio.ensure_future(way.hand_over(sent or email(), permit or Allow()))


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
    assert (await hand_over(way)).verdict is Verdict.SENT


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
    assert (await hand_over(way)).verdict is Verdict.SENT


@on_both_loops
async def test_a_reply_that_does_not_come_in_time_gives_back_before_the_dot_and_is_in_doubt_after_it(
    smtp_server: SmtpLogServer,
) -> None:
    def slow() -> bool:
        smtp_server.set(delay_ms=FOREVER_MS)
        return True

    way = transport(smtp_server, timeout=timedelta(seconds=0.3))
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
async def test_the_permit_is_asked_again_after_the_wait_for_a_connection(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1)
    allowed = True
    smtp_server.set(delay_ms=50)
    first = hand_over(way)
    second = hand_over(way, permit=Allow(start=lambda: allowed))
    await eventually(lambda: smtp_server.seen()["MAIL"])
    allowed = False
    assert (await first).verdict is Verdict.SENT
    assert (await second).verdict is Verdict.NOT_HANDED_OVER
    assert smtp_server.seen()["MAIL"] == 1


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


# -------------------------------------------------------------------------------------------------------- cancellation


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
    way = transport(smtp_server, connections=1)
    smtp_server.set(delay_ms=100)
    task = hand_over(way)
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
async def test_canceled_while_waiting_for_a_connection_gives_back(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1)
    smtp_server.set(delay_ms=50)
    first = hand_over(way)
    second = hand_over(way)
    await eventually(lambda: smtp_server.seen()["MAIL"])
    second.cancel()
    assert (await second).verdict is Verdict.NOT_HANDED_OVER
    assert (await first).verdict is Verdict.SENT
    assert smtp_server.seen()["MAIL"] == 1
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


@on_both_loops
async def test_a_large_body_arrives_whole(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    large = CONTENT + (b"." + b"x" * 70 + b"\r\n") * 20_000
    assert (await hand_over(way, email(content=large))).verdict is Verdict.SENT
    assert smtp_server.accepted()[0].sha1 == hashlib.sha1(large).hexdigest()


# --------------------------------------------------------------------------------------------------------- connections


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
    await eventually(lambda: not way._idle[0].is_open)
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert (smtp_server.seen()["connect"], len(smtp_server.accepted())) == (3, 3)


@on_both_loops
async def test_a_server_that_refuses_a_reused_connection_is_tried_afresh_once(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1)
    assert (await hand_over(way)).verdict is Verdict.SENT
    smtp_server.refuse(".*", "421 4.4.2 Idle for too long", at="mail")
    assert (await hand_over(way)).verdict is Verdict.NO_SERVER
    assert (smtp_server.seen()["connect"], smtp_server.seen()["MAIL"]) == (2, 3)


@on_both_loops
async def test_a_connection_that_cannot_be_reset_is_replaced(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1)
    rules = [("rcpt", "^no", "550 5.1.1 No"), ("rset", "", "500 5.5.1 What?")]
    smtp_server.set(refuse=[{"at": at, "pattern": pattern, "reply": reply} for at, pattern, reply in rules])
    assert (await hand_over(way, email("no@example.com"))).verdict is Verdict.BOUNCED
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert (smtp_server.seen()["RSET"], smtp_server.seen()["connect"]) == (1, 2)


@on_both_loops
async def test_a_closed_transport_hands_nothing_over(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server)
    await way.aclose()
    assert (await hand_over(way)).verdict is Verdict.NOT_HANDED_OVER
    assert smtp_server.seen()["connect"] == 0


# ------------------------------------------------------------------------------------------------- addresses, TLS, AUTH


@on_both_loops
async def test_international_addresses_need_a_server_that_offers_smtputf8(smtp_server: SmtpLogServer) -> None:
    way = transport(smtp_server, connections=1)
    assert (await hand_over(way, email("grüße@example.com"))).verdict is Verdict.SENT
    assert smtp_server.accepted()[0].recipient == "grüße@example.com"
    smtp_server.set(smtputf8=False)
    way = transport(smtp_server, connections=1)
    outcome = await hand_over(way, email("grüße@example.com"))
    assert outcome.verdict is Verdict.FAILED
    assert "SMTPUTF8" in (outcome.reply or "")
    assert (await hand_over(way)).verdict is Verdict.SENT
    assert smtp_server.seen()["connect"] == 2


class Secured:
    """aiosmtpd, by other hands than ours: STARTTLS or TLS, and AUTH with the user `us` and the password `right`."""

    def __init__(self, *, implicit: bool) -> None:
        self.received: list[str] = []
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


@on_both_loops
async def test_tls_and_auth_are_used_and_connections_kept(secured: tuple[str, Secured]) -> None:
    tls, server = secured
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
