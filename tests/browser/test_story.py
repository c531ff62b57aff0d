"""The stories of the product page in a browser, with a real send underneath; menus by mouse, keyboard and touch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from models.message import MessageStatus
from models.schedule import Schedule
from tests.browser.conftest import Served
from tests.harness import asked_by

SLOW = Schedule(emails_per_second=40)


@pytest.fixture
async def draft(served: Served) -> str:
    await served.harness.add_contacts(300)
    await served.harness.prepare_server()
    return await served.harness.draft(name="May news")


async def test_pause_and_resume_as_the_product_page_tells_it(served: Served, draft: str) -> None:
    harness, page = served.harness, await served.open()
    async with harness.worker():
        await harness.use_cases.send(draft, SLOW, asked_by())
        await harness.until_left(3)
        # 1. Navigate to Messages > Email Sent and locate the message.
        await page.click("text=Email Sent")
        await expect(page.locator(f"#row-{draft}")).to_contain_text("Sending")
        # 2. Hover over the arrow next to the message name and select Pause.
        await page.hover(f"#menu-{draft} summary")
        await page.click(f"#menu-{draft} >> text=Pause")
        await page.fill("#reason", "the landing page is down")
        await page.click("button:has-text('Pause')")
        await expect(page.locator("h1")).to_have_text("Paused")
        await expect(page.locator("dl")).to_contain_text("Stopped at")
        left = len(harness.smtp.accepted())
        # 3. A pause icon will appear next to the send time. Hover over it to view more info about the send.
        await page.goto("/messages?tab=sent")
        await expect(page.locator(".when-icon")).to_have_attribute("title", "Paused")
        await expect(page.locator(".details")).to_be_hidden()
        await page.hover(".when-time")
        await expect(page.locator(".details")).to_contain_text("the landing page is down")
        await expect(page.locator(".details")).to_contain_text(f"{left} of 300")
        await page.keyboard.press("Escape")
        await expect(page.locator(".details")).to_be_hidden()
        # Hover over the arrow next to the name of the paused message and select Resume.
        await page.hover(f"#menu-{draft} summary")
        await page.click(f"#menu-{draft} >> text=Resume")
        await expect(page.locator(".lead")).to_have_text(re.compile(rf"^{300 - left} would be mailed"))
        assert len(harness.smtp.accepted()) == left, "nothing leaves in the pause"
        await page.click("button:has-text('Resume')")
        await expect(page.locator("h1")).to_have_text("Resumed")
        # The message's page keeps up by itself.
        await page.click("text=Look at the message")
        await expect(page.locator("#head")).to_contain_text("Sending")
        await expect(page.locator("#overview")).to_contain_text("emails/s")
        await expect(page.locator(".share")).to_contain_text("100 %", timeout=30_000)
        await expect(page.locator("#head .badge")).to_have_text("Sent")
        await expect(page.locator("#head .commands")).not_to_contain_text("Pause")
    await harness.assert_once_each(draft)


async def test_cancel_and_copy_as_draft_as_the_product_page_tells_it(served: Served, draft: str) -> None:
    harness, page = served.harness, await served.open()
    async with harness.worker():
        await harness.use_cases.send(draft, SLOW, asked_by())
        await harness.until_left(3)
        # Hover over the arrow next to the message name and select Cancel.
        await page.goto("/messages?tab=sent")
        await page.hover(f"#menu-{draft} summary")
        await page.click(f"#menu-{draft} >> text=Cancel")
        await page.fill("#reason", "there is an error in the body")
        await page.click("button:has-text('Cancel')")
        await expect(page.locator("h1")).to_have_text("Canceled")
    left = len(harness.smtp.accepted())
    # Once a message is canceled, it will be denoted with the canceled icon in the Send Time column.
    await page.goto("/messages?tab=sent")
    await expect(page.locator(".when-icon")).to_have_attribute("title", "Canceled")
    # Copy the canceled message as a draft, excluding any recipients of the original message.
    await page.hover(f"#menu-{draft} summary")
    await page.click(f"#menu-{draft} >> text=Copy as Draft")
    await expect(page.locator("#exclude_recipients")).to_be_checked()
    await page.click("button:has-text('Copy as Draft')")
    await expect(page.locator("#head .badge")).to_have_text("Draft")
    copy = page.url.partition("?")[0].rpartition("/")[2]
    assert (await harness.use_cases.audience_preview(copy)).count == 300 - left


async def test_unschedule_as_the_product_page_tells_it(served: Served, draft: str) -> None:
    harness, page = served.harness, await served.open()
    await harness.use_cases.send(draft, Schedule(at=datetime.now(UTC) + timedelta(hours=1)), asked_by())
    # 1. Navigate to Messages > Scheduled. 2. Hover over the arrow next to the message name and select Unschedule.
    await page.click("text=Scheduled")
    await page.hover(f"#menu-{draft} summary")
    await page.click(f"#menu-{draft} >> text=Unschedule")
    # 3. You will be notified that editing the message will change its status from scheduled to draft.
    await expect(page.locator(".lead")).to_contain_text("will change its status from scheduled to draft")
    assert await harness.status(draft) is MessageStatus.SCHEDULED
    # Click Yes, Continue Editing to proceed.
    await page.click("text=Yes, Continue Editing")
    await expect(page.locator("main")).to_contain_text("The message is a draft again")
    assert await harness.status(draft) is MessageStatus.DRAFT


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


async def test_a_menu_is_a_disclosure_of_links_without_javascript(served: Served, draft: str) -> None:
    page = await served.open(java_script_enabled=False)
    await page.goto("/messages?tab=drafts")
    await page.click(f"#menu-{draft} summary")
    await page.click(f"#menu-{draft} >> text=Delete")
    await page.click("button:has-text('Delete')")
    assert "The draft is deleted." in await page.inner_text("main")


async def test_a_page_survives_that_the_server_goes_away_and_comes_back(served: Served, draft: str) -> None:
    page = await served.open()
    await page.goto("/messages?tab=drafts")
    await page.context.set_offline(True)
    await served.harness.draft(name="June news")
    await page.evaluate("refresh()")
    await expect(page.locator("#list")).to_contain_text("May news")
    await page.context.set_offline(False)
    await expect(page.locator("#list")).to_contain_text("June news")
    assert draft
