"""Behind a proxy that speaks TLS: who is believed that somebody came by https, and from where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from client.api.access import MOST_FAILURES
from client.serve import listening_on, serving
from tests.harness import Harness
from tests.web.site import ADMIN_KEY, Site, read

HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
LOOPBACK = "127.0.0.1,::1"


@asynccontextmanager
async def browsing(
    harness: Harness, trusted_proxies: str = LOOPBACK, **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks from 127.0.0.1, as a proxy on this machine would."""
    site = Site(harness, trusted_proxies=trusted_proxies, **settings)
    with listening_on("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            serving(site.app, listener, asyncio.Event(), trusted_proxies=trusted_proxies),
            httpx.AsyncClient(base_url=url, headers={"Accept": "text/html"}) as client,
        ):
            yield client
    await site.aclose()


async def cookie_of(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    """The cookie that somebody gets who signs in."""
    page = await client.get("/sign-in", headers=headers)
    form = read(page.text).one("form", method="post")
    # A browser sends a cookie that is `Secure` to the proxy, which passes it on; httpx would not send it from here.
    given = page.headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    data = {each["name"]: each.attributes.get("value", "") for each in form.all("input")} | {"key": ADMIN_KEY}
    signed_in = await client.post("/sign-in", data=data, headers={**headers, "Cookie": given})
    assert signed_in.status_code == 303, signed_in.text
    return signed_in.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("trusted", "headers", "secure"),
    [
        (LOOPBACK, HTTPS, True),
        (LOOPBACK, {}, False),
        ("10.1.2.3", HTTPS, False),
        ("10.0.0.0/8, 127.0.0.0/8", HTTPS, True),
    ],
)
async def test_the_cookie_is_secure_when_a_trusted_proxy_says_that_somebody_came_by_https(
    harness: Harness, trusted: str, headers: dict[str, str], secure: bool
) -> None:
    async with browsing(harness, trusted) as client:
        assert ("secure" in await cookie_of(client, headers)) is secure


async def test_the_cookie_is_secure_where_everybody_is_told_to_come_by_https(harness: Harness) -> None:
    async with browsing(harness, "10.1.2.3", public_url="https://mail.example.org") as client:
        assert "secure" in await cookie_of(client, {})
    async with browsing(harness, "10.1.2.3", public_url="http://mail.example.org") as client:
        assert "secure" not in await cookie_of(client, {})


@pytest.mark.parametrize(("trusted", "status"), [(LOOPBACK, 401), ("10.1.2.3", 429)])
async def test_wrong_keys_are_counted_by_the_address_that_a_trusted_proxy_names(
    harness: Harness, trusted: str, status: int
) -> None:
    """Whom nobody trusts cannot count as ever another one."""
    async with browsing(harness, trusted) as client:
        for number in range(MOST_FAILURES + 1):
            headers = {"X-Forwarded-For": f"198.51.100.{number}", "Authorization": "Bearer wrong"}
            answered = await client.get("/v1/hold", headers=headers)
            assert answered.status_code == (status if number == MOST_FAILURES else 401)
