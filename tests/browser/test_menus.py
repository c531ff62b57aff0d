"""The menu beside a name and the details of a send time: by mouse, keyboard and touch, and while the list keeps up."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from models.message import MessageStatus
from models.schedule import Schedule
from tests.browser.conftest import Served
from tests.harness import asked_by


@pytest.fixture
async def draft(served: Served) -> str:
    await served.harness.add_contacts(300)
    await served.harness.prepare_server()
    return await served.harness.draft(name="May news")


async def test_the_list_keeps_up_without_moving_what_is_looked_at(served: Served, draft: str) -> None:
    harness, page = served.harness, await served.open()
    async with harness.worker():
        await harness.use_cases.send(draft, SLOW, asked_by())
        await harness.until(draft, MessageStatus.SENDING)
        await page.goto("/messages?tab=sent")
        columns = page.locator("th")
        before = [await columns.nth(n).bounding_box() for n in range(4)]
        await page.focus(".when-time")
        await page.evaluate("document.querySelector('.when-time').dataset.mine = 'kept'")
        await harness.use_cases.pause(draft, asked_by())
        await expect(page.locator(f"#row-{draft} .badge")).to_have_text("Paused")
        assert [await columns.nth(n).bounding_box() for n in range(4)] == before
        await expect(page.locator(".when-time")).to_be_focused()


async def test_the_menu_by_keyboard(served: Served, draft: str) -> None:
    page = await served.open()
    await page.goto("/messages?tab=drafts")
    await page.focus(".name a")
    await page.keyboard.press("Tab")
    menu = page.locator(f"#menu-{draft}")
    await expect(menu.locator("ul")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await expect(menu.locator("a >> nth=0")).to_be_focused()
    await page.keyboard.press("End")
    await expect(menu.locator("text=Delete")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(menu.locator("a >> nth=0")).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(menu.locator("text=Delete")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(menu.locator("ul")).to_be_hidden()
    await expect(menu.locator("summary")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(menu.locator("ul")).to_be_visible()
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Delete “May news”?")


async def test_the_menu_by_mouse_opens_one_at_a_time_and_closes_when_one_goes_away(served: Served, draft: str) -> None:
    other = await served.harness.draft(name="June news")
    page = await served.open()
    await page.goto("/messages?tab=drafts")
    await page.hover(f"#menu-{draft} summary")
    await expect(page.locator(f"#menu-{draft} ul")).to_be_visible()
    await page.mouse.move(5, 5)
    await expect(page.locator(f"#menu-{draft} ul")).to_be_hidden()
    await page.hover(f"#menu-{draft} summary")
    await page.click(f"#menu-{draft} summary")
    await page.mouse.move(5, 5)
    await expect(page.locator(f"#menu-{draft} summary")).to_be_focused()
    await expect(page.locator(f"#menu-{draft} ul")).to_be_visible()  # a click keeps it
    await page.hover(f"#menu-{other} summary")
    await expect(page.locator(f"#menu-{other} ul")).to_be_visible()
    await expect(page.locator(f"#menu-{draft} ul")).to_be_hidden()
    await page.mouse.click(5, 500)
    await expect(page.locator(f"#menu-{other} ul")).to_be_hidden()


async def test_the_menu_and_the_details_by_touch(served: Served, draft: str) -> None:
    await served.harness.pool.execute("update messages set status = 'sent' where id = $1", draft)
    page = await served.open(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    await page.goto("/messages?tab=sent")
    await page.tap(f"#menu-{draft} summary")
    await expect(page.locator(f"#menu-{draft} ul")).to_be_visible()
    await page.tap(f"#menu-{draft} summary")
    await expect(page.locator(f"#menu-{draft} ul")).to_be_hidden()
    await page.tap(".when-time")
    await expect(page.locator(".details")).to_be_visible()
    box = await page.locator(".details").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    await page.tap(f"#menu-{draft} summary")
    await page.tap(f"#menu-{draft} >> text=Copy as Draft")
    await expect(page.locator("h1")).to_have_text("Copy “May news” as a draft?")
