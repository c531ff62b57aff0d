"""The list of messages: tabs, search, menus and the send time; nothing that was typed becomes markup."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from client.interface import AskedBy
from client.web.menu import TABS
from client.web.messages import ROWS_A_PAGE
from models.api_keys import Role
from models.message import MessageStatus
from models.schedule import Schedule
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.web.site import Shown, Site

XSS = """"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7777777*7 }}"""


def names(shown: Shown) -> list[str]:
    return [cell.all("a")[0].text for cell in shown.tree.all("div", class_="name")]


def menu(shown: Shown, name: str) -> list[str]:
    (found,) = [
        each for each in shown.tree.all("details", class_="menu") if each.one("summary")["aria-label"].endswith(name)
    ]
    return [link.text for link in found.all("a")]


def details(shown: Shown) -> dict[str, str]:
    return {line.one("b").text: line.all("span")[1].text for line in shown.tree.all("span", class_="detail")}


async def in_status(harness: Harness, status: MessageStatus, name: str) -> str:
    message_id = await harness.draft(name=name)
    await harness.pool.execute(
        "update messages set status = $2::text::message_status where id = $1", message_id, status
    )
    return message_id


def test_every_status_is_on_one_tab() -> None:
    assert sorted(status for tab in TABS for status in tab.statuses) == sorted(MessageStatus)
    assert [tab.label for tab in TABS] == ["Drafts", "Scheduled", "Email Sent"]


async def test_each_tab_has_its_messages_and_every_tab_its_number(site: Site) -> None:
    await site.harness.add_contacts(1)
    for number, status in enumerate(MessageStatus, 1):
        for n in range(number):
            await in_status(site.harness, status, f"{status} {n}")
    for tab in TABS:
        shown = await site.get(f"/messages?tab={tab.code}")
        expected = [
            f"{status} {n}"
            for number, status in enumerate(MessageStatus, 1)
            if status in tab.statuses
            for n in range(number)
        ]
        assert sorted(names(shown)) == sorted(expected)
        assert [each.text for each in shown.tree.all("span", class_="count")] == ["1", "2", "18"]
    assert (await site.get("/messages")).tree.one("title").text == "Messages: Email Sent · Sendgate"


async def test_a_search_finds_names_and_subjects_and_counts_what_it_found_on_every_tab(site: Site) -> None:
    await site.harness.add_contacts(1)
    await in_status(site.harness, MessageStatus.DRAFT, "May news")
    await in_status(site.harness, MessageStatus.SENT, "June news")
    shown = await site.get("/messages?tab=drafts")
    shown = await site.send(shown.form("Search"), q="JUNE")
    assert names(shown) == []
    assert "Nothing fits “JUNE”" in shown.text
    assert shown.tree.one("input", type="search")["value"] == "JUNE"
    assert [each.text for each in shown.tree.all("span", class_="count")] == ["0", "0", "1"]
    assert names(await site.get(shown.links["Email Sent 1"])) == ["June news"]


async def test_a_long_list_has_pages(site: Site) -> None:
    await site.harness.add_contacts(1)
    for n in range(ROWS_A_PAGE + 1):
        await site.harness.draft(name=f"draft {n:02}")
    first = await site.get("/messages?tab=drafts")
    second = await site.get(first.links["Next page"])
    assert len(names(first)) == ROWS_A_PAGE
    assert names(second) == ["draft 00"]
    assert names(await site.get(second.links["First page"])) == names(first)


async def test_the_next_page_is_there_when_the_last_of_the_first_was_deleted_meanwhile(site: Site) -> None:
    await site.harness.add_contacts(1)
    made = [await site.harness.draft(name=f"draft {n:02}") for n in range(ROWS_A_PAGE + 1)]
    first = await site.get("/messages?tab=drafts")
    await site.harness.use_cases.delete(made[1])
    assert names(await site.get(first.links["Next page"])) == ["draft 00"]


async def test_nothing_there_is_said(site: Site) -> None:
    assert "There are no drafts." in (await site.get("/messages")).text
    assert "Nothing is scheduled." in (await site.get("/messages?tab=scheduled")).text
    assert "Nothing has been sent yet." in (await site.get("/messages?tab=sent")).text
    assert (await site.get("/messages?tab=other")).status == 404


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (MessageStatus.DRAFT, ["Send or Schedule", "Copy as Draft", "Edit", "Preview", "Delete"]),
        (MessageStatus.SCHEDULED, ["Cancel", "Unschedule", "Edit", "Copy as Draft"]),
        (MessageStatus.SENDING, ["Pause", "Cancel", "Copy as Draft"]),
        (MessageStatus.PAUSED, ["Resume", "Cancel", "Copy as Draft"]),
        (MessageStatus.SENT, ["Copy as Draft"]),
        (MessageStatus.CANCELED, ["Copy as Draft"]),
    ],
)
async def test_the_menu_has_what_is_legal_now_and_allowed(
    site: Site, status: MessageStatus, expected: list[str]
) -> None:
    await site.harness.add_contacts(1)
    message_id = await in_status(site.harness, status, "News")
    tab = next(tab for tab in TABS if status in tab.statuses)
    assert menu(await site.get(f"/messages?tab={tab.code}"), "News") == expected
    await site.sign_in_as(Role.OPERATOR)
    kept = [item for item in expected if item not in ("Send or Schedule", "Copy as Draft", "Delete", "Edit", "Preview")]
    shown = await site.get(f"/messages?tab={tab.code}")
    assert (menu(shown, "News") if kept else []) == kept
    await site.sign_in_as(Role.VIEWER)
    for path in (f"/messages?tab={tab.code}", f"/messages/{message_id}"):
        assert not (await site.get(path)).tree.all("details", class_="menu")
        assert not set((await site.get(path)).links) & set(expected)


async def test_a_scheduled_message_shows_when_it_goes_and_who_sent_it(site: Site) -> None:
    await site.harness.add_contacts(3)
    await site.harness.prepare_server()
    message_id = await site.harness.draft()
    at = datetime(2031, 3, 1, 9, 30, tzinfo=UTC)
    await site.harness.use_cases.send(message_id, Schedule(at=at), asked_by())
    shown = await site.get("/messages?tab=scheduled")
    assert "1 Mar 2031, 09:30" in shown.text
    assert details(shown)["Sent by"] == "operator"
    assert "Times are in UTC." in shown.text


async def test_a_paused_and_a_canceled_message_have_their_icon_and_their_story(site: Site) -> None:
    harness = site.harness
    await harness.add_contacts(200)
    await harness.prepare_server()
    message_id = await harness.draft()
    async with harness.worker():
        await harness.use_cases.send(message_id, Schedule(emails_per_second=5), asked_by())
        await harness.until_left(3)
        await harness.use_cases.pause(message_id, AskedBy(actor="anna", reason="the link is broken"))
        shown = await site.get("/messages")
        assert shown.tree.one("span", class_="when-icon")["title"] == "Paused"
        told = details(shown)
        assert told["Paused"].endswith("by anna")
        assert told["Reason"] == "the link is broken"
        assert told["Had left"] == f"{len(harness.smtp.accepted())} of 200"
        assert told["Next"] == "nothing, until somebody resumes it"
        await harness.use_cases.cancel(message_id, AskedBy(actor="bob", reason="the body is wrong"))
    shown = await site.get("/messages")
    assert shown.tree.one("span", class_="when-icon")["title"] == "Canceled"
    assert details(shown)["Canceled"].endswith("by bob")
    assert details(shown)["Reason"] == "the body is wrong"


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"at": "2031-03-01T09:30:00+01:00"}, "1 Mar 2031, 08:30"),
        ({"at": "2031-03-01T09:30", "time_zone": "Asia/Tokyo"}, "1 Mar 2031, 09:30, Asia/Tokyo"),
        ({"at": "2031-03-01T09:30", "time_zone": "contact"}, "1 Mar 2031, 09:30, contacts’ time"),
    ],
)
async def test_what_was_canceled_before_it_began_shows_when_it_was_to_go(
    site: Site, schedule: dict[str, str], expected: str
) -> None:
    await site.harness.add_contacts(3)
    message_id = await site.harness.draft()
    async with site.harness.worker():
        await site.harness.send(message_id, **schedule)
        await site.harness.use_cases.cancel(message_id, asked_by("the date is wrong"))
        await site.harness.until(message_id, MessageStatus.CANCELED)
    cell = (await site.get("/messages?tab=sent")).tree.one("button", class_="when-time")
    assert cell.text == f"Canceled, {expected}"
    assert cell.one("span", class_="when-icon")["title"] == "Canceled"


async def test_a_throttled_send_says_its_batches_and_the_next(site: Site) -> None:
    harness = site.harness
    await harness.add_contacts(60)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id, throttle={"batch_size": 20, "every": "1h"})
        await harness.until_left(20)

        async def told() -> dict[str, str]:
            return details(await site.get("/messages?tab=sent"))

        await eventually_equal(told, "Next", r"batch 2 at \d+ \w{3} \d{4}, \d\d:\d\d:\d\d")
        assert (await told())["Throttle"] == "in batches of 20 every 1 h"
        assert re.fullmatch(r"about \d+ \w{3} \d{4}, \d\d:\d\d:\d\d", (await told())["Last email"])


async def eventually_equal(told: Callable[[], Awaitable[dict[str, str]]], label: str, pattern: str) -> None:
    async def says() -> bool:
        return re.fullmatch(pattern, (await told()).get(label, "")) is not None

    await eventually(says)


async def test_nothing_that_was_typed_becomes_markup(site: Site) -> None:
    """In names, subjects, senders, texts, attributes, lists, searches, reasons and names of keys."""
    harness = site.harness
    await harness.use_cases.create_list(XSS[:60])
    await harness.add_contacts(30)
    await harness.prepare_server()
    made = await harness.use_cases.create_key(XSS[:90], Role.ADMIN)
    await site.sign_in(made.key)
    message_id = await harness.draft(
        name=XSS,
        subject=XSS.replace("{{ 7777777*7 }}", ""),
        from_name="<b>us</b>",
        text=XSS,
        html=XSS,
        lists=("everybody", XSS[:60]),
    )
    pages = [f"/messages?tab=drafts&q={XSS[:20]}", f"/messages/{message_id}", f"/messages/{message_id}/delete"]
    for path in pages:
        _check(await site.get(path))
    async with harness.worker():
        await harness.use_cases.send(message_id, Schedule(emails_per_second=1), AskedBy(actor=XSS, reason=XSS))
        await harness.until_left(1)
        shown = await site.press(f"/messages/{message_id}/pause", "Pause", reason=XSS)
        _check(shown)
        assert XSS in shown.text
        for path in ("", "/recipients", "/history", "/in-doubt", "/resume", "/cancel", "/copy"):
            _check(await site.get(f"/messages/{message_id}{path}"))
        _check(await site.press(f"/messages/{message_id}/resume", "Show what it would do", do="look"))
        _check(await site.get("/messages"))
        await harness.use_cases.cancel(message_id, AskedBy(actor=XSS, reason=XSS))
    _check(await site.get(f"/messages?q={XSS}"))


def _check(shown: Shown) -> None:
    assert "alert(1)" in shown.text
    assert not shown.tree.all("img")
    scripts = shown.tree.all("script")
    assert all(script["src"].startswith("/assets/") and not script.text for script in scripts)


async def test_many_messages_do_not_make_the_list_slow(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of statements that does not grow with the messages: 25 rows of those that wait or are over."""
    asked: list[str] = []
    execute = asyncpg.Connection._execute  # type: ignore[attr-defined]  # what all with arguments go through

    async def noting(connection: Any, query: str, *given: Any, **named: Any) -> Any:
        asked.append(query)
        return await execute(connection, query, *given, **named)

    monkeypatch.setattr(asyncpg.Connection, "_execute", noting)
    await site.harness.add_contacts(1)
    await in_status(site.harness, MessageStatus.SENT, "one")
    for_one = await _statements_of_the_list(site, asked, "1")
    await site.harness.pool.execute(
        "insert into messages (id, name, from_address, subject, audience, status)"
        " select 'm' || n, 'm' || n, 'a@example.com', 's', '{}', 'sent' from generate_series(1, 10000) as n"
    )
    assert for_one
    assert await _statements_of_the_list(site, asked, "10,001") == for_one


async def _statements_of_the_list(site: Site, asked: list[str], number: str) -> list[str]:
    """Look at the list, of so many, and return what the database was asked for it."""
    asked.clear()
    shown = await site.get("/messages?tab=sent")
    assert shown.tree.all("span", class_="count")[-1].text == number
    return sorted(asked)
