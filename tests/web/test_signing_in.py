"""Who is let in to pages: sessions, what ends them, and forms that came from elsewhere."""

from __future__ import annotations

import re

import pytest

from client.api.access import MOST_FAILURES
from client.web.addresses import safe_next
from client.web.app import ROUTERS
from client.web.pages import Page, declaration_of
from models.api_keys import Role, may
from tests.harness import Harness
from tests.web.site import ADMIN_KEY, Site

PAGES = sorted(
    (method, route.path_format, declaration_of(route.endpoint).needs)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, Page)
    for method in route.methods or ()
    if declaration_of(route.endpoint).needs is not None
)


def address_of(path: str) -> str:
    """An address of this path at which there is nothing."""
    return re.sub(r"\{name\}", "nothing", re.sub(r"\{\w+\}", "999999999", path))


async def test_a_good_key_opens_the_messages_and_a_wrong_one_says_so(site: Site) -> None:
    shown = await site.sign_in("wrong")
    assert shown.status == 401
    assert "opens nothing" in shown.text
    assert shown.tree.one("input", name="key")["value"] == "", "a key is not sent back"
    shown = await site.sign_in()
    assert (shown.status, shown.address) == (200, "/messages")
    assert "admin" in shown.text


async def test_the_cookie_is_http_only_lax_and_secure_behind_tls(harness: Harness) -> None:
    for base_url, secure in (("http://sendgate.test", False), ("https://sendgate.test", True)):
        site = Site(harness, base_url=base_url)
        form = (await site.get("/sign-in")).form("Sign in")
        data = dict(form.values) | {"key": ADMIN_KEY}
        response = await site.client.post("/sign-in", data=data, follow_redirects=False)
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert ("secure" in cookie) is secure
        await site.aclose()


async def test_two_stacks_on_one_machine_do_not_sign_each_other_out(harness: Harness) -> None:
    names = set()
    for port in (8080, 8081):
        site = Site(harness, base_url=f"http://127.0.0.1:{port}")
        await site.sign_in()
        names |= {cookie.name for cookie in site.client.cookies.jar}
        await site.aclose()
    assert len(names) == 2


async def test_whoever_is_not_signed_in_signs_in_and_comes_to_what_they_asked_for(site: Site) -> None:
    await site.sign_in("wrong")
    shown = await site.get("/messages?q=may")
    assert shown.address == "/sign-in?next=%2Fmessages%3Fq%3Dmay"
    shown = await site.send(shown.form("Sign in"), key=ADMIN_KEY)
    assert shown.address == "/messages?q=may"


@pytest.mark.parametrize(
    "path",
    ["//elsewhere.example", "/\\elsewhere.example", "https://elsewhere.example", "javascript:alert(1)", "/\n", ""],
)
def test_signing_in_leads_to_no_other_site(path: str) -> None:
    assert safe_next(path) == "/messages"


async def test_signing_out_ends_the_session_on_the_server(site: Site) -> None:
    kept = dict(site.client.cookies)
    shown = await site.press("/messages", "Sign out")
    assert "You are signed out." in shown.text
    site.client.cookies.update(kept)
    assert (await site.get("/messages")).address == "/sign-in"


async def test_a_session_ends_when_its_key_is_revoked_or_its_time_is_over(site: Site) -> None:
    await site.sign_in_as(Role.VIEWER)
    assert (await site.get("/messages")).address == "/messages"
    (key,) = await site.harness.use_cases.keys()
    await site.harness.use_cases.revoke_key(key.id)
    assert (await site.get("/messages")).address == "/sign-in"
    await site.sign_in()
    await site.harness.pool.execute("update web_sessions set expires_at = clock_timestamp()")
    assert (await site.get("/messages")).address == "/sign-in"


async def test_neither_key_nor_cookie_is_kept_as_it_is(site: Site) -> None:
    rows = str([dict(row) for row in await site.harness.pool.fetch("select * from web_sessions")])
    assert rows != "[]"
    assert ADMIN_KEY not in rows
    assert not [value for value in dict(site.client.cookies).values() if value in rows]


async def test_wrong_keys_are_limited_as_at_the_api(site: Site) -> None:
    for _ in range(MOST_FAILURES):
        assert (await site.sign_in("wrong")).status == 401
    shown = await site.sign_in("wrong")
    assert shown.status == 429
    assert "try again in" in shown.text
    assert (await site.sign_in()).status == 200, "a key that was good before passes"


async def test_a_form_that_is_not_ours_is_refused(site: Site) -> None:
    form = (await site.get("/messages")).form("Sign out")
    token = dict(form.values)["csrf"]
    await site.sign_in()
    attempts: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": "ä"}, {}),
        ({"csrf": token}, {}),  # of another session
        (
            {"csrf": dict((await site.get("/messages")).form("Sign out").values)["csrf"]},
            {"Sec-Fetch-Site": "cross-site"},
        ),
    ]
    for data, headers in attempts:
        shown = site.shown(await site.client.post("/sign-out", data=data, headers=headers))
        assert shown.status == 403
        assert "nothing was changed" in shown.text
    assert (await site.get("/messages")).address == "/messages", "nobody was signed out"


async def test_every_form_is_refused_without_its_token(site: Site) -> None:
    for method, path, _ in PAGES:
        if method == "POST":
            shown = site.shown(await site.client.post(address_of(path), data={"reason": "mine"}))
            assert shown.status == 403, path


async def test_every_page_refuses_every_role_below_its_own_and_whoever_is_not_signed_in(site: Site) -> None:
    assert PAGES
    for role in Role:
        await site.sign_in_as(role)
        token = dict((await site.get("/messages")).form("Sign out").values)["csrf"]
        for method, path, action in PAGES:
            assert action is not None
            response = await site.client.request(
                method, address_of(path), data={"csrf": token} if method == "POST" else None
            )
            where = f"{method} {path} as {role}: {response.status_code} {response.text}"
            if may(role, action):
                assert response.status_code not in (401, 403, 405, 500), where
            else:
                assert response.status_code == 403, where
                assert f"of the role {role}" in response.text, where
    await site.sign_in("wrong")
    for method, path, _ in PAGES:
        shown = site.shown(await site.client.request(method, address_of(path)))
        assert shown.address.startswith("/sign-in") if method == "GET" else shown.status == 401, path
