"""Chromium on the real application behind a real socket; without a Chromium these tests are skipped."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, Dialog, Page, async_playwright, expect

from client.local.mail_catcher import read_mailbox
from client.local.ports import HOST, free_port, is_free
from client.serve import listening_on, serving
from tests.eventually import eventually
from tests.harness import Harness
from tests.web.site import ADMIN_KEY, Site

HOW_TO_GET_IT = (
    "These tests need Chromium on the PATH: apt-get install --no-install-recommends chromium fonts-dejavu-core"
)
_WITHIN_MS = 60_000  # what a page does or shows, it does at once; a noisy machine makes it wait
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


expect.set_options(timeout=_WITHIN_MS)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip(HOW_TO_GET_IT)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium, headless=True, args=_FLAGS)
        yield opened
        await opened.close()


class Served:
    """The application at its address, and what a browser on it complained of."""

    def __init__(self, site: Site, browser: Browser) -> None:
        self.site = site
        self.browser = browser
        self.complaints: list[str] = []
        self._port = 0
        self._up = AsyncExitStack()

    @property
    def harness(self) -> Harness:
        return self.site.harness

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self, app: FastAPI | None = None) -> None:
        """Serve, after a stop on the same port; or another application in its place."""
        listener = self._up.enter_context(listening_on("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        stop = self.site.app.state.door.stopping = asyncio.Event()
        await self._up.enter_async_context(serving(app or self.site.app, listener, stop))

    async def stop(self) -> None:
        """End the server as SIGTERM does; nobody listens on its port then. Workers go on."""
        await self._up.aclose()

    async def open(self, key: str | None = ADMIN_KEY, **context: object) -> Page:
        """The messages in a browser of its own, with the owner of the key signed in (None: nobody)."""
        opened: BrowserContext = await self.browser.new_context(base_url=self.url, **context)  # type: ignore[arg-type]
        opened.set_default_timeout(_WITHIN_MS)
        if key is not None:  # what signing in gives: test_signing_in.py does it by hand
            token = await self.site.web.sessions.open(key)
            await opened.add_cookies([{"name": f"sendgate-{self._port}", "value": token, "url": self.url}])
        page = await opened.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dialog)
        page.on("console", lambda said: self.complaints.append(said.text) if "Content Security" in said.text else None)
        page.on("request", lambda asked: None if asked.url.startswith(self.url) else self.complaints.append(asked.url))
        await page.goto("/messages")
        return page

    async def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()


@pytest.fixture
async def served(browser: Browser, harness: Harness) -> AsyncIterator[Served]:
    """No script may fail or ask anything, nothing may break the policy, and nothing be asked of elsewhere."""
    site = Site(harness)
    made = Served(site, browser)
    await made.start()
    yield made
    for context in browser.contexts:
        await context.close()
    await made.stop()
    await site.aclose()
    assert made.complaints == []


@dataclass(frozen=True)
class Mailbox:
    """The mail catcher of the local stack, for tests that look into the emails."""

    port: int
    path: Path

    def texts(self) -> list[tuple[str, str]]:
        """Who got an email, and its content, in the order of arrival."""
        return [(email.address, email.path.read_text()) for email in read_mailbox(self.path)]


@pytest.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[Mailbox]:
    made = Mailbox(free_port(), tmp_path / "mail")
    module = ("-m", "client.local.mail_catcher")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *module, "--host", HOST, "--port", str(made.port), "--maildir", str(made.path)
    )
    try:
        await eventually(lambda: not is_free(made.port), within=60)
        yield made
    finally:
        process.kill()
        await process.wait()


async def choose(page: Page, message_id: str, item: str) -> None:
    """Hover over the arrow next to the message's name, and select."""
    await page.hover(f"#menu-{message_id} summary")
    await page.locator(f"#menu-{message_id}").get_by_role("link", name=item, exact=True).click()


async def drop_file(page: Page, *lines: str) -> None:
    """Drop a CSV on the page of imports, as from a folder beside the browser."""
    await page.evaluate(
        """(content) => {
            const data = new DataTransfer();
            data.items.add(new File([content], "people.csv", { type: "text/csv" }));
            document.querySelector("[data-drop]").dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        "".join(f"{line}\n" for line in lines),
    )
