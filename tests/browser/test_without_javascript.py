"""Every command from the menu to its receipt in a browser that runs no script, with a real send underneath."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from models.message import MessageStatus
from models.schedule import Schedule
from tests.browser.conftest import Served
from tests.harness import asked_by


@pytest.fixture
async def draft(served: Served) -> str:
    await served.harness.add_contacts(60)
    await served.harness.prepare_server()
    return await served.harness.draft(name="May news")


@pytest.fixture
async def page(served: Served) -> Page:
    return await served.open(java_script_enabled=False)


async def choose(page: Page, tab: str, message_id: str, item: str) -> None:
    """The arrow is a disclosure of links: it opens by a click."""
    await page.goto(f"/messages?tab={tab}")
    menu = page.locator(f"#menu-{message_id}")
    await expect(menu.locator("ul")).to_be_hidden()
    await menu.locator("summary").click()
    await menu.get_by_role("link", name=item, exact=True).click()


async def test_pause_resume_cancel_and_copy_each_with_its_receipt(served: Served, draft: str, page: Page) -> None:
    harness = served.harness
    harness.smtp.set(delay_ms=50)
    async with harness.worker(smtp_connections=1):
        await harness.use_cases.send(draft, Schedule(), asked_by())
        await harness.until_left(3)
        await choose(page, "sent", draft, "Pause")
        await page.fill("#reason", "the landing page is down")
        await page.click("button:has-text('Pause')")
        await expect(page.locator("h1")).to_have_text("Paused")
        await expect(page.locator("dl")).to_contain_text(
            re.compile(r"Stopped at.*Reason\s*the landing page is down", re.S)
        )
        left = len(harness.smtp.accepted())
        await choose(page, "sent", draft, "Resume")
        await expect(page.locator(".lead")).to_contain_text(f"{60 - left} would be mailed")
        await page.click("button:has-text('Resume')")
        await expect(page.locator("h1")).to_have_text("Resumed")
        await choose(page, "sent", draft, "Cancel")
        await page.fill("#reason", "there is an error in the body")
        await page.click("button:has-text('Cancel')")
        await expect(page.locator("h1")).to_have_text("Canceled")
        await expect(page.locator("dl")).to_contain_text("there is an error in the body")
        await choose(page, "sent", draft, "Copy as Draft")
        await page.click("button:has-text('Copy as Draft')")
        await expect(page.locator("#head .badge")).to_have_text("Draft")
    assert await harness.status(draft) is MessageStatus.CANCELED
    await harness.assert_once_each(draft)


async def test_unschedule_and_delete(served: Served, draft: str, page: Page) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    await served.harness.use_cases.send(draft, Schedule(at=at), asked_by())
    await choose(page, "scheduled", draft, "Unschedule")
    await page.click("text=Yes, Continue Editing")
    await expect(page.locator("main")).to_contain_text("The message is a draft again")
    assert await served.harness.status(draft) is MessageStatus.DRAFT
    await choose(page, "drafts", draft, "Delete")
    await page.click("button:has-text('Delete')")
    await expect(page.locator("main")).to_contain_text("The draft is deleted.")
