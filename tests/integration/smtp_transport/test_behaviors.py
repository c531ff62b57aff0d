"""Servers of every kind, judged by their own log: who got an email, against what the transport says became of it.

Every test runs on asyncio's event loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pytest

from activities.ports import Email
from activities.smtp import SmtpTransport
from models.recipient import Verdict
from tests.eventually import eventually
from tests.integration.smtp_transport.behaviors import BEHAVIORS, GIVEN_BACK, PIPELINED, PLAIN
from tests.integration.smtp_transport.transports import CONTENT, hand_over, on_both_loops, transport
from tests.secured_server import trusting
from tests.smtp_log_process import Script
from tests.smtp_log_server import SmtpLogServer

EMAILS = [Email("news@shop.example", f"r{number}@example.com", CONTENT) for number in range(40)]


@pytest.mark.parametrize("offers", [PLAIN, PIPELINED], ids=["one by one", "pipelined"])
@pytest.mark.parametrize("name", BEHAVIORS)
@on_both_loops
async def test_the_servers_log_and_the_outcomes_agree(smtp_server: SmtpLogServer, name: str, offers: list[str]) -> None:
    behavior = BEHAVIORS[name]
    smtp_server.set(**{"offers": offers, **behavior.script})
    way = transport(smtp_server, connections=4)
    outcomes = await hand_over_all(way, EMAILS)
    verdicts = set(outcomes.values())
    assert verdicts >= behavior.comes
    assert verdicts <= {Verdict.SENT} | behavior.comes | behavior.may_come
    assert_log_agrees(smtp_server, outcomes)
    assert smtp_server.seen()["body for nobody"] == 0
    smtp_server.set(**dataclasses.asdict(Script(offers=offers)))
    await eventually(lambda: all_are_settled(way, outcomes), within=20)
    assert_log_agrees(smtp_server, outcomes)


async def hand_over_all(way: SmtpTransport, emails: Iterable[Email]) -> dict[Email, Verdict]:
    """Hand all over side by side; return what became of each."""
    emails = list(emails)
    outcomes = await asyncio.gather(*(hand_over(way, email) for email in emails))
    return {email: outcome.verdict for email, outcome in zip(emails, outcomes, strict=True)}


async def all_are_settled(way: SmtpTransport, outcomes: dict[Email, Verdict]) -> bool:
    """Hand over again what was given back; return whether nothing is left."""
    given_back = [email for email, verdict in outcomes.items() if verdict in GIVEN_BACK]
    outcomes.update(await hand_over_all(way, given_back))
    return not given_back


def assert_log_agrees(server: SmtpLogServer, outcomes: dict[Email, Verdict]) -> None:
    """Nobody twice, whoever was sent one has it, and nobody else but who is in doubt."""
    accepted = Counter(row.recipient for row in server.accepted())
    for email, verdict in outcomes.items():
        times = accepted.pop(email.recipient, 0)
        if verdict is Verdict.IN_DOUBT:
            assert times <= 1, (email.recipient, verdict)
        else:
            assert times == int(verdict is Verdict.SENT), (email.recipient, verdict)
    assert accepted == {}
    assert {row.sha1 for row in server.accepted()} <= {hashlib.sha1(CONTENT).hexdigest()}


@pytest.mark.parametrize("offers", [PLAIN, PIPELINED], ids=["one by one", "pipelined"])
@on_both_loops
async def test_they_agree_wherever_the_connection_is_cut(smtp_server: SmtpLogServer, offers: list[str]) -> None:
    email = Email("n@a.example", "o@b.example", b"Subject: x\r\n\r\n.\r\n")
    verdicts: list[Verdict] = []
    while Verdict.SENT not in verdicts:  # one byte further each time
        smtp_server.reset()
        smtp_server.set(offers=offers, drop_after_bytes=len(verdicts) + 1)
        way = transport(smtp_server, connections=1)
        verdicts.append((await hand_over(way, email)).verdict)
        await way.aclose()
        possible = {Verdict.SENT: [1], Verdict.IN_DOUBT: [0, 1]}.get(verdicts[-1], [0])
        assert len(smtp_server.accepted()) in possible, verdicts
        assert len(verdicts) < 500
    assert verdicts.count(Verdict.NO_SERVER) > 30
    assert verdicts.count(Verdict.IN_DOUBT) > 10
    assert set(verdicts) <= {Verdict.NO_SERVER, Verdict.NOT_HANDED_OVER, Verdict.IN_DOUBT, Verdict.SENT}


@pytest.mark.parametrize("offers", [PLAIN, PIPELINED], ids=["one by one", "pipelined"])
@on_both_loops
async def test_they_agree_when_the_server_dies_between_taking_an_email_and_saying_so(
    tmp_path: Path, offers: list[str]
) -> None:
    with SmtpLogServer(tmp_path, offers=offers, die_at_dot=True) as server:
        way = transport(server, connections=4)
        outcomes = await hand_over_all(way, EMAILS)
        assert Verdict.IN_DOUBT in outcomes.values()
        assert len(server.accepted()) == 1
        assert_log_agrees(server, outcomes)
        server.stop()
        server.start()
        server.set(die_at_dot=False)
        await eventually(lambda: all_are_settled(way, outcomes), within=20)
        assert_log_agrees(server, outcomes)


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
@on_both_loops
async def test_what_is_pipelined_is_pipelined_with_tls_and_auth_too(
    smtp_server: SmtpLogServer, tls: Literal["none", "starttls", "tls"]
) -> None:
    smtp_server.set(offers=[*PIPELINED, "STARTTLS", "AUTH PLAIN"], tls=tls == "tls")
    way = transport(smtp_server, connections=1, tls=tls, username="us", password="right", tls_context=trusting())
    assert (await hand_over(way, EMAILS[0])).verdict is Verdict.SENT
    before = smtp_server.seen()
    outcomes = await hand_over_all(way, EMAILS[1:11])
    assert_log_agrees(smtp_server, {**outcomes, EMAILS[0]: Verdict.SENT})
    seen = smtp_server.seen() - before
    assert (seen["packet"], seen["dot"], seen["connect"]) == (20, 10, 0)
