"""The menu beside a name and the details of a send time: by mouse, keyboard and touch, and while the list keeps up."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from models.message import MessageStatus
from models.schedule import Schedule
from tests.browser.conftest import Served
from tests.harness import asked_by


@pytest.fixture
async def draft(served: Served) -> str:
    await served.harness.add_contacts(200)
    await served.harness.prepare_server()
    return await served.harness.draft(name="May news")


async def shown(page: Page, tab: str) -> None:
    await page.goto(f"/messages?tab={tab}")


async def test_the_list_keeps_up_without_moving_what_is_looked_at(served: Served, draft: str) -> None:
    harness, page = served.harness, await served.open()
    async with harness.worker():
        await harness.use_cases.send(draft, Schedule(emails_per_second=5), asked_by())
        await harness.until(draft, MessageStatus.SENDING)
        await shown(page, "sent")
        columns = page.locator("th")
        before = [await columns.nth(n).bounding_box() for n in range(4)]
        await page.focus(".when-time")
        await page.evaluate("document.querySelector('.when-time').dataset.mine = 'kept'")
        await expect(page.locator(".details")).to_be_visible()
        await harness.use_cases.pause(draft, asked_by("the link is broken"))
        await expect(page.locator(f"#row-{draft} .badge")).to_have_text("Paused")
        assert [await columns.nth(n).bounding_box() for n in range(4)] == before
        await expect(page.locator(".when-time")).to_be_focused()
        await expect(page.locator(".details")).to_be_visible()
        await expect(page.locator(".details")).to_contain_text("the link is broken")


async def test_an_open_menu_stays_as_it_is_while_the_list_changes_and_the_list_catches_up_behind_it(
    served: Served, draft: str
) -> None:
    page, menu = await served.open(), f"#menu-{draft}"
    await shown(page, "drafts")
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        held.set()
        await go_on.wait()
        await route.continue_()

    # A look at the list is on its way as the menu is opened; what it brings comes while the menu is open.
    await page.route("**/messages?tab=drafts", hold)
    await held.wait()
    await page.click(f"{menu} summary")
    where = await page.locator(f"{menu} >> text=Delete").bounding_box()
    await served.harness.draft(name="June news")  # above it
    async with page.expect_response("**/messages?tab=drafts") as answered:
        go_on.set()
    await (await answered.value).finished()
    await page.evaluate("refresh()")  # as the next look
    await expect(page.locator(f"{menu} ul")).to_be_visible()
    assert await page.locator(f"{menu} >> text=Delete").bounding_box() == where
    assert "June news" not in await page.inner_text("#list")
    await page.evaluate("clearInterval(looking)")  # it is no look that catches up, but the menu as it closes
    await page.keyboard.press("Escape")
    await expect(page.locator("#list")).to_contain_text("June news")
    await expect(page.locator(f"{menu} ul")).to_be_hidden()


async def test_the_details_of_a_send_time_by_mouse_and_keyboard(served: Served, draft: str) -> None:
    await served.harness.pool.execute("update messages set status = 'sent' where id = $1", draft)
    page = await served.open()
    await shown(page, "sent")
    details = page.locator(".details")
    await page.hover(".when-time")
    await expect(details).to_be_visible()
    await details.hover()  # it can be pointed at, and its text chosen
    await expect(details).to_be_visible()
    await page.mouse.move(5, 5)
    await expect(details).to_be_hidden()
    await page.focus(f"#menu-{draft} summary")
    await page.keyboard.press("Tab")
    while not await page.locator(".when-time").evaluate("each => each === document.activeElement"):
        await page.keyboard.press("Tab")  # through the items of the menu
    await expect(details).to_be_visible()
    await expect(page.locator(f"#menu-{draft} ul")).to_be_hidden()
    await expect(page.locator(".when-time")).to_have_attribute(
        "aria-describedby", await details.get_attribute("id") or ""
    )
    await page.keyboard.press("Escape")
    await expect(details).to_be_hidden()
    await page.focus(".name a")
    await page.focus(".when-time")
    await expect(details).to_be_visible()


async def test_a_menu_is_whole_below_the_last_row_and_in_a_narrow_window(served: Served, draft: str) -> None:
    page = await served.open(viewport={"width": 390, "height": 600})
    for width in (390, 1200):
        await page.set_viewport_size({"width": width, "height": 600})
        await shown(page, "drafts")
        await page.focus(f"#menu-{draft} summary")
        await page.keyboard.press("ArrowDown")
        for item in await page.locator(f"#menu-{draft} a").all():
            await expect(item).to_be_in_viewport(ratio=1)
            assert await item.evaluate(
                """item => {
                    const box = item.getBoundingClientRect(), middle = box.top + box.height / 2;
                    return [box.left + 1, box.right - 1].every((x) => document.elementFromPoint(x, middle) === item);
                }"""
            ), f"something covers {await item.inner_text()} at {width}"


async def test_the_menu_by_keyboard(served: Served, draft: str) -> None:
    page = await served.open()
    await shown(page, "drafts")
    await page.focus(".name a")
    await page.keyboard.press("Tab")
    menu = page.locator(f"#menu-{draft}")
    await expect(menu.locator("ul")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await expect(menu.locator("a >> nth=0")).to_be_focused()
    await page.keyboard.press("End")
    await expect(menu.locator("text=Delete")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(menu.locator("a >> nth=0")).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(menu.locator("text=Delete")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(menu.locator("ul")).to_be_hidden()
    await expect(menu.locator("summary")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(menu.locator("ul")).to_be_visible()
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Delete “May news”?")


async def test_the_menu_by_mouse_opens_one_at_a_time_and_closes_when_one_goes_away(served: Served, draft: str) -> None:
    other = await served.harness.draft(name="June news")
    page = await served.open()
    await shown(page, "drafts")
    await page.hover(f"#menu-{draft} summary")
    await expect(page.locator(f"#menu-{draft} ul")).to_be_visible()
    await page.mouse.move(5, 5)
    await expect(page.locator(f"#menu-{draft} ul")).to_be_hidden()
    await page.hover(f"#menu-{draft} summary")
    await page.click(f"#menu-{draft} summary")
    await page.mouse.move(5, 5)
    await expect(page.locator(f"#menu-{draft} summary")).to_be_focused()
    await expect(page.locator(f"#menu-{draft} ul")).to_be_visible()  # a click keeps it
    await page.hover(f"#menu-{other} summary")
    await expect(page.locator(f"#menu-{other} ul")).to_be_visible()
    await expect(page.locator(f"#menu-{draft} ul")).to_be_hidden()
    await page.mouse.click(5, 500)
    await expect(page.locator(f"#menu-{other} ul")).to_be_hidden()


async def test_the_menu_and_the_details_by_touch(served: Served, draft: str) -> None:
    await served.harness.pool.execute("update messages set status = 'sent' where id = $1", draft)
    page = await served.open(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    await shown(page, "sent")
    await page.tap(f"#menu-{draft} summary")
    await expect(page.locator(f"#menu-{draft} ul")).to_be_visible()
    await page.tap(f"#menu-{draft} summary")
    await expect(page.locator(f"#menu-{draft} ul")).to_be_hidden()
    await page.tap(f"#menu-{draft} summary")
    await page.touchscreen.tap(200, 600)
    await expect(page.locator(f"#menu-{draft} ul")).to_be_hidden()
    await page.tap(".when-time")
    await expect(page.locator(".details")).to_be_visible()
    box = await page.locator(".details").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    await page.touchscreen.tap(200, 600)
    await expect(page.locator(".details")).to_be_hidden()
    await page.tap(f"#menu-{draft} summary")
    await page.tap(f"#menu-{draft} >> text=Copy as Draft")
    await expect(page.locator("h1")).to_have_text("Copy “May news” as a draft?")
