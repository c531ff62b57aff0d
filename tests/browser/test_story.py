"""The stories and the use cases of the product page from start to end in a browser, with a real send underneath."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from models.message import MessageStatus
from models.schedule import Schedule
from tests.browser.conftest import Mailbox, Served, choose, drop_file
from tests.eventually import eventually
from tests.harness import asked_by

AUDIENCE = 60
EVERYBODY = {f"c{n}@example.com" for n in range(1, AUDIENCE + 1)}


@pytest.fixture
async def draft(served: Served) -> str:
    await served.harness.add_contacts(AUDIENCE)
    await served.harness.prepare_server()
    return await served.harness.draft(name="May news")


async def until_sent(page: Page) -> None:
    """The message's page keeps up by itself."""
    await expect(page.locator(".share")).to_contain_text("100 %", timeout=30_000)
    await expect(page.locator("#head .badge")).to_have_text("Sent")


async def test_pause_resolve_the_issue_and_resume_also_for_who_joined_meanwhile(served: Served, draft: str) -> None:
    harness, page = served.harness, await served.open()
    harness.smtp.set(delay_ms=150)  # nine seconds, if nobody paused it
    async with harness.worker(smtp_connections=1):
        await harness.use_cases.send(draft, Schedule(), asked_by())
        await harness.until_left(3)
        # 1. Navigate to Messages > Email Sent and locate the message.
        await page.click("text=Email Sent")
        await expect(page.locator(f"#row-{draft}")).to_contain_text("Sending")
        # 2. Hover over the arrow next to the message name and select Pause.
        await choose(page, draft, "Pause")
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
        await expect(page.locator(".details")).to_contain_text(f"{left} of {AUDIENCE}")
        await page.keyboard.press("Escape")
        await expect(page.locator(".details")).to_be_hidden()
        # The audience changes during the pause: one is typed in, others come with a file, one of them mailed already.
        mailed = harness.smtp.accepted()[0].recipient
        await page.click("text=Contacts")
        await page.click("text=New contact")
        await page.fill("#address", "typed@example.org")
        await page.check("text=everybody")
        await page.click("button:has-text('Save')")
        await expect(page.locator("h1")).to_have_text("typed@example.org")
        await page.goto("/contacts/import")
        await drop_file(page, "email", "dropped@example.org", mailed)
        await page.fill("#list", "everybody")
        await page.click("button:has-text('Import')")
        await expect(page.locator("#result")).to_have_text("1 created, 1 updated, 0 rejected, into everybody")
        # Hover over the arrow next to the name of the paused message and select Resume.
        await page.goto("/messages?tab=sent")
        await choose(page, draft, "Resume")
        await expect(page.locator(".lead")).to_have_text(re.compile(rf"^{AUDIENCE - left + 2} would be mailed"))
        await expect(page.locator("dl")).to_contain_text("2, also mailed")
        assert len(harness.smtp.accepted()) == left, "nothing leaves in the pause"
        await page.click("button:has-text('Resume')")
        await expect(page.locator("h1")).to_have_text("Resumed")
        await page.click("text=Look at the message")
        await expect(page.locator("#head")).to_contain_text("Sending")
        harness.smtp.set(delay_ms=0)
        await until_sent(page)
        await expect(page.locator("#head .commands")).not_to_contain_text("Pause")
    # Any new contacts are added to the send. Contacts don't receive the message more than once.
    await harness.assert_once_each(draft)
    got = {email.recipient for email in harness.smtp.accepted()}
    assert got == EVERYBODY | {"typed@example.org", "dropped@example.org"}


async def test_cancel_copy_correct_the_body_and_send_it_to_those_who_have_not_got_the_original(
    served: Served, draft: str, mailbox: Mailbox
) -> None:
    harness, page = served.harness, await served.open()
    async with harness.worker(smtp_port=mailbox.port):
        await harness.use_cases.send(draft, Schedule(emails_per_second=4), asked_by())
        await eventually(lambda: len(mailbox.texts()) >= 3)
        # Hover over the arrow next to the message name and select Cancel.
        await page.goto("/messages?tab=sent")
        await choose(page, draft, "Cancel")
        await page.fill("#reason", "there is an error in the body")
        await page.click("button:has-text('Cancel')")
        await expect(page.locator("h1")).to_have_text("Canceled")
        old = {address for address, _ in mailbox.texts()}
        # Once a message is canceled, it will be denoted with the canceled icon in the Send Time column.
        await page.goto("/messages?tab=sent")
        await expect(page.locator(".when-icon")).to_have_attribute("title", "Canceled")
        # Copy the canceled message as a draft, excluding any recipients of the original message.
        await choose(page, draft, "Copy as Draft")
        await expect(page.locator("#exclude_recipients")).to_be_checked()
        await page.click("button:has-text('Copy as Draft')")
        await expect(page.locator("#head .badge")).to_have_text("Draft")
        # Make any appropriate edits, and then send the revised message.
        await page.locator(".commands").get_by_role("link", name="Edit", exact=True).click()
        await expect(page.locator("#text")).to_have_value(re.compile("all is well"))
        await page.fill("#text", "Dear {{ contact.first_name }},\n\nthis is the right text.\n")
        await page.click("text=Save and send…")
        await expect(page.locator("#plan")).to_contain_text(f"{AUDIENCE - len(old)} contacts, from now on.")
        await page.click("text=Continue…")
        await expect(page.locator(".lead")).to_have_text(f"{AUDIENCE - len(old)} contacts get it.")
        await page.click("button:has-text('Send')")
        await until_sent(page)
    emails = mailbox.texts()
    assert Counter(address for address, _ in emails) == Counter(EVERYBODY), "each exactly one of the two"
    assert {address for address, text in emails if "all is well." in text} == old
    assert {address for address, text in emails if "this is the right text." in text} == EVERYBODY - old
    assert 3 <= len(old) < AUDIENCE


async def test_unschedule_correct_the_text_and_the_date_and_schedule_again(
    served: Served, draft: str, mailbox: Mailbox
) -> None:
    harness, page = served.harness, await served.open()
    wrong, right = (datetime.now(UTC) + timedelta(days=days) for days in (1, 8))
    async with harness.worker(smtp_port=mailbox.port):
        await harness.use_cases.send(draft, Schedule(at=wrong), asked_by())
        # 1. Navigate to Messages > Scheduled. 2. Hover over the arrow next to the message name and select Unschedule.
        await page.click("text=Scheduled")
        await expect(page.locator(f"#row-{draft}")).to_contain_text(f"{wrong.day} {wrong:%b %Y}, ")
        await choose(page, draft, "Unschedule")
        # 3. You will be notified that editing the message will change its status from scheduled to draft.
        await expect(page.locator(".lead")).to_contain_text("will change its status from scheduled to draft")
        assert await harness.status(draft) is MessageStatus.SCHEDULED
        # Click Yes, Continue Editing to proceed. Your message can now be edited and rescheduled.
        await page.click("text=Yes, Continue Editing")
        await expect(page.locator("main")).to_contain_text("The message is a draft again")
        assert await harness.status(draft) is MessageStatus.DRAFT
        await page.fill("#text", "This is the right text.\n")
        await page.click("text=Save and send…")
        await page.check("#when-zone")
        await page.fill("#at", f"{right:%Y-%m-%d}T09:00")
        await page.click("text=Continue…")
        await page.click("button:has-text('Schedule')")
        await expect(page.locator("main")).to_contain_text("The message is scheduled.")
        await page.click("text=Messages")
        await page.click("text=Scheduled")
        await expect(page.locator(f"#row-{draft}")).to_contain_text(f"{right.day} {right:%b %Y}, 09:00")
        assert mailbox.texts() == []
        # And once more, for a date that comes: to the second, for the test does not wait for the next minute.
        await choose(page, draft, "Unschedule")
        await page.click("text=Yes, Continue Editing")
        await expect(page.locator("#text")).to_have_value("This is the right text.\n")
        await page.click("text=Save and send…")
        await page.check("#when-zone")
        await page.locator("#at").evaluate("field => (field.step = 1)")
        soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15)
        await page.fill("#at", f"{soon:%Y-%m-%dT%H:%M:%S}")
        await page.click("text=Continue…")
        await page.click("button:has-text('Schedule')")
        await expect(page.locator("#head .badge")).to_have_text("Scheduled")
        assert mailbox.texts() == []
        await until_sent(page)
        assert datetime.now(UTC) >= soon
    emails = mailbox.texts()
    assert Counter(address for address, _ in emails) == Counter(EVERYBODY)
    assert all("This is the right text." in text and "all is well" not in text for _, text in emails)
