"""Importing a CSV by a form: what was done, what was rejected and why, and what no file of ours is."""

from __future__ import annotations

import fnmatch
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from client.web.contact_import import IMPORT
from models.contact import MOST_REJECTED_NAMED
from tests.web.filling import XSS, wrong
from tests.web.site import Shown, Site

GOOD = "email,first_name,time_zone\nada@example.org,Ada,Europe/Oslo\nbob@example.org,Bob,\n"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


async def send(site: Site, content: bytes | None, *, list_name: str = "", **changes: str) -> Shown:
    form = (await site.get(IMPORT)).form("Import")
    data = {name: value for name, value in form.values if name != "file"} | {"list": list_name} | changes
    file = ("", b"", "application/octet-stream") if content is None else ("people.csv", content, "text/csv")
    return site.shown(await site.client.post(form.action, data=data, files={"file": file}))


async def test_an_import_says_what_it_did_and_which_lines_were_rejected(site: Site, tmp_path: Path) -> None:
    shown = await send(site, GOOD.encode())
    assert "2 created, 0 updated, 0 rejected" in shown.text
    more = GOOD + f'nobody,x,\ncleo@example.org,"{XSS.replace(chr(34), "")}",Oslo\n'
    shown = await send(site, more.encode(), list_name="news <b>")
    assert "0 created, 2 updated, 2 rejected, into news <b>" in shown.text
    rows = [row.text for row in shown.tree.one("tbody").all("tr")]
    assert rows[0].startswith("4 'nobody' is not an email address")
    assert "did you mean Europe/Oslo?" in rows[1]
    assert [(each.name, each.contacts) for each in await site.harness.use_cases.lists()] == [("news <b>", 2)]
    assert not fnmatch.filter(os.listdir(tmp_path), "sendgate-import-*"), "the file is gone once it is answered"


async def test_of_very_many_rejected_lines_the_first_are_shown_and_all_are_counted(site: Site) -> None:
    wrong_lines = MOST_REJECTED_NAMED + 3
    shown = await send(site, b"email\n" + b"nobody\n" * wrong_lines)
    assert f"0 created, 0 updated, {wrong_lines:,} rejected" in shown.text
    assert f"… and {wrong_lines - 200:,} more." in shown.text
    assert len(shown.tree.one("tbody").all("tr")) == 200


async def test_a_large_file_is_taken(site: Site) -> None:
    rows = "".join(f"c{n}@example.org,{'x' * 900}\n" for n in range(2_000))
    shown = await send(site, f"email,about\n{rows}".encode())
    assert "2,000 created" in shown.text


async def test_memory_does_not_grow_with_the_file(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    with path.open("wb") as file:
        file.write(b"email,about\n")
        for _ in range(64):
            file.write(b"nobody," + b"x" * 999_992 + b"\n")
    form = (await site.get(IMPORT)).form("Import")
    data = {name: value for name, value in form.values if name != "file"}
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            shown = site.shown(
                await site.client.post(form.action, data=data, files={"file": ("people.csv", file, "text/csv")})
            )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "64 rejected" in shown.text
    assert peak < 16_000_000


NOT_IMPORTED: list[tuple[bytes | None, str, str, str]] = [
    (None, "news", "file", "Choose a file."),
    (b"", "news", "file", "The file is empty."),
    (b"name\nAda\n", "news", "file", "email"),
    ("email\nada@example.org\n".encode("utf-16"), "news", "file", "not text in UTF-8"),
    (b"\x89PNG\r\n\x1a\n\x00\x00", "news", "file", ""),
    (GOOD.encode(), "x" * 101, "list", "A list's name is one line"),
    (GOOD.encode(), "one\ntwo", "list", "A list's name is one line"),
]


async def test_what_cannot_be_imported_is_said_and_nothing_is(site: Site) -> None:
    for content, list_name, field, said in NOT_IMPORTED:
        shown = await send(site, content, list_name=list_name)
        assert shown.status == 422
        assert said in wrong(shown)[field]
        assert shown.tree.one("input", id="list")["value"] == list_name
        assert not await site.harness.use_cases.contacts()
        assert not await site.harness.use_cases.lists()


async def test_a_form_with_a_file_is_refused_without_its_token_and_when_it_cannot_be_read(site: Site) -> None:
    assert (await send(site, GOOD.encode(), csrf="")).status == 403
    headers = {"Content-Type": "multipart/form-data"}
    for content, kind in (
        (b"x", ""),
        (b"x", "; boundary=b"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx", "; boundary=b"),
    ):
        response = await site.client.post(
            IMPORT, content=content, headers={"Content-Type": headers["Content-Type"] + kind}
        )
        assert site.shown(response).status in (400, 403)
    assert not await site.harness.use_cases.contacts()


async def test_a_file_that_is_too_large_is_refused(site: Site) -> None:
    small = Site(site.harness, largest_import=2_000)
    await small.sign_in()
    shown = await send(small, b"email\n" + b"x" * 3_000)
    assert shown.status == 413
    await small.aclose()
