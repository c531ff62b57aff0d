"""Signing in and out as people do it, and what the browser keeps of it."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.conftest import Served
from tests.web.site import ADMIN_KEY


async def test_one_signs_in_gets_what_one_asked_for_and_signs_out_for_good(served: Served) -> None:
    draft = await served.harness.draft(name="May news", lists=())
    page = await served.open(key=None)
    await page.goto(f"/messages/{draft}/history")
    await expect(page.locator("h1")).to_have_text("Sign in")
    await expect(page.locator("#key")).to_be_focused()
    await page.keyboard.type("not a key")
    await page.keyboard.press("Enter")
    await expect(page.locator("#key-error")).to_be_visible()
    await page.fill("#key", ADMIN_KEY)
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("May news")
    await expect(page).to_have_url(f"{served.url}/messages/{draft}/history")
    assert await page.evaluate("document.cookie") == "", "no script reads the cookie"
    await page.click("text=Sign out")
    await expect(page.locator("h1")).to_have_text("Sign in")
    await page.go_back()
    await expect(page.locator("h1")).to_have_text("Sign in")  # nothing is shown out of the browser's memory


async def test_pages_that_are_open_say_that_the_session_is_over(served: Served) -> None:
    await served.harness.draft(name="May news", lists=())
    page = await served.open()
    other = await page.context.new_page()
    await other.goto("/messages")
    await other.click("text=Sign out")
    await expect(other.locator("h1")).to_have_text("Sign in")
    await page.evaluate("refresh()")
    await expect(page.locator("#reach")).to_contain_text("You are signed out")
    await expect(page.locator("#list")).to_contain_text("May news")


async def test_an_address_that_there_is_not_leads_back_into_the_site(served: Served) -> None:
    page = await served.open()
    await served.harness.pool.execute("insert into hold (actor, reason) values ('anna', 'the mail server burns')")
    await page.goto("/massages")
    await expect(page.locator("h1")).to_have_text("Not found")
    await expect(page.locator(".banner")).to_contain_text("the mail server burns")
    await page.locator(".places").get_by_role("link", name="Contacts", exact=True).click()
    await expect(page.locator("h1")).to_have_text("Contacts")
    await page.goto("/massages")
    await page.click("text=Sign out")
    await expect(page.locator("h1")).to_have_text("Sign in")
    await page.goto("/massages")
    await expect(page.locator("h1")).to_have_text("Not found")
    await expect(page.locator("nav")).to_have_count(0)
    await page.click("text=Go to the messages")
    await expect(page.locator("h1")).to_have_text("Sign in")
