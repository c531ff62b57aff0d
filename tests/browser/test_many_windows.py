"""A browser has six connections to a host for all of its windows: however many are open, each can still be used."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from models.schedule import Schedule
from tests.browser.conftest import Served
from tests.harness import asked_by

WINDOWS = 8
#: What a browser does to a window that goes behind another; a headless one shows all of them at once.
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
async def draft(served: Served) -> str:
    await served.harness.add_contacts(200)
    await served.harness.prepare_server()
    return await served.harness.draft(name="May news")


async def look_at(page: Page, message_id: str) -> None:
    async with page.expect_request("**/stream"):
        await page.goto(f"/messages/{message_id}")
    await expect(page.locator("#head .badge").first).to_have_text("Sending")


async def test_a_pause_goes_through_with_eight_windows_of_its_message_open(served: Served, draft: str) -> None:
    harness, first = served.harness, await served.open()
    windows = [first, *[await first.context.new_page() for _ in range(WINDOWS - 1)]]
    async with harness.worker():
        await harness.use_cases.send(draft, Schedule(emails_per_second=4), asked_by())
        await harness.until_left(1)
        for window in windows:
            await look_at(window, draft)
        await first.locator(".commands").get_by_role("link", name="Pause", exact=True).click()
        await first.fill("#reason", "the landing page is down")
        await first.click("button:has-text('Pause')")
        await expect(first.locator("h1")).to_have_text("Paused")
        for window in windows[1:]:
            await expect(window.locator("#head .badge").first).to_have_text("Paused")


async def test_one_window_of_a_browser_has_the_stream_and_it_is_the_one_that_came_up_last(
    served: Served, draft: str
) -> None:
    harness, first = served.harness, await served.open()
    second = await first.context.new_page()
    async with harness.worker():
        await harness.use_cases.send(draft, Schedule(emails_per_second=4), asked_by())
        await harness.until_left(1)
        await look_at(first, draft)
        async with first.expect_event("requestfailed", lambda asked: asked.url.endswith("/stream")):
            await look_at(second, draft)
        async with second.expect_event("requestfailed", lambda asked: asked.url.endswith("/stream")):
            await second.evaluate(HIDE, True)
        async with first.expect_request("**/stream"):
            await first.evaluate("window.dispatchEvent(new Event('focus'))")
        await harness.use_cases.pause(draft, asked_by())
        await expect(first.locator("#head .badge").first).to_have_text("Paused")
        await expect(second.locator("#head .badge").first).to_have_text("Sending")
        async with second.expect_request("**/stream"):
            await second.evaluate(HIDE, False)
        await expect(second.locator("#head .badge").first).to_have_text("Paused")
