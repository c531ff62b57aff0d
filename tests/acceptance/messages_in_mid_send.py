"""Messages for the runbooks, stopped or going in mid-send, and what is checked of them when they have ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness, asked_by

SIZE = 300


async def paused_in_mid_send(harness: Harness, **changes: Any) -> str:
    message_id = await in_mid_send(harness, **changes)
    await harness.use_cases.pause(message_id, asked_by("looking"))
    counts = await harness.counts(message_id)
    assert counts.sent >= 10
    assert counts.pending >= 10
    return message_id


async def in_mid_send(harness: Harness, **changes: Any) -> str:
    """A message of which some are sent, and which goes on for ten seconds more: a new process may take its time."""
    message_id = await harness.draft(**changes)
    await harness.send(message_id)
    await until_some_are_sent(harness, message_id)
    return message_id


async def until_some_are_sent(harness: Harness, message_id: str) -> None:
    harness.smtp.set(delay_ms=20)

    async def some_are_sent() -> bool:
        return (await harness.counts(message_id)).sent >= 10

    await eventually(some_are_sent)
    harness.smtp.set(delay_ms=250)


@asynccontextmanager
async def stalled(harness: Harness, **changes: Any) -> AsyncIterator[str]:
    """A message that is `sending` while no worker runs, so that nothing moves and no stop is confirmed."""
    async with harness.worker(lanes=1):
        message_id = await in_mid_send(harness, **changes)
    assert await harness.status(message_id) is MessageStatus.SENDING
    yield message_id


async def finish(harness: Harness, message_id: str) -> None:
    harness.smtp.set(delay_ms=0)
    await harness.until(message_id, MessageStatus.SENT)


async def a_list(harness: Harness, number: int, size: int = SIZE) -> str:
    """Contacts of their own: the list's name."""
    name = f"list{number}x"
    await harness.add_contacts(size, list_name=name, prefix=name)
    return name


def assert_everybody_once(harness: Harness, number: int, size: int = SIZE) -> None:
    """That each of a list was mailed once over all messages, judged by the SMTP server's own log."""
    prefix = f"list{number}x"
    addresses = [email.recipient for email in harness.smtp.accepted() if email.recipient.startswith(prefix)]
    assert sorted(addresses) == sorted(f"{prefix}{n}@example.com" for n in range(1, size + 1))


async def checksum(harness: Harness) -> dict[str, str]:
    """A checksum of every table."""
    tables = await harness.pool.fetch("select tablename as name from pg_tables where schemaname = 'public'")
    return {
        table["name"]: await harness.pool.fetchval(
            f"select coalesce(md5(string_agg(t::text, '' order by t::text)), '') from {table['name']} as t"
        )
        for table in tables
    }
