"""Contacts, lists and suppressions over the API."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.api.api import Api

CONTACTS = "/v1/contacts"
ADA = {"address": "Ada@Example.org", "time_zone": "Europe/Oslo", "attributes": {"first_name": "Ada"}}


async def test_a_contact_is_created_read_changed_and_deleted(api: Api) -> None:
    await api.ok("PUT", "/v1/lists/friends")
    response = await api("POST", CONTACTS, json=ADA | {"lists": ["friends"]})
    assert response.status_code == 201
    made = response.json()
    path = response.headers["location"]
    assert made["lists"] == ["friends"]
    assert await api.ok("GET", path) == made
    changed = await api.ok("PATCH", path, json={"attributes": {"city": "Oslo", "first_name": None}})
    assert changed["attributes"] == {"city": "Oslo"}
    assert changed["time_zone"] == "Europe/Oslo"
    assert (await api.ok("PATCH", path, json={"time_zone": None}))["time_zone"] is None
    problem = await api.refused(409, "POST", CONTACTS, json={"address": "ada@EXAMPLE.org"})
    assert problem["code"] == "already_contact"
    assert problem["details"]["contact_id"] == made["id"]
    assert (await api("DELETE", path)).status_code == 204
    await api.refused(404, "GET", path)
    await api.refused(404, "DELETE", path)


async def test_a_contact_for_an_unknown_list_is_not_made(api: Api) -> None:
    await api.refused(404, "POST", CONTACTS, json=ADA | {"lists": ["nothing"]})
    assert (await api.ok("GET", CONTACTS))["items"] == []


async def test_a_wrong_field_of_a_contact_is_named(api: Api) -> None:
    made = await api.ok("POST", CONTACTS, json=ADA)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"address": "nobody"}, "address"),
        ({"address": ""}, "address"),
        ({"address": 5}, "address"),
        ({"address": "a\x00@example.org"}, "address"),
        ({"time_zone": "Oslo/Norway"}, "time_zone"),
        ({"time_zone": 5}, "time_zone"),
        ({"attributes": {"first name": "x"}}, "attributes"),
        ({"attributes": {"email": "x"}}, "attributes"),
        ({"attributes": {"x": "\x00"}}, "attributes"),
        ({"attributes": {"x": "y" * 1001}}, "attributes"),
        ({"attributes": {"x": 5}}, "attributes.x"),
        ({"more": 1}, "more"),
    ]
    for change, field in wrong:
        problem = await api.refused(422, "POST", CONTACTS, json={"address": "b@example.org"} | change)
        assert field in problem["details"]["fields"], problem
        problem = await api.refused(422, "PATCH", f"{CONTACTS}/{made['id']}", json=change)
        assert field in problem["details"]["fields"], problem
    assert (await api.ok("GET", CONTACTS))["items"] == [made]
    for path in ("/0", "/9223372036854775808"):
        assert "contact_id" in (await api.refused(422, "GET", CONTACTS + path))["details"]["fields"]
    for path in ("/x", "/-1", "/1.5", "/%00"):
        await api.refused(404, "GET", CONTACTS + path)
    for query, field in (("limit=0", "limit"), ("after=x", "after"), ("search=%00", "search"), ("list=%00", "list")):
        assert field in (await api.refused(422, "GET", f"{CONTACTS}?{query}"))["details"]["fields"], query


async def test_contacts_come_in_pages_and_are_found_by_the_beginning_of_their_address(api: Api) -> None:
    await api.harness.add_contacts(7)
    await api.ok("POST", CONTACTS, json={"address": "50%_off@example.org"})
    seen: list[str] = []
    after = 0
    while after is not None:
        page = await api.ok("GET", CONTACTS, params={"limit": "3", "after": str(after), "list": "everybody"})
        seen += [contact["address"] for contact in page["items"]]
        after = page["next"]
    assert seen == [f"c{number}@example.com" for number in range(1, 8)]

    async def found(search: str, **more: str) -> list[str]:
        page = await api.ok("GET", CONTACTS, params={"search": search, **more})
        return [contact["address"] for contact in page["items"]]

    assert await found(" C3@ex") == ["c3@example.com"]
    assert await found("50%_") == ["50%_off@example.org"]
    assert await found("%") == []
    assert await found("\\") == []
    assert await found("50", list="everybody") == []
    assert len(await found("c", list="everybody")) == 7
    await api.refused(404, "GET", CONTACTS, params={"list": "nothing"})


async def test_lists_have_members_whatever_their_name(api: Api) -> None:
    made = await api.ok("POST", CONTACTS, json=ADA)
    for name, written in (
        ("friends", "friends"),
        ("a/b", "a%2Fb"),
        ("ø 100%", "%C3%B8%20100%25"),
        ("a?b#c", "a%3Fb%23c"),
    ):
        path = f"/v1/lists/{written}"
        await api.refused(404, "GET", path)
        assert await api.ok("PUT", path) == {"name": name, "contacts": 0}
        for _ in range(2):
            assert (await api("PUT", f"{path}/contacts/{made['id']}")).status_code == 204
        assert await api.ok("GET", path) == {"name": name, "contacts": 1}
        for _ in range(2):
            assert (await api("DELETE", f"{path}/contacts/{made['id']}")).status_code == 204
        assert await api.ok("PUT", path) == {"name": name, "contacts": 0}
    assert {entry["name"] for entry in (await api.ok("GET", "/v1/lists"))["items"]} >= {"a/b", "friends"}
    await api.refused(404, "PUT", "/v1/lists/friends/contacts/987654")
    await api.refused(404, "PUT", f"/v1/lists/nothing/contacts/{made['id']}")
    for wrong in ("%00", "%0A", "x" * 101, "%20"):
        assert "list" in (await api.refused(422, "PUT", f"/v1/lists/{wrong}"))["details"]["fields"]


async def test_suppressions_are_put_listed_and_lifted(api: Api) -> None:
    path = "/v1/suppressions"
    given = {"addresses": ["ada@example.org", "ADA@example.org", "bob@example.org"], "reason": "asked by phone"}
    assert await api.ok("POST", path, json=given) == {"changed": 2}
    assert await api.ok("POST", path, json=given) == {"changed": 0}
    page = await api.ok("GET", path, params={"limit": "1"})
    assert page["items"][0]["address"] == "ADA@example.org"
    assert page["items"][0]["reason"] == "asked by phone"
    rest = await api.ok("GET", path, params={"after": str(page["next"])})
    assert [one["address"] for one in rest["items"]] == ["bob@example.org"]
    assert rest["next"] is None
    assert len((await api.ok("GET", path, params={"search": "bob"}))["items"]) == 1
    assert (await api("DELETE", f"{path}/{page['items'][0]['id']}")).status_code == 204
    await api.refused(404, "DELETE", f"{path}/{page['items'][0]['id']}")
    lifted = {"addresses": ["bob@example.org", "eve@example.org"]}
    assert await api.ok("POST", f"{path}/lift", json=lifted) == {"changed": 1}
    for wrong, field in (
        ({}, "addresses"),
        ({"addresses": []}, "addresses"),
        ({"addresses": ["nobody"]}, "addresses"),
        ({"addresses": ["a@example.org"], "reason": "x" * 501}, "reason"),
    ):
        assert field in (await api.refused(422, "POST", path, json=wrong))["details"]["fields"]
    assert (await api.ok("GET", path))["items"] == []


CSV = b"email,first_name\nada@example.org,Ada\nnobody,x\nbob@example.org,Bob\n"


async def test_a_csv_is_imported_and_rejected_lines_are_named(api: Api) -> None:
    done = await api.ok("POST", f"{CONTACTS}/import", params={"list": "friends"}, content=CSV)
    assert (done["created"], done["updated"]) == (2, 0)
    assert [line["line"] for line in done["rejected"]] == [3]
    assert done["rejected_total"] == 1
    assert await api.ok("GET", "/v1/lists/friends") == {"name": "friends", "contacts": 2}
    for content, field in ((b"", "file"), (b"name\nx\n", "file"), (b"\xff\xfe", "file")):
        problem = await api.refused(422, "POST", f"{CONTACTS}/import", content=content)
        assert field in problem["details"]["fields"]
        assert "/" not in problem["message"], "the file on the server is nobody's business"
    assert "list" in (await api.refused(422, "POST", f"{CONTACTS}/import?list=%00", content=CSV))["details"]["fields"]


async def test_memory_does_not_grow_with_an_imported_file(api: Api) -> None:
    """64 MB in lines that are rejected, so that the peak is that of reading; nothing here grows with their number."""
    line = b"nobody," + b"x" * 999_992 + b"\n"

    async def body() -> AsyncIterator[bytes]:
        yield b"email,about\n"
        for _ in range(64):
            yield line

    tracemalloc.start()
    try:
        done = await api.ok("POST", f"{CONTACTS}/import", content=body())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done["rejected_total"] == 64
    assert peak < 16_000_000


async def test_a_csv_that_is_too_large_is_refused_and_leaves_nothing(api: Api, tmp_path: Path) -> None:
    small = Api(api.harness, largest_import=1_000)
    lines = b"email\n" + b"".join(b"c%d@example.org\n" % number for number in range(100))

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(lines), 100):
            yield lines[start : start + 100]

    for content in (lines, in_chunks()):
        problem = await small.refused(413, "POST", f"{CONTACTS}/import", content=content)
        assert problem["details"] == {"largest_bytes": 1_000}
    assert (await api.ok("GET", CONTACTS))["items"] == []
    await small.aclose()
