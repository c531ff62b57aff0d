"""Every command from the menu to its receipt in a browser that runs no script, with a real send underneath."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from models.message import MessageStatus
from models.schedule import Schedule, Throttle
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
    async with harness.worker():
        schedule = Schedule(throttle=Throttle(batch_size=20, every=timedelta(hours=1)))
        await harness.use_cases.send(draft, schedule, asked_by())
        await harness.until_left(20)
        await choose(page, "sent", draft, "Pause")
        await page.fill("#reason", "the landing page is down")
        await page.click("button:has-text('Pause')")
        await expect(page.locator("h1")).to_have_text("Paused")
        await expect(page.locator("dl")).to_contain_text(
            re.compile(r"Stopped at.*Reason\s*the landing page is down", re.S)
        )
        await choose(page, "sent", draft, "Resume")
        await page.click("text=Show what it would do")
        await expect(page.locator(".lead")).to_contain_text("40 would be mailed")
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


async def test_from_a_file_of_contacts_to_the_receipt_of_the_send(served: Served, page: Page) -> None:
    harness = served.harness
    await page.click("text=Contacts")
    await page.click("text=Import CSV")
    content = b"email,first_name\nada@example.org,Ada\ngrace@example.org,Grace\n"
    await page.set_input_files("#file", {"name": "guests.csv", "mimeType": "text/csv", "buffer": content})
    await page.fill("#list", "guests")
    await page.click("button:has-text('Import')")
    await expect(page.locator("#result")).to_have_text("2 created, 0 updated, 0 rejected, into guests")
    await page.click(".hold-switch")
    await page.fill("#reason", "until it has been proofread")
    await page.click("button:has-text('Hold everything')")
    await page.goto("/messages/new")
    await page.fill("#name", "May news")
    await page.fill("#from_address", "news@example.com")
    await page.fill("#subject", "Hello {{ contact.first_name }}")
    await page.fill("#text", "All is well.")
    await page.check("[aria-label='To guests']")
    async with harness.worker():
        await page.click("text=Save and send…")
        await page.click("text=Continue…")
        await expect(page.locator(".lead")).to_have_text("2 contacts get it.")
        await page.click("button:has-text('Send')")
        await expect(page.locator("main")).to_contain_text("The message is on its way.")
        sent = page.url.partition("?")[0]
        await expect(page.locator("#head")).to_contain_text("On hold")
        assert harness.smtp.accepted() == []
        await page.click("text=Release…")
        await page.fill("#reason", "it has been")
        await page.click("button:has-text('Release')")
        await page.goto(sent)
        await expect(page.locator("#head .badge")).to_have_text("Sent", timeout=30_000)  # the page loads itself again
    await page.click("text=History")
    await page.click("#command-1 a")
    await expect(page.locator("h1")).to_have_text("Accepted")
    await expect(page.locator("dl")).to_contain_text("admin, through web")
    assert {email.recipient for email in harness.smtp.accepted()} == {"ada@example.org", "grace@example.org"}
