"""A message from the empty editor to a schedule and back, by clicking; and axe on the pages that this goes through."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from models.message import MessageStatus
from tests.browser.conftest import Served, drop_file
from tests.browser.test_accessible import check


@pytest.fixture(autouse=True)
async def _contacts(served: Served) -> None:
    await served.harness.prepare_server()
    await served.harness.add_contacts(30, time_zone="Europe/Oslo")
    await served.harness.add_contacts(20, prefix="t", list_name="Tokyo", time_zone="Asia/Tokyo")


async def test_a_message_is_written_looked_at_scheduled_and_unscheduled(served: Served) -> None:
    page = await served.open()
    await page.click("text=New draft")
    await page.fill("#name", "May news")
    await page.fill("#from_address", "news@example.com")
    await page.fill("#subject", "Hello {{ contact.first_name }}")
    await page.fill("#html", "<h1>Dear {{ contact.first_name }}</h1><script>document.title = 'run'</script>")
    # The audience is counted while it is put together.
    count = page.locator("#count")
    await expect(page.locator("text=Count >> visible=true")).to_have_count(0)
    await page.check("[aria-label='To everybody']")
    await expect(count).to_contain_text("30 contacts")
    await page.check("[aria-label='To Tokyo']")
    await expect(count).to_contain_text("50 contacts")
    await page.fill("[name=where_attribute] >> nth=0", "first_name")
    await page.fill("[name=where_value] >> nth=0", "N7")
    await expect(count).to_contain_text("2 contacts")
    await page.fill("[name=where_attribute] >> nth=0", "first name")
    await expect(count).to_contain_text("cannot be counted")
    await page.fill("[name=where_attribute] >> nth=0", "")
    await page.fill("[name=where_value] >> nth=0", "")
    await page.click("text=Save and preview")
    # The email of one contact, in a frame that runs nothing.
    await page.fill("#q", "t5@")
    await page.click("text=Show theirs")
    frame = page.frame_locator("iframe")
    await expect(frame.locator("h1")).to_have_text("Dear N5")
    assert await page.title() == "Preview of May news · Sendgate"
    served.complaints.clear()  # of the script in the frame, which the policy stopped
    await page.click("text=Send…")
    # The plan follows what is chosen.
    plan = page.locator("#plan")
    await expect(plan).to_contain_text("50 contacts, from now on.")
    await expect(page.locator("#at")).to_be_hidden()
    await page.check("#when-contacts")
    await expect(plan).to_contain_text("Say on which day and at what time.")
    await page.fill("#at", "2032-06-01T09:00")
    await expect(plan).to_contain_text("50 contacts in 2 slots from 1 Jun 2032, 00:00 to 1 Jun 2032, 07:00.")
    await page.check("#batches-size")
    await page.fill("#batch_size", "20")
    await expect(plan).to_contain_text("3 batches (in batches of 20 every 15 min)")
    await page.click("text=Continue…")
    await expect(page.locator(".lead")).to_have_text("50 contacts get it.")
    await page.click("button:has-text('Schedule')")
    await expect(page.locator("main")).to_contain_text("The message is scheduled.")
    # And back.
    await page.click(".commands >> text=Edit")
    await expect(page.locator(".lead")).to_contain_text("change its status from scheduled to draft")
    await page.click("text=Yes, Continue Editing")
    await expect(page.locator("#name")).to_have_value("May news")
    await expect(count).to_contain_text("50 contacts")  # asked for by the page itself
    (message,), _ = await served.harness.use_cases.messages()
    assert message.status is MessageStatus.DRAFT


async def test_the_same_without_javascript(served: Served) -> None:
    page = await served.open(java_script_enabled=False)
    await page.click("text=New draft")
    await page.fill("#name", "May news")
    await page.check("[aria-label='To everybody']")
    await expect(page.locator("#count")).to_have_text("Not counted yet.")
    await page.click("button:has-text('Count')")
    await expect(page.locator("#count")).to_contain_text("30 contacts")
    await page.fill("#from_address", "news@example.com")
    await page.fill("#subject", "Hello")
    await page.fill("#text", "All is well.")
    await page.click("text=Save and send…")
    await page.check("#when-zone")
    await page.fill("#at", "2032-06-01T09:00")
    await page.fill("#time_zone", "Europe/Oslo")
    await page.click("text=Work out the plan")
    await expect(page.locator("#plan")).to_contain_text("30 contacts, at 1 Jun 2032, 07:00.")
    await page.click("text=Continue…")
    await page.click("button:has-text('Schedule')")
    await expect(page.locator("main")).to_contain_text("The message is scheduled.")


async def test_a_file_that_is_dropped_is_imported(served: Served) -> None:
    page = await served.open()
    await page.goto("/contacts/import")
    await drop_file(page, "email", "ada@example.org", "nobody")
    await page.fill("#list", "dropped")
    await page.click("button:has-text('Import')")
    await expect(page.locator("#result")).to_have_text("1 created, 0 updated, 1 rejected, into dropped")
    await expect(page.locator("tbody")).to_contain_text("'nobody' is not an email address")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
async def test_axe_finds_nothing_on_the_forms(served: Served, scheme: str, width: int) -> None:
    harness = served.harness
    draft = await harness.draft(html="<h1>Hello</h1>")
    contact = (await harness.use_cases.contacts(limit=1))[0].id
    await harness.use_cases.suppress(["c1@example.com"], reason="asked by phone")
    page = await served.open(color_scheme=scheme, viewport={"width": width, "height": 800})
    for path in (
        "/messages/new",
        f"/messages/{draft}/edit",
        f"/messages/{draft}/preview",
        f"/messages/{draft}/send",
        "/contacts",
        "/contacts/new",
        f"/contacts/{contact}",
        f"/contacts/{contact}/delete",
        "/contacts/import",
        "/lists",
        "/lists/members?list=Tokyo",
        "/suppressions",
        "/hold",
        "/keys",
    ):
        await page.goto(path)
        await check(page, path)
    await page.goto(f"/messages/{draft}/send")
    await page.check("#when-contacts")
    await page.check("#batches-number")
    await page.click("text=Who is refused for now")
    await expect(page.locator("#plan")).to_contain_text("Say on which day")
    await page.click("text=Continue…")
    await expect(page.locator("#at-error")).to_be_visible()
    await check(page, "a form with what is wrong")
    await page.goto("/suppressions")
    await page.click("summary:has-text('Lift')")
    await expect(page.locator("button:has-text('be mailed again')")).to_be_visible()
    await check(page, "a suppression about to be lifted")
    await page.goto("/keys")
    await page.fill("#name", "anna")
    await page.click("button:has-text('Create')")
    await expect(page.locator("code")).to_have_text(re.compile("^sg_"))
    await check(page, "a new key")
