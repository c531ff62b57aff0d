"""Whole sends to servers of every kind, each with a pause in the middle, until the server is well and the send ends.

Judged by the server's own log: nobody twice, nobody lost, the counts add up, nothing between a pause and its resume.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from models.commands import Receipt, ReceiptOutcome
from models.message import MessageStatus
from models.recipient import RecipientStatus, Verdict
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.integration.smtp_transport.behaviors import BEHAVIORS, PIPELINED, PLAIN
from tests.secured_server import trusting
from tests.smtp_log_process import Script
from tests.smtp_log_server import Accepted, SmtpLogServer

RECIPIENTS = 100
CONNECTIONS = 4
#: Before each of a server's replies, so that a send lasts long enough to be paused; milliseconds.
SLOW = {"delay_ms": 6}
#: Whoever is refused for now is tried again as soon as timers allow, and nobody is given up.
PATIENT = {"first_wait": "1s", "longest_wait": "1s", "tries": 50, "max_age": "1h"}
#: Servers to which nothing is said that takes time: the send is over at once.
NO_TIME_TO_PAUSE = {"content too large for it"}
#: How an email ends by its verdict; every other one is sent in the end.
ENDS = {
    Verdict.BOUNCED: RecipientStatus.BOUNCED,
    Verdict.FAILED: RecipientStatus.FAILED,
    Verdict.IN_DOUBT: RecipientStatus.IN_DOUBT,
}


@pytest.fixture
def smtp_server(shared_smtp_server: SmtpLogServer) -> SmtpLogServer:
    """One process for the whole file, as new for each test."""
    shared_smtp_server.reset()
    return shared_smtp_server


async def begin(harness: Harness) -> str:
    """Send to everybody; return the message."""
    await harness.add_contacts(RECIPIENTS, prefix="r")
    message_id = await harness.draft()
    await harness.send(message_id, retry=PATIENT)
    return message_id


async def pause_and_resume(harness: Harness, message_id: str) -> None:
    """Pause in mid-send, hold the receipt against the ledger and the server's log, and go on."""
    await some_more_conversations(harness, message_id)
    paused = (await harness.use_cases.pause(message_id, asked_by())).receipt
    assert paused is not None
    assert paused.outcome is ReceiptOutcome.DONE
    counts = await harness.counts(message_id)
    assert paused.counts == counts.model_dump()
    assert counts == await harness.counted(message_id)
    assert (counts.claimed, counts.parts, counts.total) == (0, RECIPIENTS, RECIPIENTS)
    assert counts.sent <= len(harness.smtp.accepted()) <= counts.sent + counts.in_doubt
    assert paused.status_after == MessageStatus.PAUSED
    resumed = (await harness.use_cases.resume(message_id, asked_by())).receipt
    assert resumed is not None
    assert resumed.outcome is ReceiptOutcome.DONE
    assert not emails_between(harness, paused, resumed)


async def some_more_conversations(harness: Harness, message_id: str) -> None:
    """Wait until some more have begun, or connections were lost, or there is nobody left to be mailed."""
    before = harness.smtp.seen()

    async def enough() -> bool:
        seen = harness.smtp.seen() - before
        return seen["MAIL"] >= 15 or seen["lost"] >= 1 or await harness.status(message_id) is MessageStatus.SENT

    await eventually(enough, within=20)


def emails_between(harness: Harness, stop: Receipt, go: Receipt) -> list[Accepted]:
    assert stop.effective_at is not None
    assert go.effective_at is not None
    first, last = stop.effective_at.timestamp(), go.effective_at.timestamp()
    return [email for email in harness.smtp.accepted() if first < email.at < last]


async def how_they_ended(harness: Harness, message_id: str) -> set[RecipientStatus]:
    """Make sure of nobody twice and nobody lost; return the statuses there are."""
    await harness.assert_once_each(message_id)
    rows = await harness.pool.fetch(
        "select status, count(*), count(coalesce(reason, reply)) as told from recipients"
        " where message_id = $1 group by status",
        message_id,
    )
    assert sum(row["count"] for row in rows) == RECIPIENTS
    assert all(row["status"] == "sent" or row["told"] == row["count"] for row in rows), "somebody has no reason"
    return {RecipientStatus(row["status"]) for row in rows}


def be_well(server: SmtpLogServer, **script: Any) -> None:
    server.set(**{**dataclasses.asdict(Script()), **script})


@pytest.mark.parametrize("name", BEHAVIORS)
async def test_the_servers_log_and_the_ledger_agree(harness: Harness, name: str) -> None:
    """Pipelined: what each server does to commands sent one by one is seen without a ledger, in `smtp_transport`."""
    behavior = BEHAVIORS[name]
    harness.smtp.set(**{"offers": PIPELINED, **behavior.script, **SLOW})
    async with harness.worker(smtp_connections=CONNECTIONS):
        message_id = await begin(harness)
        if name not in NO_TIME_TO_PAUSE:
            await pause_and_resume(harness, message_id)
            await some_more_conversations(harness, message_id)
            be_well(harness.smtp)
        await harness.until(message_id, MessageStatus.SENT)
    ended = await how_they_ended(harness, message_id)
    assert ended >= ends(behavior.comes)
    assert ended <= {RecipientStatus.SENT} | ends(behavior.comes | behavior.may_come)


def ends(verdicts: set[Verdict]) -> set[RecipientStatus]:
    """How emails of which that comes end for good; all others are sent once the server is well."""
    return {ENDS[verdict] for verdict in verdicts if verdict in ENDS}


@pytest.mark.parametrize("number", [10, 100, 250, 600, 700, 5_000])
async def test_they_agree_wherever_connections_are_cut(harness: Harness, number: int) -> None:
    """At the greeting, in the envelope, in the body, between two emails, …"""
    harness.smtp.set(drop_after_bytes=number, **SLOW)
    async with harness.worker(smtp_connections=CONNECTIONS):
        message_id = await begin(harness)
        await pause_and_resume(harness, message_id)
        await some_more_conversations(harness, message_id)
        be_well(harness.smtp)
        await harness.until(message_id, MessageStatus.SENT)
    assert await how_they_ended(harness, message_id) <= {RecipientStatus.SENT, RecipientStatus.IN_DOUBT}


@pytest.mark.parametrize("offers", [PLAIN, PIPELINED], ids=["one by one", "pipelined"])
async def test_they_agree_when_the_server_dies_between_taking_an_email_and_saying_so(
    harness: Harness, offers: list[str]
) -> None:
    """Three times, and a pause while it is away."""
    server = harness.smtp
    deaths = 3
    async with harness.worker(smtp_connections=CONNECTIONS):
        message_id = await begin(harness)
        for death in range(deaths):
            await harness.until_left(10 * (death + 1))
            await die(server)
            if death == 1:
                await harness.use_cases.pause(message_id, asked_by())
                left = len(server.accepted())
            be_well(server.start(), offers=offers, **SLOW)
            if death == 1:
                assert len(server.accepted()) == left
                await harness.use_cases.resume(message_id, asked_by())
        be_well(server)
        await harness.until(message_id, MessageStatus.SENT)
    assert await how_they_ended(harness, message_id) == {RecipientStatus.SENT, RecipientStatus.IN_DOUBT}
    assert deaths <= (await harness.counts(message_id)).in_doubt <= deaths * CONNECTIONS


async def die(server: SmtpLogServer) -> None:
    """Let the server end with the next email that it takes."""
    process = server.process
    assert process is not None
    server.set(die_at_dot=True)
    await eventually(lambda: process.poll() is not None)
    server.stop()


@pytest.mark.parametrize("offers", [PLAIN, PIPELINED], ids=["one by one", "pipelined"])
@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_they_agree_where_tls_and_auth_are_demanded(
    harness: Harness, tls: Literal["starttls", "tls"], offers: list[str]
) -> None:
    """First by a worker with the wrong password, from whom nothing is taken and of whom nothing is left."""
    demands = ["AUTH", "STARTTLS"] if tls == "starttls" else ["AUTH"]
    harness.smtp.set(offers=[*offers, "STARTTLS", "AUTH PLAIN"], demands=demands, tls=tls == "tls", **SLOW)
    login = {"smtp_connections": CONNECTIONS, "smtp_tls": tls, "smtp_username": "us"}
    async with harness.worker(tls_context=trusting(), **login, smtp_password=SecretStr("wrong")):
        message_id = await begin(harness)

        async def evidence() -> bool:
            return "5.7.8 Wrong" in str((await harness.handle(message_id).query("get_progress"))["no_server"])

        await eventually(evidence, within=20)
        assert harness.smtp.accepted() == []
        await harness.use_cases.pause(message_id, asked_by())
        assert (await harness.counts(message_id)).pending == RECIPIENTS
    async with harness.worker(tls_context=trusting(), **login, smtp_password=SecretStr("right")):
        await harness.use_cases.resume(message_id, asked_by())
        await pause_and_resume(harness, message_id)
        await harness.until(message_id, MessageStatus.SENT)
    assert await how_they_ended(harness, message_id) == {RecipientStatus.SENT}
