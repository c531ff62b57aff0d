"""What somebody else's page, and what somebody typed, cannot do in a browser that is signed in."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from playwright.async_api import Page, expect

from client.interface import AskedBy
from client.serve import listening_on, serving
from models.api_keys import Role
from models.message import MessageStatus
from models.schedule import Schedule, Throttle
from tests.browser.conftest import Served, drop_file
from tests.eventually import eventually
from tests.harness import asked_by

#: Would run as an element, and out of an attribute, a text field and a title.
PAYLOAD = """'"></title></textarea><img src=x onerror=ran()><script>ran()</script>"""
#: What an email would do where it may.
MISCHIEF = """<h1>Hello</h1><script>document.body.dataset.ran = "yes"</script>
<img src="{0}/pixel.png" onerror='document.body.dataset.ran = "yes"'><link rel="stylesheet" href="{0}/style.css">
<iframe src="{0}/frame"></iframe><meta http-equiv="refresh" content="0;url={0}/refreshed">
<a href="{0}/link">Click</a>"""


@dataclass
class Elsewhere:
    """A site of somebody else, on another port: what it shows at which address, and what it was asked for."""

    url: str
    pages: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    app = FastAPI()
    with listening_on("127.0.0.1", 0) as listener:
        made = Elsewhere(f"http://127.0.0.1:{listener.getsockname()[1]}")

        @app.get("/{path:path}")
        async def answer(request: Request) -> HTMLResponse:
            made.asked.append(request.url.path)
            return HTMLResponse(made.pages.get(request.url.path, ""))

        async with serving(app, listener, asyncio.Event()):
            yield made


def form_to(address: str, fields: dict[str, str]) -> str:
    """A page with a form that is sent by itself."""
    inputs = "".join(f'<input name="{name}" value="{html.escape(value)}">' for name, value in fields.items())
    return f'<form id="f" method="post" action="{address}">{inputs}</form><script>f.submit()</script>'


async def test_a_form_of_another_site_is_refused_and_changes_nothing(served: Served, tmp_path: Path) -> None:
    """From another port of this host, which gets the cookie along; from a page without an origin; from a file."""
    harness = served.harness
    await harness.add_contacts(60)
    await harness.prepare_server()
    draft = await harness.draft()
    page = await served.open()
    attacker = await served.open(await served.site.key(Role.OPERATOR))
    a_token = {"csrf": await attacker.input_value("[name=csrf] >> nth=0")}  # of another session
    victim = await page.context.new_page()
    keys = len(await harness.use_cases.keys())
    forms: dict[str, dict[str, str]] = {
        f"/messages/{draft}/pause": {"reason": "x"},
        f"/messages/{draft}/cancel": {"reason": "x"},
        "/keys": {"name": "mallory", "role": "admin"},
        "/hold": {"reason": "x"},
        "/sign-out": {},
    }
    an_hour_of_sending = Schedule(throttle=Throttle(batch_size=20, every=timedelta(hours=1)))
    async with elsewhere() as other, harness.worker():
        await harness.use_cases.send(draft, an_hour_of_sending, asked_by())
        await harness.until(draft, MessageStatus.SENDING)
        for path, fields in forms.items():
            content = form_to(f"{served.url}{path}", fields | a_token)
            other.pages["/"] = content
            (tmp_path / "mail.html").write_text(content)
            await victim.goto(other.url, wait_until="commit")
            await expect(victim.locator("h1")).to_have_text("Not allowed")
            await expect(victim.locator("main")).to_contain_text("by a page of another site; nothing was changed")
            for page_without_origin in (f"data:text/html,{quote(content)}", (tmp_path / "mail.html").as_uri()):
                await victim.goto(page_without_origin, wait_until="commit")
                await expect(victim.locator("h1")).to_have_text(re.compile("Not allowed|You are not signed in"))
        other.pages["/"] = f'<iframe src="{served.url}/messages/{draft}/pause"></iframe>'
        await victim.goto(other.url)
        assert await victim.frame_locator("iframe").locator("form").count() == 0, "nobody frames a page of ours"
        assert await harness.status(draft) is MessageStatus.SENDING
        assert [entry.command for entry in await harness.use_cases.history(draft)] == ["send"]
        assert len(await harness.use_cases.keys()) == keys
        assert not (await harness.use_cases.hold()).held
        await page.reload()
        await expect(page.locator(".who-name")).to_contain_text("admin")


async def text_of(page: Page) -> str:
    """What a page shows, with what stands in its fields and its title."""
    return str(
        await page.evaluate(
            """[document.title, document.body.innerText,
                ...[...document.querySelectorAll("input, textarea")].map((each) => each.value)].join(" ")"""
        )
    )


async def test_what_was_typed_runs_on_no_page(served: Served) -> None:
    """A script that gets onto a page breaks its policy, which fails the test as if it had run."""
    harness = served.harness
    await harness.add_contacts(60, list_name=PAYLOAD)
    await harness.prepare_server()
    use = harness.use_cases
    contact = await use.create_contact("ada@example.com", attributes={"first_name": PAYLOAD}, lists=[PAYLOAD])
    await use.suppress(["c1@example.com"], reason=PAYLOAD)
    await use.create_key(PAYLOAD, Role.VIEWER)
    typed: dict[str, Any] = {
        "name": PAYLOAD,
        "subject": PAYLOAD,
        "text": PAYLOAD,
        "from_name": PAYLOAD,
        "lists": (PAYLOAD,),
    }
    draft, sent = await harness.draft(**typed), await harness.draft(**typed)
    harness.smtp.set(delay_ms=50)
    async with harness.worker(smtp_connections=1):
        await use.send(sent, Schedule(), asked_by())
        await harness.until_left(1)
        paused = await use.pause(sent, AskedBy(actor=PAYLOAD, source="test", reason=PAYLOAD))
    await use.put_hold(AskedBy(actor=PAYLOAD, source="test", reason=PAYLOAD))
    assert paused.receipt is not None
    page = await served.open()
    await page.add_init_script("window.ran = () => alert('it ran')")
    asked = urlencode({"q": PAYLOAD, "list": PAYLOAD, "notice": PAYLOAD, "next": "javascript:ran()"})
    for path in (
        *(f"/messages?tab={tab}&{asked}" for tab in ("drafts", "scheduled", "sent")),
        *(f"/messages/{sent}{part}" for part in ("", "/recipients", "/history", "/resume", "/cancel", "/copy")),
        f"/messages/{sent}/receipts/{paused.receipt.command_id}",
        *(f"/messages/{draft}{part}" for part in ("", "/edit", "/preview", "/send", "/delete")),
        *(f"{path}?{asked}" for path in ("/contacts", "/lists", "/lists/members", "/suppressions", "/contacts/import")),
        *("/messages/new", "/contacts/new", f"/contacts/{contact.id}", f"/contacts/{contact.id}/delete"),
        *("/keys", "/hold", "/hold/release", f"/messages/{quote(PAYLOAD, safe='')}", f"/nothing?{asked}"),
    ):
        await page.goto(path)
        said = await text_of(page)
        assert PAYLOAD in said or "no such page" in said or "There is no message" in said, path
    # What comes back with what is wrong.
    await page.goto("/contacts/import")
    await drop_file(page, "email,first_name", f'"{PAYLOAD.replace(chr(34), chr(34) * 2)}",x')
    await page.fill("#list", PAYLOAD)
    await page.click("button:has-text('Import')")
    await expect(page.locator("#result")).to_contain_text(f"1 rejected, into {PAYLOAD}")
    for path, name, button in (
        ("/keys", "#name", "Create"),
        ("/contacts/new", "#address", "Save"),
        ("/suppressions", "#addresses", "Suppress"),
        (f"/messages/{draft}/edit", "#from_address", "Save"),
    ):
        await page.goto(path)
        await page.fill(name, PAYLOAD)
        await page.click(f"main button:has-text('{button}') >> nth=0")
        await expect(page.locator(".wrong").first).to_be_visible()
        await expect(page.locator(name)).to_have_value(PAYLOAD)
    await page.goto(f"/messages/{sent}/cancel")
    await harness.pool.execute("update messages set status = 'sent' where id = $1", sent)
    await page.fill("#reason", PAYLOAD)
    await page.click("button:has-text('Cancel')")
    await expect(page.locator("#typed")).to_have_value(PAYLOAD)


async def test_the_policy_stops_a_script_that_got_onto_a_page(served: Served) -> None:
    page = await served.open()
    async with elsewhere() as other:
        await page.evaluate(
            """(elsewhere) => {
                for (const [name, value] of [["textContent", "window.hasRun = true"], ["src", `${elsewhere}/x.js`]])
                    document.body.append(Object.assign(document.createElement("script"), { [name]: value }));
                document.body.append(Object.assign(new Image(), { src: `${elsewhere}/pixel.png` }));
            }""",
            other.url,
        )
        await eventually(lambda: len(served.complaints) >= 3)
        assert not await page.evaluate("window.hasRun")
        assert other.asked == []
    assert len([each for each in served.complaints if "Content Security" in each]) == 3
    served.complaints.clear()


async def test_the_html_of_an_email_runs_nothing_and_loads_nothing_from_elsewhere(served: Served) -> None:
    await served.harness.add_contacts(1)
    page = await served.open()
    async with elsewhere() as harmed, elsewhere() as other:
        mischief = MISCHIEF.format(harmed.url)
        # Once: a page that came back to itself for ever could not be closed.
        harmed.pages = {"/": mischief, "/refreshed": re.sub("<meta.*?>", "", mischief)}
        alone = await page.context.new_page()
        await alone.goto(harmed.url)  # where nothing keeps it from it
        await expect(alone.locator("body[data-ran]")).to_be_attached()
        await eventually(lambda: {"/pixel.png", "/style.css", "/frame", "/refreshed"} <= set(harmed.asked))
        await alone.close()
        draft = await served.harness.draft(html=MISCHIEF.format(other.url))
        await page.goto(f"/messages/{draft}/preview")
        frame = page.frame_locator("iframe")
        await expect(frame.locator("h1")).to_have_text("Hello")
        await expect(frame.locator("body[data-ran]")).not_to_be_attached()
        await frame.locator("a").click()
        await expect(frame.locator("h1")).not_to_have_text("Hello")  # the browser says that it is blocked
        # Nor at the address of the frame, which somebody may be sent a link to.
        alone = await page.context.new_page()
        await alone.goto(f"{served.url}/messages/{draft}/preview/body")
        await expect(alone.locator("h1")).to_have_text("Hello")
        await expect(alone.locator("body[data-ran]")).not_to_be_attached()
        assert other.asked == []
    served.complaints.clear()  # of what the policy has stopped
