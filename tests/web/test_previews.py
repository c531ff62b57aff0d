"""Previews: any contact's email, in a frame that runs nothing; test emails, and what became of them."""

from __future__ import annotations

import pytest

from client.api import calls
from client.web.pages import WAIT
from client.web.previews import FRAME_POLICY
from models.api_keys import Role
from tests.web.filling import XSS, wrong
from tests.web.site import Site

HTML = "<p>Dear {{ contact.first_name }}</p><script>alert(1)</script>"


@pytest.fixture
async def draft(site: Site) -> str:
    await site.harness.add_contacts(12)
    return await site.harness.draft(html=HTML)


async def test_any_contact_s_email_is_shown_by_address_or_its_beginning(site: Site, draft: str) -> None:
    shown = await site.get(f"/messages/{draft}/preview")
    assert "As the first of the audience would get it" in shown.text
    assert "Dear N1," in shown.text
    shown = await site.send(shown.form("Show theirs"), q="C12@Example.com")
    assert "As c12@example.com would get it." in shown.text
    assert "Hello N12" in shown.text
    assert "Dear N12," in shown.tree.one("pre").text
    shown = await site.send(shown.form("Show theirs"), q="c1@example.com")
    assert "As c1@example.com would get it." in shown.text, "not c10, whose address begins like no other"
    assert "As c2@example.com" in (await site.send(shown.form("Show theirs"), q="c2@")).text
    shown = await site.send(shown.form("Show theirs"), q=XSS)
    assert wrong(shown) == {"q": "No contact has an address that begins so."}


async def test_the_first_of_the_audience_is_found_without_counting_it(
    site: Site, draft: str, counts: list[str]
) -> None:
    await site.harness.add_contacts(1, list_name="later", prefix="late")
    late = await site.harness.draft(html=HTML, lists=("later",))
    nobody = await site.harness.draft(lists=())
    counts.clear()
    for message_id, to in ((draft, "c1@example.com"), (late, "late1@example.com")):
        shown = await site.get(f"/messages/{message_id}/preview")
        assert to in shown.tree.one("dl").text
        assert "nobody" not in shown.text
        assert "Dear N1" in (await site.client.get(shown.tree.one("iframe")["src"])).text
    shown = await site.get(f"/messages/{nobody}/preview")
    assert "there is nobody in it, so attributes are empty." in shown.text
    assert counts == []


async def test_the_html_is_framed_and_can_neither_run_nor_load_anything(site: Site, draft: str) -> None:
    frame = (await site.get(f"/messages/{draft}/preview?q=c12@example.com")).tree.one("iframe")
    assert frame["sandbox"] == ""
    response = await site.client.get(frame["src"])
    assert "<p>Dear N12</p><script>" in response.text
    policy = response.headers["content-security-policy"]
    assert policy == FRAME_POLICY
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    assert "frame-ancestors 'self'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_html_of_nobody_and_of_a_message_without_it_are_sentences(site: Site, draft: str) -> None:
    assert (await site.get(f"/messages/{draft}/preview/body?contact=999999")).status == 404
    for contact in ("0", "x", str(2**63)):
        assert (await site.get(f"/messages/{draft}/preview/body?contact={contact}")).status == 422
    without = await site.harness.draft()
    shown = await site.get(f"/messages/{without}/preview")
    assert "The message has no HTML." in shown.text
    assert not shown.tree.all("iframe")


async def test_a_test_says_what_became_of_each(site: Site, draft: str) -> None:
    shown = await site.press(f"/messages/{draft}/preview", "Send test", to="me@example.com, you@example.com")
    assert [each.text.split(" (250")[0] for each in shown.tree.one("ul", class_="told").all("li")] == [
        "me@example.com : sent",
        "you@example.com : sent",
    ]
    assert [email.recipient for email in site.harness.smtp.accepted()] == ["me@example.com", "you@example.com"]
    assert (await site.harness.use_cases.message(draft)).counts.total == 0


async def test_a_test_that_takes_long_is_waited_for(site: Site, draft: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers may let one wait for minutes; what has become of each address is told all the same."""
    form = (await site.get(f"/messages/{draft}/preview")).form("Send test")
    monkeypatch.setattr(calls, "PATIENCE", -WAIT)  # none: whatever is not unhurried is given up at once
    shown = site.shown(await site.client.post(form.action, data=dict(form.values) | {"to": "me@example.com"}))
    assert "me@example.com : sent" in shown.tree.one("ul", class_="told").text
    assert (await site.get(f"/messages/{draft}/preview")).status == 503, "a page of ours alone is"


NOT_TESTED: list[tuple[str, str]] = [
    ("", "Give 1 to 20 addresses, not 0."),
    (" ".join(f"a{n}@example.com" for n in range(21)), "Give 1 to 20 addresses, not 21."),
    ("me@example.com nobody", "'nobody' is not an email address"),
    (XSS, "is not an email address"),
]


async def test_a_test_to_what_is_no_address_sends_nothing(site: Site, draft: str) -> None:
    for to, said in NOT_TESTED:
        shown = await site.press(f"/messages/{draft}/preview", "Send test", to=to)
        assert shown.status == 422
        assert said in wrong(shown)["to"]
        assert shown.tree.one("input", id="to")["value"] == to
        assert not site.harness.smtp.accepted()


async def test_whoever_only_looks_previews_and_is_offered_no_test(site: Site, draft: str) -> None:
    await site.sign_in_as(Role.VIEWER)
    shown = await site.get((await site.get(f"/messages/{draft}")).links["See it as a contact gets it"])
    assert shown.tree.all("iframe")
    assert "Send test" not in shown.text
    assert "Edit" not in shown.links
