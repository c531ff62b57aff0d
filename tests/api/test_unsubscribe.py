"""Unsubscribe links: one click acts, looking does not, and nobody can make or change a token."""

from __future__ import annotations

import re
from email.parser import BytesHeaderParser
from typing import Any

from aiosmtpd.controller import Controller
from pydantic import SecretStr

from activities.smtp.connections import SmtpTransport
from client.batch_messages import BatchMessages
from client.emails import parts_of
from client.local.ports import free_port
from models.api_keys import Role
from models.contact import UNSUBSCRIBED
from models.message import MessageStatus
from models.schedule import Schedule
from models.unsubscribe import is_of_preview, make_token, read_token, unsubscribe_url
from tests.api.api import Api
from tests.api.test_messages import MESSAGES
from tests.harness import SECRET_KEY, Harness, asked_by

ONE_CLICK = {"data": {"List-Unsubscribe": "One-Click"}}  # RFC 8058, section 3.2


def test_a_token_names_its_recipient_to_whoever_has_the_key() -> None:
    for message_id, contact_id in (("b94xh8qbm4qr", 1), ("b94xh8qbm4qr", 2**63 - 1)):
        token = make_token("secret", message_id, contact_id)
        assert read_token("secret", token) == (message_id, contact_id)
        assert read_token("other", token) is None
        assert len(token) < 60
    assert (
        unsubscribe_url("https://x.example/", "k", "m", 1) == f"https://x.example/unsubscribe/{make_token('k', 'm', 1)}"
    )


def test_a_changed_token_is_no_token() -> None:
    token = make_token("secret", "b94xh8qbm4qr", 5)
    for place in range(len(token) - 1):  # of the last character only two bits count
        other = "A" if token[place] != "A" else "B"
        assert read_token("secret", token[:place] + other + token[place + 1 :]) is None
    for wrong in ("", "x", token[:-4], token + "AAAA", "ø", "=" * 8, "\x00"):
        assert read_token("secret", wrong) is None


def test_the_token_of_a_preview_looks_the_same_and_names_nobody() -> None:
    acts = make_token("secret", "b94xh8qbm4qr", 5)
    shows = make_token("secret", "b94xh8qbm4qr", 5, preview=True)
    assert len(shows) == len(acts)
    assert read_token("secret", shows) is None
    assert [is_of_preview(key, token) for key, token in (("secret", shows), ("other", shows), ("secret", acts))] == [
        True,
        False,
        False,
    ]


async def test_one_click_holds_at_the_next_claim_of_a_running_send(api: Api) -> None:
    await api.harness.add_contacts(200)
    await api.harness.prepare_server()
    draft = await api.harness.draft()
    last = int(await api.harness.pool.fetchval("select max(id) from contacts"))
    async with api.harness.worker():
        await api.ok("PUT", f"{MESSAGES}/{draft}/send", json={"emails_per_second": 100})
        await api.harness.until_left(1)
        path = f"/unsubscribe/{make_token(SECRET_KEY, draft, last)}"
        for _ in range(2):
            done = await api("POST", path, key=None, **ONE_CLICK)
            assert done.status_code == 200
            assert "unsubscribed" in done.text
        await api.harness.until(draft, MessageStatus.SENT)
    assert "c200@example.com" not in {email.recipient for email in api.harness.smtp.accepted()}
    assert len(api.harness.smtp.accepted()) == 199
    (suppression,) = (await api.ok("GET", "/v1/suppressions"))["items"]
    assert (suppression["address"], suppression["reason"]) == ("c200@example.com", UNSUBSCRIBED)


class Catcher:
    """A next hop that keeps what it takes."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.contents.append(envelope.content)
        return "250 2.0.0 Ok"


async def test_the_link_in_an_email_is_the_one_that_acts(api: Api) -> None:
    await api.harness.add_contacts(1)
    draft = await api.harness.draft()
    catcher, port = Catcher(), free_port()
    next_hop = Controller(catcher, hostname="127.0.0.1", port=port)
    next_hop.start()
    try:
        async with api.harness.worker(
            smtp_port=port, public_url="https://mail.example.org/api", secret_key=SecretStr(SECRET_KEY)
        ):
            await api.ok("PUT", f"{MESSAGES}/{draft}/send")
            await api.harness.until(draft, MessageStatus.SENT)
    finally:
        next_hop.stop()
    link = str(BytesHeaderParser().parsebytes(catcher.contents[0])["List-Unsubscribe"])
    assert link.startswith("<https://mail.example.org/api/unsubscribe/")
    path = link.removeprefix("<https://mail.example.org/api").removesuffix(">")
    assert (await api("POST", path, key=None, **ONE_CLICK)).status_code == 200
    (suppression,) = (await api.ok("GET", "/v1/suppressions"))["items"]
    assert suppression["address"] == "c1@example.com"


async def test_a_message_that_needs_a_link_is_not_sent_while_there_is_none(api: Api) -> None:
    await api.harness.add_contacts(1)
    await api.harness.prepare_server()
    draft = await api.harness.draft(html='<p>Dear,</p>\n<a href="{{ unsubscribe_url }}">Enough?</a>')
    for method, call in (("POST", "plan"), ("PUT", "send")):
        problem = await api.refused(422, method, f"{MESSAGES}/{draft}/{call}", json={})
        assert problem["details"]["fields"] == {
            "html": "html, line 2: unsubscribe_url would be empty, a dead link; set SENDGATE_PUBLIC_URL, or take the"
            " name out."
        }
    assert await api.harness.status(draft) is MessageStatus.DRAFT
    with_links = api.harness.make_use_cases(public_url="https://mail.example.org")
    await with_links.send(draft, Schedule(), asked_by())
    async with api.harness.worker():  # one that was not told where the API is: the rule is the doors', and it sends
        await api.harness.until(draft, MessageStatus.SENT)


async def _links_seen_before_a_send(api: Api, draft: str, catcher: Catcher) -> list[str]:
    """Every path of a link that somebody who may only look, or test, comes by."""
    contact = await api.harness.pool.fetchval("select id from contacts")
    viewer = await api.key(Role.VIEWER)
    emails = [
        (await api("GET", f"{MESSAGES}/{draft}/rendered/{contact}", key=viewer)).content,
        (await api("GET", f"{MESSAGES}/{draft}/rendered", key=viewer)).content,
    ]
    sent = await api.ok("PUT", f"{MESSAGES}/{draft}/sendtest", json={"to": ["me@example.org"]})
    assert [one["verdict"] for one in sent["outcomes"]] == ["sent"]
    assert len(catcher.contents) == 1
    paths = []
    for content in [*emails, *catcher.contents]:
        header = str(BytesHeaderParser().parsebytes(content)["List-Unsubscribe"])
        for place in (header, str(parts_of(content)["text"])):
            paths += re.findall(r"https://mail\.example\.org(/unsubscribe/[\w-]+)", place)
    return paths


async def test_a_link_that_is_seen_before_the_send_acts_on_nobody_and_says_so(harness: Harness) -> None:
    await harness.add_contacts(1)
    draft = await harness.draft(text="Enough? {{ unsubscribe_url }}", html=None)
    catcher, port = Catcher(), free_port()
    next_hop = Controller(catcher, hostname="127.0.0.1", port=port)
    next_hop.start()
    transport = SmtpTransport("127.0.0.1", port, connections=1)
    harness.use_cases = BatchMessages(
        harness.pool,
        harness._connected,
        lambda: transport,
        secret_key=SECRET_KEY,
        public_url="https://mail.example.org",
    )
    api = Api(harness)
    try:
        paths = await _links_seen_before_a_send(api, draft, catcher)
        assert len(paths) == 6, "a header and a text of each"
        real = make_token(SECRET_KEY, draft, await harness.pool.fetchval("select id from contacts"))
        for path in paths:
            assert len(path) == len(f"/unsubscribe/{real}")
            for method in ("GET", "POST"):
                problem = await api.refused(404, method, path, key=None)
                assert problem["code"] == "link_of_preview"
                assert problem["message"] == "This is the link of a preview or a test email; it acts in the real email."
                page = await api(method, path, key=None, headers={"Accept": "text/html"})
                assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
                assert "it acts in the real email" in page.text
                assert "<form" not in page.text
        assert (await api.ok("GET", "/v1/suppressions"))["items"] == []
    finally:
        await transport.aclose()
        await api.aclose()
        next_hop.stop()


async def test_looking_changes_nothing_and_the_page_can_run_nothing(api: Api) -> None:
    await api.harness.add_contacts(1)
    draft = await api.harness.draft()
    contact = await api.harness.pool.fetchval("select id from contacts")
    page = await api("GET", f"/unsubscribe/{make_token(SECRET_KEY, draft, contact)}", key=None)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert "c1@example.com" not in page.text, "a link that was forwarded names nobody"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert (await api.ok("GET", "/v1/suppressions"))["items"] == []


async def test_a_link_that_is_not_good_is_a_404_for_people_and_for_programs(api: Api) -> None:
    forged = make_token("another key", "b94xh8qbm4qr", 1)
    nobodys = make_token(SECRET_KEY, "b94xh8qbm4qr", 1)
    for token in (forged, nobodys, "nothing", "%00"):
        for method in ("GET", "POST"):
            await api.refused(404, method, f"/unsubscribe/{token}", key=None)
            page = await api(method, f"/unsubscribe/{token}", key=None, headers={"Accept": "text/html"})
            assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert (await api.ok("GET", "/v1/suppressions"))["items"] == []


async def test_the_address_is_that_to_which_the_email_went(api: Api) -> None:
    """Whoever was deleted, or has another address by now, unsubscribes the one that gets the emails."""
    await api.harness.add_contacts(1)
    await api.harness.prepare_server()
    draft = await api.harness.draft()
    contact = await api.harness.pool.fetchval("select id from contacts")
    async with api.harness.worker():
        await api.ok("PUT", f"{MESSAGES}/{draft}/send")
        await api.harness.until(draft, MessageStatus.SENT)
    await api.ok("PATCH", f"/v1/contacts/{contact}", json={"address": "new@example.com"})
    await api.ok("DELETE", f"/v1/contacts/{contact}")
    await api("POST", f"/unsubscribe/{make_token(SECRET_KEY, draft, contact)}", key=None, **ONE_CLICK)
    (suppression,) = (await api.ok("GET", "/v1/suppressions"))["items"]
    assert suppression["address"] == "c1@example.com"
