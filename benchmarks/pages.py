"""How long does a page take among ten thousand messages and a million contacts?

Over HTTP from a process of its own, as a browser asks. What is about the whole audience (who would be mailed now, by
zone) counts a million rows: no page waits for it, a script asks for it when the page is there. It stands apart.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx

from benchmarks.figures import Findings, percentile
from benchmarks.postfix import Postfix, next_hop
from benchmarks.stack import Stack, open_stack
from models.message import MessageStatus

MOST_SECONDS = 0.200
_TIMES = 20
_SCHEDULED = 25  # a page of them; sending each counts everybody
_ADMIN_KEY = "the-key-of-the-benchmark"
_RATE_OF_THE_PAUSED = 1_000.0


async def measure(postfix: Postfix | None, *, messages: int, people: int) -> Findings:
    """Ask for every kind of page, in turns, and for the same lists from the API."""
    async with open_stack() as stack:
        await stack.add_contacts(people, "everybody")
        with next_hop(postfix, stack.folder) as (port, _):
            async with stack.worker(port):
                paused = await stack.send_and_pause("everybody", emails_per_second=_RATE_OF_THE_PAUSED)
                draft = await _fill(stack, messages)
                async with _browser(stack) as browser:
                    looked_through = await _ask(browser, _pages(paused, draft, await _middle(stack)), times=_TIMES)
                    counted = await _ask(browser, _about_the_audience(paused, draft), times=3)
    found = Findings(f"pages with {messages:,} messages and {people:,} contacts, one of the messages to all of them")
    found.figures = {"messages": messages, "people": people, "seconds": looked_through, "counted_seconds": counted}
    for name, seconds in looked_through.items():
        worst = percentile(seconds, 0.95)
        measured = f"{percentile(seconds, 0.5) * 1000:,.0f} ms, 95th percentile {worst * 1000:,.0f} ms"
        found.add(name, measured, f"< {MOST_SECONDS * 1000:.0f} ms", worst < MOST_SECONDS)
    for name, seconds in counted.items():
        found.add(f"{name} (counts the audience)", f"{percentile(seconds, 0.5) * 1000:,.0f} ms")
    return found


async def _fill(stack: Stack, messages: int) -> str:
    """Write messages until there are so many, some of them scheduled; return a draft's id."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    for number in range(_SCHEDULED):
        await stack.send("everybody", name=f"Later {number}", at=at + timedelta(minutes=number))
    draft = await stack.draft("everybody", name="June news")
    statuses = [MessageStatus.DRAFT, MessageStatus.SENT, MessageStatus.CANCELED]
    await stack.pool.execute(
        "insert into messages (id, name, from_address, subject, html, text, audience, status, created_at)"
        " select 'bench' || n, 'News ' || n, from_address, subject, html, text, audience,"
        " ($3::message_status[])[1 + n % 3], created_at - n * interval '1 hour'"
        " from messages, generate_series(1, $2::int) as n where id = $1",
        draft,
        messages - _SCHEDULED - 2,
        statuses,
        timeout=120,
    )
    await stack.pool.execute("vacuum analyze", timeout=600)
    return draft


async def _middle(stack: Stack) -> int:
    """Return the id of a contact in the midst of all."""
    return int(await stack.pool.fetchval("select id from contacts offset (select count(*) / 2 from contacts) limit 1"))


@asynccontextmanager
async def _browser(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is signed in at an API of its own."""
    async with (
        stack.api(_ADMIN_KEY) as (url, _),
        httpx.AsyncClient(base_url=url, headers={"Accept": "text/html"}, timeout=60) as browser,
    ):
        token = _token((await browser.get("/sign-in")).text)
        signed_in = await browser.post("/sign-in", data={"csrf": token, "key": _ADMIN_KEY, "next": "/messages"})
        assert signed_in.is_redirect, signed_in.text
        yield browser


def _token(page: str) -> str:
    """Return what shows that a form was made for this browser."""
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token is not None
    return token[1]


def _pages(paused: str, draft: str, contact: int) -> Mapping[str, str]:
    """Name → address of what one looks through."""
    return {
        "Messages, drafts": "/messages?tab=drafts",
        "Messages, scheduled": "/messages?tab=scheduled",
        "Messages, sent": "/messages?tab=sent",
        "Messages, searched": "/messages?tab=sent&q=News+77",
        "a message in mid-send": f"/messages/{paused}",
        "its recipients": f"/messages/{paused}/recipients",
        "its recipients, those pending": f"/messages/{paused}/recipients?status=pending",
        "its history": f"/messages/{paused}/history",
        "who is in doubt": f"/messages/{paused}/in-doubt",
        "a cancel, the question": f"/messages/{paused}/cancel",
        "the editor": f"/messages/{draft}/edit",
        "a preview": f"/messages/{draft}/preview",
        "the schedule form": f"/messages/{draft}/send",
        "a resume, the question": f"/messages/{paused}/resume",
        "Contacts": "/contacts",
        "Contacts, searched": "/contacts?q=everybody77777",
        "a contact": f"/contacts/{contact}",
        "Lists": "/lists",
        "a list": "/lists/members?list=everybody",
        "Suppressions": "/suppressions",
        "API, a page of messages": "/v1/batchmessages?limit=100",
        "API, progress": f"/v1/batchmessages/{paused}/progress",
        "API, a page of recipients": f"/v1/batchmessages/{paused}/recipients?limit=100",
        "API, a page of contacts": "/v1/contacts?limit=100",
    }


def _about_the_audience(paused: str, draft: str) -> Mapping[str, str]:
    """Name → address of what counts everybody; behind a # what is asked of the page's form."""
    return {
        "the plan of the schedule form": f"/messages/{draft}/send#plan",
        "what a resume would do": f"/messages/{paused}/resume#look",
        "API, the audience's size": f"/v1/batchmessages/{draft}/audience-preview",
    }


async def _ask(browser: httpx.AsyncClient, pages: Mapping[str, str], *, times: int) -> dict[str, list[float]]:
    """Return name → the seconds of each time. Once for nothing, so that every connection to the database is warm."""
    taken: dict[str, list[float]] = {name: [] for name in pages}
    for turn in range(times + 1):
        for name, address in pages.items():
            key = {"Authorization": f"Bearer {_ADMIN_KEY}"} if address.startswith("/v1") else {}
            path, _, asked = address.partition("#")
            token = _token((await browser.get(path)).text) if asked else None
            began = time.perf_counter()
            if token is not None:
                answer = await browser.post(path, data={"csrf": token, "do": asked})
            else:
                answer = await browser.get(path, headers=key)
            seconds = time.perf_counter() - began
            if answer.status_code != httpx.codes.OK:
                sys.exit(f"{name}, {address}: {answer.status_code}")
            if turn:
                taken[name].append(seconds)
    return taken
