"""What holds for every page: files that are kept for good, errors in the same design, sentences instead of codes."""

from __future__ import annotations

import re
import tomllib

import pytest

from client.web import assets
from client.web.assets import address_of
from client.web.notices import SENTENCES, Notice
from models.errors import Unreachable
from models.message import MessageStatus
from models.recipient import RecipientStatus
from tests.harness import ROOT
from tests.web.site import Site


async def test_files_are_kept_for_good_and_change_their_address_with_their_content(site: Site) -> None:
    shown = await site.get("/messages")
    used = [link["href"] for link in shown.tree.all("link")] + [script["src"] for script in shown.tree.all("script")]
    assert sorted(used) == sorted(address_of(name) for name in ("app.css", "app.js", "icon.svg"))
    for address in used:
        response = await site.client.get(address)
        assert response.status_code == 200
        assert response.headers["cache-control"] == assets.FOR_GOOD
        assert response.headers["x-content-type-options"] == "nosniff"
    assert (await site.client.get("/assets/app.000000000000.css")).status_code == 404


def test_no_file_names_an_address_of_elsewhere() -> None:
    for asset in assets._ASSETS.values():
        text = asset.content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert "@import" not in text


async def test_what_there_is_not_is_a_page_for_people_and_a_problem_for_programs(site: Site) -> None:
    shown = await site.get("/nothing")
    assert shown.status == 404
    assert "There is no such page." in shown.text
    response = await site.client.get("/v1/nothing")
    assert response.json()["code"] == "not_found"
    response = await site.client.get("/nothing", headers={"Accept": "application/json"})
    assert response.json()["code"] == "not_found"


async def test_a_server_that_is_away_and_a_fault_of_ours_are_pages_that_ask_no_server(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status, sentence in (
        (
            Unreachable("The database does not answer at 127.0.0.1:5432; is the server running?"),
            503,
            "does not answer at",
        ),
        (ZeroDivisionError("a secret"), 500, "was written to its log"),
    ):

        async def away(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        for asked in (site.web.overview, site.web.sessions):
            with monkeypatch.context() as patched:
                patched.setattr(asked, "tally" if asked is site.web.overview else "principal_of", away)
                patched.setattr(site.harness.use_cases, "hold", away)
                shown = await site.get("/messages")
            assert shown.status == status
            assert sentence in shown.text
            assert "a secret" not in shown.text


async def test_what_there_is_not_is_said_with_the_navigation_and_without_it_while_nobody_can_be_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unreachable("The database does not answer.")

    assert "Contacts" in (await site.get("/nothing")).links
    assert "Contacts" in (await site.get("/sign-out")).links  # a method that it does not take
    with monkeypatch.context() as patched:
        patched.setattr(site.harness.use_cases, "hold", away)
        assert "Contacts" in (await site.get("/nothing")).links
        patched.setattr(site.web.sessions, "principal_of", away)
        shown = await site.get("/nothing")
    assert shown.status == 404
    assert "There is no such page." in shown.text
    assert "Contacts" not in shown.links


async def test_an_address_that_takes_no_such_method_says_which_it_takes(site: Site) -> None:
    shown = await site.get("/sign-out")
    assert shown.status == 405
    assert shown.response.headers["allow"] == "POST"
    assert "cannot be used like that" in shown.text


@pytest.mark.parametrize(
    "odd", ["%00", "%ff", "\U0001f4a9", "'", "..%2f..", "x" * 3000, "<script>", "%0d%0aSet-Cookie:a=b"]
)
async def test_odd_addresses_are_answered_with_a_page(site: Site, odd: str) -> None:
    message_id = await site.harness.draft(lists=())
    for path in (
        "/messages?q={}",
        "/messages?tab={}",
        "/messages?after={}",
        "/messages?notice={}",
        "/messages/{}",
        "/messages/{}/pause",
        f"/messages/{message_id}/receipts/{{}}",
        f"/messages/{message_id}/recipients?status={{}}",
        f"/messages/{message_id}/recipients?after={{}}",
        "/sign-in?next={}",
        "/assets/{}",
        "/{}",
    ):
        response = await site.client.get(path.format(odd))
        assert response.status_code in (200, 404, 422), f"{path}: {response.status_code}"
        assert response.headers["content-type"].startswith("text/html"), path
        assert "a" not in response.cookies


async def test_a_form_that_cannot_be_read_is_refused(site: Site) -> None:
    for headers, content, status in (
        ({"Content-Type": "application/json"}, b"{}", 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"csrf=%ff", 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=&" * 10_001, 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a" * (16 * 1024 * 1024 + 1), 413),
    ):
        shown = site.shown(await site.client.post("/sign-out", content=content, headers=headers))
        assert shown.status == status


def test_an_installed_sendgate_has_every_template_and_file() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["client"]
    packed = {file for pattern in patterns for file in (ROOT / "client").glob(pattern)}
    there = {
        file for file in (ROOT / "client" / "web").rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert packed == there


def test_no_template_knows_a_status_by_its_text() -> None:
    """Statuses are compared with the enums: a typing error is an error then, not a page that is wrong."""
    words = "|".join({*MessageStatus, *RecipientStatus})
    for template in (ROOT / "client" / "web" / "templates").glob("*.html"):
        assert not re.search(rf"""[=!]=\s*["']({words})["']""", template.read_text()), template


@pytest.mark.parametrize("notice", list(Notice))
def test_every_notice_has_a_sentence(notice: Notice) -> None:
    assert SENTENCES[notice].endswith(".")


async def test_the_hold_stands_on_every_page_with_who_and_why(site: Site) -> None:
    assert "Everything is on hold" not in (await site.get("/messages")).text
    await site.harness.pool.execute("insert into hold (actor, reason) values ('anna', 'the <b>mail</b> server burns')")
    draft = await site.harness.draft(lists=())
    for path in ("/messages", "/nothing", "/messages/zzz", f"/messages/{draft}/pause", "/contacts/x", "/sign-out"):
        shown = await site.get(path)
        assert "Everything is on hold." in shown.text, path
        assert "the <b>mail</b> server burns" in shown.text
        assert "anna" in shown.text
        assert "Hold" not in shown.links
    site.shown(await site.client.post("/hold", data={"reason": "x"})).tree.one("div", class_="banner")
