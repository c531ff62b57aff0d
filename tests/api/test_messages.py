"""Drafts over the API: written, listed, changed, copied, looked at."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.api import Api

CONTENT: dict[str, Any] = {
    "name": "News",
    "from_address": "news@example.com",
    "subject": "Hello {{ contact.first_name }}",
    "text": "Dear {{ contact.first_name }}, <b>hi</b>",
    "audience": {"lists": ["everybody"]},
}
MESSAGES = "/v1/batchmessages"


async def a_draft(api: Api, **changes: Any) -> str:
    made = await api.ok("POST", MESSAGES, json=CONTENT | changes)
    return str(made["id"])


@pytest.fixture
async def people(api: Api) -> None:
    await api.harness.add_contacts(3)


@pytest.mark.usefixtures("people")
async def test_a_draft_is_created_read_changed_and_deleted(api: Api) -> None:
    response = await api("POST", MESSAGES, json=CONTENT)
    assert response.status_code == 201
    made = response.json()
    assert response.headers["location"] == f"{MESSAGES}/{made['id']}"
    assert made["status"] == "draft"
    assert made["audience_estimate"] == 3
    assert made["receipt"] is None
    path = f"{MESSAGES}/{made['id']}"
    assert await api.ok("GET", path) == made
    changed = await api.ok("PATCH", path, json={"subject": "Other", "html": "<p>x</p>"})
    assert (changed["subject"], changed["html"], changed["text"]) == ("Other", "<p>x</p>", CONTENT["text"])
    assert (await api.ok("PATCH", path, json={"text": None}))["text"] is None
    assert (await api("DELETE", path)).status_code == 204
    assert (await api.refused(404, "GET", path))["code"] == "not_found"


@pytest.mark.usefixtures("people")
async def test_two_changes_of_different_fields_at_once_both_count(api: Api) -> None:
    path = f"{MESSAGES}/{await a_draft(api)}"
    fields = {"name": "A", "subject": "B", "from_name": "C", "text": "D", "html": "E"}
    await asyncio.gather(*(api.ok("PATCH", path, json={field: value}) for field, value in fields.items()))
    changed = await api.ok("GET", path)
    assert {field: changed[field] for field in fields} == fields


@pytest.mark.usefixtures("people")
async def test_pages_hold_every_message_once_newest_first(api: Api) -> None:
    made = [await a_draft(api, name=f"n{number}") for number in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await api.ok("GET", MESSAGES, params={"limit": "2", **after})
        seen += [item["id"] for item in page["items"]]
        assert all(item["text"] is None for item in page["items"])
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == made[::-1]
    assert (await api.ok("GET", MESSAGES, params={"search": "N3"}))["items"][0]["name"] == "n3"
    assert (await api.ok("GET", MESSAGES, params={"search": "%"}))["items"] == []
    assert len((await api.ok("GET", MESSAGES, params={"containing": "<b>hi</b>"}))["items"]) == 5
    assert (await api.ok("GET", MESSAGES, params={"status": ["sending", "sent"]}))["items"] == []
    assert len((await api.ok("GET", MESSAGES, params={"status": ["sent", "draft"]}))["items"]) == 5
    await api.refused(404, "GET", MESSAGES, params={"after": "nothing"})


@pytest.mark.usefixtures("people")
async def test_pages_go_on_after_a_message_that_was_deleted_meanwhile(api: Api) -> None:
    made = [await a_draft(api, name=f"n{number}") for number in range(6)]
    first = await api.ok("GET", MESSAGES, params={"limit": "3"})
    assert first["items"][-1]["id"] == made[3]
    assert len(first["next"]) < 40
    assert quote(first["next"], safe="") == first["next"], "it needs no quoting in an address or a shell"
    await api.ok("DELETE", f"{MESSAGES}/{made[3]}")
    rest = await api.ok("GET", MESSAGES, params={"limit": "3", "after": first["next"]})
    assert [item["id"] for item in rest["items"]] == [made[2], made[1], made[0]]
    assert rest["next"] is None


@pytest.mark.usefixtures("people")
async def test_the_id_of_a_message_is_a_place_to_go_on_after_as_it_was_before(api: Api) -> None:
    made = [await a_draft(api, name=f"n{number}") for number in range(3)]
    page = await api.ok("GET", MESSAGES, params={"after": made[2]})
    assert [item["id"] for item in page["items"]] == [made[1], made[0]]
    await api.ok("DELETE", f"{MESSAGES}/{made[2]}")
    for gone in (made[2], "nothing", "x-", "-1", f"{made[1]}-{'f' * 15}", f"{made[1]}-G", "\x00"):
        await api.refused(404, "GET", MESSAGES, params={"after": gone})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": None}, "name"),
    ({"name": 7}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"from_address": "nobody"}, "from_address"),
    ({"from_address": "a@b.example\r\nBcc: x@example.com"}, "from_address"),
    ({"from_name": "a\rb"}, "from_name"),
    ({"reply_to": "<script>"}, "reply_to"),
    ({"subject": "{{ unclosed"}, "subject"),
    ({"subject": "a\nb"}, "subject"),
    ({"text": None}, "html"),
    ({"text": "x" * (1024 * 1024 + 1)}, "text"),
    ({"text": "\x00"}, "text"),
    ({"html": "{% for %}"}, "html"),
    ({"html": ["x"]}, "html"),
    ({"audience": {"lists": ["nothing"]}}, "audience.lists"),
    ({"audience": {"lists": "everybody"}}, "audience.lists"),
    ({"audience": {"lists": ["everybody"], "where": {"age": {"gte": "x"}}}}, "audience.where"),
    ({"audience": {"lists": ["everybody"], "exclude_recipients_of": ["nothing"]}}, "audience.exclude_recipients_of"),
    ({"audience": {"lists": ["everybody"], "exclude_recipients_of": ["\x00"]}}, "audience.exclude_recipients_of"),
    ({"audience": {"everything": True}}, "audience.everything"),
    ({"more": 1}, "more"),
]


@pytest.mark.usefixtures("people")
async def test_a_wrong_field_is_named_and_nothing_is_stored(api: Api) -> None:
    draft = await a_draft(api)
    before = await api.ok("GET", f"{MESSAGES}/{draft}")
    for change, field in WRONG:
        problem = await api.refused(422, "POST", MESSAGES, json=CONTENT | change)
        assert field in problem["details"]["fields"], problem
        assert "\n" not in problem["message"]
        problem = await api.refused(422, "PATCH", f"{MESSAGES}/{draft}", json=change)
        assert field in problem["details"]["fields"], problem
    assert await api.ok("GET", f"{MESSAGES}/{draft}") == before
    assert len((await api.ok("GET", MESSAGES))["items"]) == 1


async def test_every_wrong_field_is_named_at_once(api: Api) -> None:
    problem = await api.refused(422, "POST", MESSAGES, json={"text": 5})
    assert set(problem["details"]["fields"]) == {"name", "from_address", "subject", "text"}
    wrong = CONTENT | {"name": "", "from_address": "nobody", "text": "\x00", "audience": {"lists": [""]}}
    problem = await api.refused(422, "POST", MESSAGES, json=wrong)
    assert set(problem["details"]["fields"]) == {"name", "from_address", "text", "audience.lists"}
    draft = await a_draft(api, audience={})
    wrong = {"time_zone": "Mars/Base", "emails_per_second": -1, "throttle": {"batch_size": 0, "every": "15m"}}
    problem = await api.refused(422, "PUT", f"{MESSAGES}/{draft}/send", json=wrong)
    assert set(problem["details"]["fields"]) == {"time_zone", "emails_per_second", "throttle.batch_size"}


async def test_what_is_not_json_is_a_400(api: Api) -> None:
    for content, kind in (
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b'{"name": "x"}', "application/x-www-form-urlencoded"),
        (b'{"name": "x"}', "multipart/form-data"),
    ):
        problem = await api.refused(400, "POST", MESSAGES, content=content, headers={"Content-Type": kind})
        assert problem["code"] == "unreadable"


async def test_a_body_that_is_too_large_is_a_413_whether_its_length_is_announced_or_not(api: Api) -> None:
    large = b"x" * (17 * 1024 * 1024)

    async def in_chunks() -> Any:
        for start in range(0, len(large), 1024 * 1024):
            yield large[start : start + 1024 * 1024]

    for content in (large, in_chunks()):
        problem = await api.refused(
            413, "POST", MESSAGES, content=content, headers={"Content-Type": "application/json"}
        )
        assert problem["details"] == {"largest_bytes": 16 * 1024 * 1024}


async def test_an_unknown_id_is_a_404(api: Api) -> None:
    for message_id in ("nothing", "%00", "%F0%9F%98%80", "..", "a b", "'; drop table messages; --"):
        for rest in ("", "/progress", "/progress/stream", "/recipients", "/history", "/audience-preview", "/in-doubt"):
            await api.refused(404, "GET", f"{MESSAGES}/{message_id}{rest}")


async def test_a_wrong_query_is_named(api: Api) -> None:
    for query, field in (
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=501", "limit"),
        ("status=lost", "status.0"),
        ("search=%00", "search"),
        ("containing=%00", "containing"),
    ):
        assert field in (await api.refused(422, "GET", f"{MESSAGES}?{query}"))["details"]["fields"]


@pytest.mark.usefixtures("people")
async def test_a_copy_may_leave_out_the_originals_recipients(api: Api) -> None:
    draft = await a_draft(api)
    copied = await api.ok("POST", f"{MESSAGES}/{draft}/copy", json={"exclude_recipients": True, "name": "Again"})
    assert copied["copied_from"] == draft
    assert copied["name"] == "Again"
    assert copied["audience"]["exclude_recipients_of"] == [draft]
    assert (await api.ok("POST", f"{MESSAGES}/{draft}/copy"))["name"] == "Copy of News"
    await api.refused(422, "POST", f"{MESSAGES}/{draft}/copy", json={"name": "a\nb"})


@pytest.mark.usefixtures("people")
async def test_an_audience_and_an_email_can_be_looked_at(api: Api) -> None:
    draft = await a_draft(api, html="<p>{{ contact.first_name }}</p>")
    preview = await api.ok("GET", f"{MESSAGES}/{draft}/audience-preview", params={"sample": "2"})
    assert preview["count"] == 3
    assert [person["address"] for person in preview["sample"]] == ["c1@example.com", "c2@example.com"]
    second = preview["sample"][1]["id"]
    email = await api("GET", f"{MESSAGES}/{draft}/rendered/{second}")
    assert email.headers["content-type"] == "message/rfc822"
    assert email.headers["content-disposition"] == "attachment"
    assert email.headers["x-content-type-options"] == "nosniff"
    assert b"To: c2@example.com" in email.content
    assert b"To: c1@example.com" in (await api("GET", f"{MESSAGES}/{draft}/rendered")).content
    await api.refused(404, "GET", f"{MESSAGES}/{draft}/rendered/987654")


@pytest.mark.usefixtures("people")
async def test_a_test_email_arrives_and_is_told(api: Api) -> None:
    draft = await a_draft(api)
    sent = await api.ok("PUT", f"{MESSAGES}/{draft}/sendtest", json={"to": ["me@example.org"]})
    assert [(one["address"], one["verdict"]) for one in sent["outcomes"]] == [("me@example.org", "sent")]
    assert [email.recipient for email in api.harness.smtp.accepted()] == ["me@example.org"]
    for wrong in ([], ["nobody"], "me@example.org", ["a@example.org"] * 21):
        problem = await api.refused(422, "PUT", f"{MESSAGES}/{draft}/sendtest", json={"to": wrong})
        assert "to" in problem["details"]["fields"]
    assert len(api.harness.smtp.accepted()) == 1
