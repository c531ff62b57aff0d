"""axe finds nothing on any page, light and dark, wide and narrow; and nothing is wider than the screen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from models.api_keys import Role
from models.message import MessageStatus
from models.schedule import Schedule, Throttle
from models.unsubscribe import make_token
from tests.browser.conftest import Served
from tests.harness import SECRET_KEY, asked_by

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],  # what passes is not told, which takes half as long
}
#: What is shown above the page covers other targets until it is closed.
WITH_SOMETHING_OPEN = RULES | {"rules": {"target-size": {"enabled": False}}}


async def check(page: Page, path: str, rules: object = RULES) -> None:
    found = await Axe().run(page, options=rules)
    assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    too_wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not too_wide, f"{path} is wider than the screen"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
async def test_axe_finds_nothing(served: Served, scheme: str, width: int) -> None:
    harness = served.harness
    await harness.add_contacts(60)
    await harness.prepare_server()
    throttled, draft = await harness.draft(name="In batches"), await harness.draft(name="A draft")
    async with harness.worker():
        schedule = Schedule(throttle=Throttle(batch_size=20, every=timedelta(hours=1)))
        await harness.use_cases.send(throttled, schedule, asked_by())
        await harness.until_left(20)
        await harness.use_cases.pause(throttled, asked_by("the link is broken"))
    in_doubt = await harness.draft(name="In doubt")
    async with harness.worker():
        await harness.use_cases.send(in_doubt, Schedule(), asked_by())
        await harness.until(in_doubt, MessageStatus.SENT)
    scheduled = [await harness.draft(name=f"For {year}") for year in (2031, 2032)]
    for message_id in scheduled:
        await harness.send(message_id, at="2031-06-01T09:00:00+00:00")
    asked = asked_by("the date is wrong")
    await harness.use_cases.cancel(scheduled[1], asked, wait=timedelta(0))  # without a worker nobody confirms it
    key = await harness.use_cases.create_key("anna", Role.VIEWER)
    await harness.pool.execute("update recipients set status = 'in_doubt' where message_id = $1", in_doubt)
    await harness.pool.execute("insert into hold (actor, reason) values ('anna', 'the mail server burns')")
    command = (await harness.use_cases.history(throttled))[1].command_id
    page = await served.open(color_scheme=scheme, viewport={"width": width, "height": 800})
    for path in (
        "/messages?tab=drafts",
        "/messages?tab=scheduled",
        "/messages?tab=sent",
        f"/messages/{draft}",
        f"/messages/{throttled}",
        f"/messages/{throttled}/recipients",
        f"/messages/{throttled}/history",
        f"/messages/{throttled}/resume",
        f"/messages/{throttled}/cancel",
        f"/messages/{throttled}/copy",
        f"/messages/{throttled}/receipts/{command}",
        f"/messages/{throttled}/pause",
        f"/messages/{draft}/delete",
        f"/messages/{scheduled[0]}/unschedule",
        f"/messages/{scheduled[1]}/receipts/{asked.command_id}",
        "/hold/release",
        f"/keys/{key.id}/revoke",
        f"/unsubscribe/{make_token(SECRET_KEY, in_doubt, 1)}",
        f"/messages/{in_doubt}/in-doubt",
        "/nothing",
    ):
        await page.goto(path)
        await check(page, path)
    await page.goto("/messages?tab=sent")
    await page.focus(".when-time >> nth=0")
    await check(page, "the details of a send time", WITH_SOMETHING_OPEN)
    await page.locator("summary").first.click()
    await check(page, "an open menu", WITH_SOMETHING_OPEN)
    await page.context.clear_cookies()
    await page.goto("/sign-in")
    await check(page, "/sign-in")
