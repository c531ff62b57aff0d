"""The server stops and starts again while pages are open: they keep what they show, say so, and catch up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi import FastAPI, Response
from playwright.async_api import Page, expect

from models.message import MessageStatus
from models.schedule import Schedule, Throttle
from tests.browser.conftest import Served
from tests.browser.test_accessible import check
from tests.harness import asked_by

AUDIENCE = 120


@pytest.fixture
async def draft(served: Served) -> str:
    await served.harness.add_contacts(AUDIENCE)
    await served.harness.prepare_server()
    return await served.harness.draft(name="May news")


async def where_things_are(page: Page) -> list[object]:
    return [await page.locator(part).first.bounding_box() for part in ("h1", "main", ".foot", ".badge")]


async def test_pages_of_a_send_keep_what_they_show_and_catch_up_without_a_reload(served: Served, draft: str) -> None:
    harness, listed = served.harness, await served.open()
    looked = await listed.context.new_page()
    async with harness.worker():
        await harness.use_cases.send(draft, Schedule(emails_per_second=15), asked_by())
        await harness.until_left(3)
        await listed.goto("/messages?tab=sent")
        await looked.goto(f"/messages/{draft}")
        await expect(looked.locator("#overview")).to_contain_text("emails/s")
        places = [await where_things_are(page) for page in (listed, looked)]
        for page in (listed, looked):
            await page.evaluate("window.isTheSame = true")
            await expect(page.locator("#reach")).to_be_empty()
            await expect(page.locator("#reach")).to_have_attribute("aria-live", "polite")
        await served.stop()
        for page in (listed, looked):
            await expect(page.locator("#reach")).to_contain_text("Sendgate cannot be reached.")
            await expect(page.locator("#reach")).to_be_in_viewport()
            await expect(page.locator(".badge").first).to_have_text("Sending")
        await check(looked, "a message's page while the server is away")
        assert [await where_things_are(page) for page in (listed, looked)] == places, "nothing has moved"
        await harness.until(draft, MessageStatus.SENT)
        await served.start()
        await expect(listed.locator(f"#row-{draft} .badge")).to_have_text("Sent")
        await expect(listed.locator(f"#row-{draft}")).to_contain_text(f"{AUDIENCE} of {AUDIENCE}")
        await expect(looked.locator("#head .badge")).to_have_text("Sent")
        await expect(looked.locator(".share")).to_contain_text("100 %")
        for page in (listed, looked):
            await expect(page.locator("#reach")).to_be_empty()
            assert await page.evaluate("window.isTheSame"), "it was not loaded again"
    await harness.assert_once_each(draft)


async def test_a_form_sent_meanwhile_keeps_what_was_typed_and_is_sent_later(served: Served, draft: str) -> None:
    page = await served.open()
    await page.goto(f"/messages/{draft}/edit")
    await page.fill("#text", "An hour's work.")
    await served.stop()
    await page.click("text=Save and preview")
    await expect(page.locator("#reach")).to_contain_text("nothing was sent. What you typed is still here")
    await expect(page.locator("#text")).to_have_value("An hour's work.")
    await served.start()
    await page.click("text=Save and preview")
    await expect(page.locator("h1")).to_have_text("Preview of May news")
    await expect(page.locator("pre")).to_have_text("An hour's work.")


async def test_behind_a_gateway_that_answers_in_its_place_it_is_just_as_away(served: Served, draft: str) -> None:
    """As a proxy does: its 502 ends the events for good, as far as the browser is concerned."""
    gateway = FastAPI()
    gateway.add_route("/{path:path}", lambda request: Response("Bad Gateway", 502), ["GET", "POST"])
    harness, looked = served.harness, await served.open()
    written = await looked.context.new_page()
    other = await harness.draft()
    async with harness.worker():
        schedule = Schedule(throttle=Throttle(batch_size=20, every=timedelta(hours=1)))
        await harness.use_cases.send(draft, schedule, asked_by())
        await harness.until_left(20)
        await looked.goto(f"/messages/{draft}")
        await written.goto(f"/messages/{other}/edit")
        await served.stop()
        await served.start(gateway)
        await expect(looked.locator("#reach")).to_contain_text("Sendgate cannot be reached.")
        await expect(looked.locator("#head .badge")).to_have_text("Sending")
        await written.fill("#text", "An hour's work.")
        await written.click("text=Save and preview")
        await expect(written.locator("#reach")).to_contain_text("nothing was sent. What you typed is still here")
        await served.stop()
        await served.start()
        await expect(looked.locator("#reach")).to_be_empty()
        await harness.use_cases.pause(draft, asked_by())
        await expect(looked.locator("#head .badge")).to_have_text("Paused")
        await written.click("text=Save and preview")
        await expect(written.locator("pre")).to_have_text("An hour's work.")


async def test_a_count_that_cannot_be_had_is_said_not_to_be(served: Served, draft: str) -> None:
    page = await served.open()
    await page.goto(f"/messages/{draft}/edit")
    await expect(page.locator("#count")).to_contain_text(f"{AUDIENCE} contacts")
    await served.stop()
    await page.uncheck("[aria-label='To everybody']")
    await expect(page.locator("#reach")).to_contain_text("Sendgate cannot be reached.")
    await served.start()
    await page.check("[aria-label='To everybody']")
    await expect(page.locator("#reach")).to_be_empty()
