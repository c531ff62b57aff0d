"""Chromium on the real application behind a real socket; without a Chromium these tests are skipped."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from client.serve import listening_on, serving
from tests.harness import Harness
from tests.web.site import ADMIN_KEY, Site

HOW_TO_GET_IT = (
    "These tests need Chromium on the PATH: apt-get install --no-install-recommends chromium fonts-dejavu-core"
)
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip(HOW_TO_GET_IT)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium, headless=True, args=_FLAGS)
        yield opened
        await opened.close()


@dataclass
class Served:
    """The application at its address, and what a browser on it complained of."""

    site: Site
    url: str
    browser: Browser
    complaints: list[str]

    @property
    def harness(self) -> Harness:
        return self.site.harness

    async def open(self, **context: object) -> Page:
        """A page of a browser of its own, with the administrator signed in."""
        opened: BrowserContext = await self.browser.new_context(base_url=self.url, **context)  # type: ignore[arg-type]
        opened.set_default_timeout(15_000)
        page = await opened.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if "Content Security" in said.text else None)
        page.on("request", lambda asked: None if asked.url.startswith(self.url) else self.complaints.append(asked.url))
        await page.goto("/sign-in")
        await page.fill("#key", ADMIN_KEY)
        await page.click("button:has-text('Sign in')")
        await page.wait_for_url("**/messages")
        return page


@pytest.fixture
async def served(browser: Browser, harness: Harness) -> AsyncIterator[Served]:
    """No script may fail, nothing may break the policy, and nothing be asked of elsewhere."""
    site = Site(harness)
    stop = asyncio.Event()
    site.app.state.door.stopping = stop
    with listening_on("127.0.0.1", 0) as listener:
        async with serving(site.app, listener, stop):
            made = Served(site, f"http://127.0.0.1:{listener.getsockname()[1]}", browser, [])
            yield made
            for context in browser.contexts:
                await context.close()
    await site.aclose()
    assert made.complaints == []
