"""Looking at a send over the API: progress, once and live, and the recipients, in pages and as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from client.api import looking
from models.api_keys import Role
from models.message import MessageStatus
from tests.api.api import ADMIN_KEY, Api
from tests.api.served import served
from tests.api.slow_reader import pages_of_recipients, reading
from tests.api.test_messages import MESSAGES


@pytest.fixture
async def sent(api: Api) -> str:
    """A message with 25 recipients, to whom it was sent."""
    await api.harness.add_contacts(25)
    await api.harness.prepare_server()
    draft = await api.harness.draft()
    async with api.harness.worker():
        await api.ok("PUT", f"{MESSAGES}/{draft}/send")
        await api.harness.until(draft, MessageStatus.SENT)
    return draft


async def test_progress_adds_up(api: Api, sent: str) -> None:
    progress = await api.ok("GET", f"{MESSAGES}/{sent}/progress")
    assert progress["status"] == "sent"
    assert progress["counts"]["total"] == progress["counts"]["sent"] == 25


async def test_the_stream_of_a_finished_message_ends_by_itself(api: Api, sent: str) -> None:
    response = await api("GET", f"{MESSAGES}/{sent}/progress/stream")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    first, second = response.text.strip().split("\n\n")
    assert first.startswith("event: progress\ndata: ")
    assert json.loads(first.partition("data: ")[2]) == await api.ok("GET", f"{MESSAGES}/{sent}/progress")
    assert second == first.replace("event: progress", "event: end")


async def events_of(response: httpx.Response) -> AsyncIterator[str]:
    async for line in response.aiter_lines():
        if line.startswith(("data: ", ": ", "event: end")):
            yield line


async def test_a_stream_tells_every_change_until_the_message_is_final(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LOOK_EVERY_SECONDS", 0.02)
    await api.harness.add_contacts(5)
    draft = await api.harness.draft()
    statuses: list[str] = []
    async with served(api) as client, client.stream("GET", f"{MESSAGES}/{draft}/progress/stream") as response:
        async for event in events_of(response):
            if event == "event: end":
                break
            statuses.append(json.loads(event.removeprefix("data: "))["status"])
            if statuses == ["draft"]:
                await api.ok("PUT", f"{MESSAGES}/{draft}/send", json={"at": "2030-01-01T00:00:00Z"})
            elif statuses[-1] == "scheduled":
                async with api.harness.worker():
                    await api.ok("PUT", f"{MESSAGES}/{draft}/cancel")
    assert statuses[0] == "draft"
    assert "scheduled" in statuses
    assert statuses[-1] == "canceled"


async def test_a_silent_stream_shows_that_it_lives_and_ends_when_the_server_does(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LOOK_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(looking, "HEARTBEAT_EVERY_SECONDS", 0.1)
    await api.harness.add_contacts(1)
    draft = await api.harness.draft()
    async with served(api) as client, client.stream("GET", f"{MESSAGES}/{draft}/progress/stream") as response:
        events = events_of(response)
        assert (await anext(events)).startswith("data: ")
        assert await anext(events) == ": still here"
        api.stopping.set()
        async with asyncio.timeout(5):
            assert [event async for event in events if event == "event: end"] == []


async def revoked(api: Api, draft: str) -> None:
    (key,) = await api.harness.use_cases.keys()
    await api.ok("DELETE", f"/v1/keys/{key.id}")


async def deleted(api: Api, draft: str) -> None:
    await api.ok("DELETE", f"{MESSAGES}/{draft}")


async def cut_off(api: Api, draft: str) -> None:
    await api.harness.cut_off_whoever_reads("messages")


@pytest.mark.parametrize("happens", [revoked, deleted, cut_off])
async def test_a_stream_that_nobody_may_or_can_follow_any_more_ends_as_it_should(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    happens: Callable[[Api, str], Awaitable[None]],
) -> None:
    """Its body is whole: a client of HTTP sees an end, and no connection that broke."""
    monkeypatch.setattr(looking, "LOOK_EVERY_SECONDS", 0.02)
    await api.harness.add_contacts(1)
    draft = await api.harness.draft()
    headers = {"Authorization": f"Bearer {await api.key(Role.VIEWER)}"}
    async with (
        served(api) as client,
        client.stream("GET", f"{MESSAGES}/{draft}/progress/stream", headers=headers) as response,
    ):
        events = events_of(response)
        assert (await anext(events)).startswith("data: ")
        await happens(api, draft)
        async with asyncio.timeout(5):
            assert [event async for event in events] == []
    assert not caplog.records


async def test_pages_and_csv_hold_every_recipient_once(api: Api, sent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{MESSAGES}/{sent}/recipients"
    seen: list[str] = []
    after = 0
    while True:
        page = await api.ok("GET", path, params={"limit": "10", "after": str(after)})
        seen += [row["address"] for row in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == [f"c{number}@example.com" for number in range(1, 26)]
    monkeypatch.setattr(looking, "_ROWS_A_PAGE", 7)
    response = await api("GET", path, headers={"Accept": "text/csv"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["address"] for row in rows] == seen
    assert {row["status"] for row in rows} == {"sent"}
    assert rows[0]["handed_over_at"].endswith("+00:00")
    assert (await api("GET", path, params={"status": "bounced"}, headers={"Accept": "text/csv"})).text.count("\n") == 1
    assert (await api.ok("GET", path, params={"status": ["bounced", "failed"]}))["items"] == []
    for query, field in (
        ("status=lost", "status.0"),
        ("limit=0", "limit"),
        ("after=-1", "after"),
        ("after=x", "after"),
    ):
        assert field in (await api.refused(422, "GET", f"{path}?{query}"))["details"]["fields"]


async def test_a_csv_reads_a_page_only_when_the_one_before_it_is_taken(
    api: Api, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So of a million recipients memory holds a page, however slow the reader is."""
    monkeypatch.setattr(looking, "_ROWS_A_PAGE", 7)
    pages = pages_of_recipients(api.harness.use_cases, monkeypatch)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Accept": "text/csv"}
    async with reading(api.app, f"{MESSAGES}/{sent}/recipients", headers) as reader:
        assert (await reader.piece()).startswith(b"contact_id,")
        for number in range(1, 5):
            rows = await reader.piece()
            assert rows.count(b"\n") == (7 if number < 4 else 4)
            assert len(pages) == number
        assert await reader.piece() == b""


async def test_a_refused_key_gets_no_stream(api: Api) -> None:
    assert (await api("GET", f"{MESSAGES}/x/progress/stream", key=None)).status_code == 401
    assert (await api("GET", f"{MESSAGES}/x/progress/stream", key=ADMIN_KEY)).status_code == 404
