"""Whole sends by worker processes to aiosmtpd, which demands TLS and AUTH: what settings and certificates come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.secured_server import CERTIFICATE, Secured, secured_server

RECIPIENTS = 300


def settings(server: Secured, tls: str, **changes: str) -> dict[str, str]:
    return {
        "SENDGATE_SMTP_PORT": str(server.port),
        "SENDGATE_SMTP_TLS": tls,
        "SENDGATE_SMTP_USERNAME": "us",
        "SENDGATE_SMTP_PASSWORD": "right",
    } | changes


async def until_it_says(harness: Harness, message_id: str, what: str) -> None:
    """Wait until the workflow waits for the next hop, and `what` is in the reason."""

    async def told() -> bool:
        progress: dict[str, Any] = await harness.handle(message_id).query("get_progress")
        return what in str(progress["no_server"])

    await eventually(told, within=30)


@asynccontextmanager
async def worker(harness: Harness, log: Path, settings: dict[str, str]) -> AsyncIterator[None]:
    """A worker process, drained at the end."""
    with harness.worker_process(log, **settings) as process:
        yield
        process.terminate()
        await eventually(lambda: process.poll() is not None, within=60)


@pytest.mark.parametrize(("tls", "offers"), [("starttls", ["250-PIPELINING"]), ("tls", [])])
async def test_everybody_gets_it_once_when_the_certificate_and_the_password_are_mended(
    harness: Harness, tmp_path: Path, tls: str, offers: list[str]
) -> None:
    await harness.prepare_server()
    await harness.add_contacts(RECIPIENTS)
    message_id = await harness.draft()
    with secured_server(implicit=tls == "tls") as server:
        server.offers = offers
        await harness.send(message_id, emails_per_second=250)
        async with worker(harness, tmp_path / "1.log", settings(server, tls)):
            await until_it_says(harness, message_id, "certificate")
        trusted = {"SSL_CERT_FILE": str(CERTIFICATE)}
        wrong = settings(server, tls, SENDGATE_SMTP_PASSWORD="wrong", **trusted)
        async with worker(harness, tmp_path / "2.log", wrong):
            await until_it_says(harness, message_id, "Authentication credentials invalid")
        assert server.received == []
        async with worker(harness, tmp_path / "3.log", settings(server, tls, **trusted)):
            await eventually(lambda: len(server.received) >= 20, within=60)
            await harness.use_cases.pause(message_id, asked_by())
            left = len(server.received)
            counts = await harness.counts(message_id)
            assert (counts.sent, counts.pending) == (left, RECIPIENTS - left)
            assert left < RECIPIENTS
            await harness.use_cases.resume(message_id, asked_by())
            await harness.until(message_id, MessageStatus.SENT)
    assert Counter(server.received) == {f"c{number}@example.com": 1 for number in range(1, RECIPIENTS + 1)}
    counts = await harness.counts(message_id)
    assert (counts.sent, counts) == (RECIPIENTS, await harness.counted(message_id))
