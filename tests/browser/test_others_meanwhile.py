"""A form that was open while somebody else acted: what the message is now, what is legal, and what was typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from playwright.async_api import Page, expect

from models.api_keys import Role
from models.commands import Verb
from models.schedule import Schedule, Throttle
from tests.browser.conftest import Served, choose
from tests.browser.test_accessible import check
from tests.harness import asked_by

REASON = "the landing page is down:\nErik looks after it"


@asynccontextmanager
async def sent_after_another_canceled(served: Served, command: Verb, script: bool) -> AsyncIterator[tuple[Page, str]]:
    """The page that answers this form, and the message; the other operator's cancel was confirmed before."""
    harness = served.harness
    await harness.add_contacts(60)
    await harness.prepare_server()
    draft = await harness.draft(name="May news")
    mine = await served.open(java_script_enabled=script)
    theirs = await served.open(await served.site.key(Role.OPERATOR))
    async with harness.worker():
        schedule = Schedule(throttle=Throttle(batch_size=20, every=timedelta(hours=1)))
        await harness.use_cases.send(draft, schedule, asked_by())
        await harness.until_left(20)
        await mine.goto(f"/messages/{draft}/{command}")
        await mine.fill("#reason", REASON)
        await theirs.goto("/messages?tab=sent")
        await choose(theirs, draft, "Cancel")
        await theirs.fill("#reason", "there is an error in the body")
        await theirs.click("button:has-text('Cancel')")
        await expect(theirs.locator("h1")).to_have_text("Canceled")
        await mine.click(f"button:has-text('{command.capitalize()}')")
        yield mine, draft


@pytest.mark.parametrize("script", [True, False])
async def test_a_pause_that_was_open_while_another_operator_canceled(served: Served, script: bool) -> None:
    async with sent_after_another_canceled(served, Verb.PAUSE, script) as (mine, draft):
        await expect(mine.locator(".lead")).to_contain_text("The message is canceled, so pause is refused")
        await expect(mine.locator("#typed")).to_have_value(REASON)
        await expect(mine.locator(".actions a")).to_have_text(["Look at the message as it is now", "Copy as Draft"])
        await mine.click("text=Copy as Draft")
        await expect(mine.locator("h1")).to_have_text("Copy “May news” as a draft?")
    await served.harness.assert_once_each(draft)


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


async def test_two_who_change_one_contact(served: Served) -> None:
    """Each changes something else, and neither takes back what the other did; lines stay lines."""
    use = served.harness.use_cases
    made = await use.create_contact("ada@example.org", attributes={"note": "one\n\ntwo", "city": "Oslo"})
    mine, theirs = await served.open(), await served.open(await served.site.key(Role.EDITOR))
    for page in (mine, theirs):
        await page.goto(f"/contacts/{made.id}")
    await theirs.fill("#time_zone", "Europe/Oslo")
    await theirs.fill("input[name=attribute_value] >> nth=0", "")
    await theirs.click("button:text-is('Save')")
    await expect(theirs.locator("main")).to_contain_text("The contact is saved.")
    await check(theirs, "a contact with a value of several lines")
    await mine.fill("#address", "ada@example.net")
    await mine.click("button:text-is('Save')")
    await expect(mine.locator("h1")).to_have_text("ada@example.net")
    now = await use.contact(made.id)
    assert (now.time_zone, now.attributes) == ("Europe/Oslo", {"note": "one\n\ntwo"})


@pytest.mark.parametrize("script", [True, False])
async def test_a_cancel_that_was_open_while_another_operator_canceled(served: Served, script: bool) -> None:
    """Both wanted the same: there is nothing to refuse, and the history keeps both reasons."""
    async with sent_after_another_canceled(served, Verb.CANCEL, script) as (mine, draft):
        await expect(mine.locator("h1")).to_have_text("Canceled")
        await expect(mine.locator("dl")).to_contain_text("It was canceled before this was asked for")
        await mine.goto(f"/messages/{draft}/history")
        await expect(mine.locator("#command-3")).to_contain_text(REASON.replace("\n", " "))
        await expect(mine.locator("#command-2")).to_contain_text("there is an error in the body")
        await expect(mine.locator("#command-2")).not_to_contain_text("before this was asked for")
