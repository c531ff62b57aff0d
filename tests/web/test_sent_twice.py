"""Forms that make something, sent twice: they act once, and both times lead to the same page."""

from __future__ import annotations

import asyncio

from tests.web.filling import value_of
from tests.web.site import Form, Shown, Site

DRAFT = {"name": "May news", "from_address": "news@example.com", "subject": "Hello", "text": "All is well."}


async def twice(site: Site, form: Form, **changes: str) -> tuple[Shown, Shown]:
    """Send a form twice at the same moment, as two clicks do, and once more later."""
    first, second = await asyncio.gather(site.send(form, **changes), site.send(form, **changes))
    third = await site.send(form, **changes)
    assert first.status == second.status == third.status == 200
    assert first.address == second.address == third.address
    return first, third


async def names(site: Site) -> list[str]:
    return sorted(message.name for message in (await site.harness.use_cases.messages())[0])


async def test_a_new_draft(site: Site) -> None:
    form = (await site.get("/messages/new")).form("Save")
    shown, again = await twice(site, form, **DRAFT, do="preview")
    assert shown.tree.one("h1").text == again.tree.one("h1").text == "Preview of May news"
    assert await names(site) == ["May news"]
    await site.press("/messages/new", "Save", **DRAFT)
    assert await names(site) == ["May news", "May news"], "the page loaded anew is another form"


async def test_a_draft_that_did_not_fit_is_made_once_it_does(site: Site) -> None:
    form = (await site.get("/messages/new")).form("Save")
    assert (await site.send(form, **DRAFT | {"subject": ""})).status == 422
    assert (await site.send(form, **DRAFT)).status == 200
    assert await names(site) == ["May news"]


async def test_a_form_that_was_filled_in_otherwise_meanwhile_says_so_and_keeps_what_was_typed(site: Site) -> None:
    form = (await site.get("/messages/new")).form("Save")
    await site.send(form, **DRAFT)
    shown = await site.send(form, **DRAFT | {"name": "June news"})
    assert shown.status == 409
    assert "This form was sent already, filled in otherwise" in shown.tree.one("main").text
    assert value_of(shown, "name") == "June news"
    assert await names(site) == ["May news"]
    await site.send(shown.form("Save"))
    assert await names(site) == ["June news", "May news"]


async def test_a_copy(site: Site) -> None:
    draft = await site.harness.draft(lists=())
    form = (await site.get(f"/messages/{draft}/copy")).form("Copy as Draft")
    shown, again = await twice(site, form)
    assert "This is the copy" in shown.text
    assert "This is the copy" in again.text
    assert await names(site) == ["Copy of News", "News"]
    await site.press(f"/messages/{draft}/copy", "Copy as Draft")
    assert len(await names(site)) == 3


async def test_a_test_email(site: Site) -> None:
    await site.harness.add_contacts(1)
    draft = await site.harness.draft()
    form = (await site.get(f"/messages/{draft}/preview")).form("Send test")
    shown, again = await twice(site, form, to="me@example.com, you@example.com")
    told = [line.text for line in shown.tree.one("ul", class_="told").all("li")]
    assert told == [line.text for line in again.tree.one("ul", class_="told").all("li")]
    assert len(told) == 2
    assert [email.recipient for email in site.harness.smtp.accepted()] == ["me@example.com", "you@example.com"]
    await site.send(shown.form("Send test"))
    assert len(site.harness.smtp.accepted()) == 4, "from the page that says what became of it one may send again"


async def test_a_key_which_is_shown_the_first_time_alone(site: Site) -> None:
    form = (await site.get("/keys")).form("Create")
    answers = await asyncio.gather(*(site.send(form, name="anna <b>", role="operator") for _ in range(3)))
    answers.append(await site.send(form, name="anna <b>", role="operator"))
    secrets = [code.text for shown in answers for code in shown.tree.all("code")]
    assert len(secrets) == 1
    (key,) = await site.harness.use_cases.keys()
    for shown in answers:
        assert shown.status == 200
        if not shown.tree.all("code"):
            assert "The key anna <b> was made already" in shown.text
            assert shown.links["revoke anna <b>"] == f"/keys/{key.id}/revoke"
            assert value_of(shown, "name") == ""
    kept = await site.harness.pool.fetch("select * from api_answers")
    assert kept
    assert secrets[0].removeprefix("sg_") not in "".join(map(str, kept))
