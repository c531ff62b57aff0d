"""A form that was open while somebody else acted: what the message is now, what is legal, and what was typed."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from models.api_keys import Role
from models.schedule import Schedule
from tests.browser.conftest import Served, choose
from tests.browser.test_accessible import check
from tests.harness import asked_by


@pytest.mark.parametrize("script", [True, False])
async def test_a_pause_that_was_open_while_another_operator_canceled(served: Served, script: bool) -> None:
    harness = served.harness
    await harness.add_contacts(60)
    await harness.prepare_server()
    draft = await harness.draft(name="May news")
    mine = await served.open(java_script_enabled=script)
    theirs = await served.open(await served.site.key(Role.OPERATOR))
    harness.smtp.set(delay_ms=50)
    async with harness.worker(smtp_connections=1):
        await harness.use_cases.send(draft, Schedule(), asked_by())
        await harness.until_left(3)
        await mine.goto(f"/messages/{draft}/pause")
        await mine.fill("#reason", "the landing page is down:\nErik looks after it")
        await theirs.goto("/messages?tab=sent")
        await choose(theirs, draft, "Cancel")
        await theirs.click("button:has-text('Cancel')")
        await expect(theirs.locator("h1")).to_have_text("Canceled")
        await mine.click("button:has-text('Pause')")
        await expect(mine.locator(".lead")).to_contain_text("The message is canceled, so pause is refused")
        await expect(mine.locator("#typed")).to_have_value("the landing page is down:\nErik looks after it")
        await expect(mine.locator(".actions a")).to_have_text(["Look at the message as it is now", "Copy as Draft"])
        await mine.click("text=Copy as Draft")
        await expect(mine.locator("h1")).to_have_text("Copy “May news” as a draft?")
    await harness.assert_once_each(draft)


@pytest.mark.parametrize("script", [True, False])
async def test_two_who_edit_one_draft(served: Served, script: bool) -> None:
    await served.harness.add_contacts(3)
    draft = await served.harness.draft(text="As it was.")
    mine = await served.open(java_script_enabled=script)
    theirs = await served.open(await served.site.key(Role.EDITOR))
    for page in (mine, theirs):
        await page.goto(f"/messages/{draft}/edit")
    await theirs.fill("#text", "What they wrote.")
    await theirs.click("button:text-is('Save') >> nth=0")
    await expect(theirs.locator("main")).to_contain_text("The draft is saved.")
    await mine.fill("#text", "What took me an hour.")
    await mine.press("#subject", "Enter")
    await expect(mine.locator("[role=alert]")).to_contain_text("This draft was changed after you had opened it")
    await expect(mine.locator("[role=alert]")).to_contain_text("The two differ in: text.")
    await expect(mine.locator("#text")).to_have_value("What took me an hour.")
    if script:
        await check(mine, "a save that was refused")
    async with mine.context.expect_page() as opened:
        await mine.click("text=Look at it as it is now")
    await expect((await opened.value).locator("#text")).to_have_value("What they wrote.")
    await mine.click("button:has-text('Save mine all the same')")
    await expect(mine.locator("main")).to_contain_text("The draft is saved.")
    assert (await served.harness.use_cases.message(draft)).text == "What took me an hour."
