"""What one looks at stays where it is while it changes, and a form that was sent goes once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

from models.message import Message
from models.schedule import Schedule
from tests.browser.conftest import Served
from tests.eventually import eventually
from tests.harness import asked_by

BLOCKS = ("h1", ".tabs", ".panel", ".progress-head", ".bar", ".counts", ".counts li", ".tiles", ".tiles div", ".foot")


async def places(page: Page) -> dict[str, list[object]]:
    """Where the blocks of a page begin, and how large they are."""
    return {
        block: await page.locator(block).evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).map(({ x, y, width, height }) => [x, y, width, height])"
        )
        for block in BLOCKS
    }


@pytest.mark.parametrize("width", [1200, 390])
async def test_a_message_s_page_stays_as_it_is_while_its_counts_grow(served: Served, width: int) -> None:
    harness = served.harness
    await harness.add_contacts(1_200)
    await harness.prepare_server()
    draft = await harness.draft(name="May news")
    page = await served.open(viewport={"width": width, "height": 800})
    async with harness.worker():
        await harness.use_cases.send(draft, Schedule(emails_per_second=40), asked_by())
        await harness.until_left(3)
        await page.goto(f"/messages/{draft}")
        await expect(page.locator(".tiles")).to_contain_text("emails/s")
        shown, before = await page.locator(".counts").inner_text(), await places(page)
        assert all(before.values())
        for _ in range(5):
            await expect(page.locator(".counts")).not_to_have_text(shown, use_inner_text=True)
            shown = await page.locator(".counts").inner_text()
            assert await places(page) == before
        await harness.use_cases.cancel(draft, asked_by())


async def test_a_button_that_is_pressed_twice_sends_its_form_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, page = served.harness, await served.open()
    draft, go_on, copy = await harness.draft(lists=()), asyncio.Event(), harness.use_cases.copy
    arrived: list[str] = []

    async def slowly(message_id: str, **how: Any) -> Message:
        arrived.append(message_id)
        await go_on.wait()
        return await copy(message_id, **how)

    monkeypatch.setattr(harness.use_cases, "copy", slowly)
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(asked.url) if asked.method == "POST" else None)
    await page.goto(f"/messages/{draft}/copy")
    button = page.locator("button:has-text('Copy as Draft')")
    box = await button.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.click(*middle)  # `button.click` would wait for the answer
    await eventually(lambda: arrived == [draft])
    await page.mouse.click(*middle)
    for _ in range(20):  # longer than the form asks whether somebody is there
        await page.request.get("/sign-in")
    go_on.set()
    await expect(page.locator("h1")).to_have_text("Copy of News")
    assert len(sent) == 1
    # Whoever goes back may copy it again.
    await page.go_back()
    await button.click()
    await expect(page.locator("h1")).to_have_text("Copy of News")
    assert len(sent) == 2
    assert len((await harness.use_cases.messages())[0]) == 3
