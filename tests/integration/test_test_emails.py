"""Test emails share connections to the next hop, in the API and in a command line without it."""

from __future__ import annotations

import asyncio

import pytest

from client.direct import Servers
from models.recipient import Verdict
from tests.eventually import eventually
from tests.harness import Harness

ME = ["me@example.org"]


@pytest.fixture
async def draft(harness: Harness) -> str:
    await harness.add_contacts(1)
    return await harness.draft()


async def test_test_emails_keep_one_connection_and_it_is_closed_at_the_end(harness: Harness, draft: str) -> None:
    servers = Servers(harness.settings())
    use = servers.use_cases(harness.pool)
    for _ in range(10):
        assert [one.verdict for one in await use.send_test(draft, ME)] == [Verdict.SENT]
    seen = harness.smtp.seen()
    assert (seen["connect"], seen["open"]) == (1, 1)
    await servers.aclose()
    await eventually(lambda: harness.smtp.seen()["open"] == 0)
    assert len(harness.smtp.accepted()) == 10


async def test_many_test_emails_at_once_take_no_more_connections_than_are_set(harness: Harness, draft: str) -> None:
    harness.smtp.set(delay_ms=5.0)
    servers = Servers(harness.settings(smtp_connections=3))
    use = servers.use_cases(harness.pool)
    sent = await asyncio.gather(*(use.send_test(draft, ME) for _ in range(12)))
    assert [one.verdict for each in sent for one in each] == [Verdict.SENT] * 12
    assert harness.smtp.seen()["connect"] <= 3
    await servers.aclose()
    await eventually(lambda: harness.smtp.seen()["open"] == 0)


async def test_a_connection_that_the_server_closed_idle_fails_no_test_email(harness: Harness, draft: str) -> None:
    servers = Servers(harness.settings())
    use = servers.use_cases(harness.pool)
    for _ in range(3):
        assert [one.verdict for one in await use.send_test(draft, ME)] == [Verdict.SENT]
        harness.smtp.drop_connections()
    assert len(harness.smtp.accepted()) == 3
    await servers.aclose()
