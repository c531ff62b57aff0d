"""Numbers of more digits than Python reads (4,300), in every place of every address that takes one."""

from __future__ import annotations

import re

import httpx
from fastapi.routing import APIRoute

from client.api.docs import ROUTERS as CALLS
from client.web.app import ROUTERS as PAGES
from tests.web.site import ADMIN_KEY, Site

_DIGITS = "9" * 4301


def _addresses() -> list[tuple[str, str]]:
    """Every address that has a place for something, once for each of its places with the long number there."""
    found = []
    for route in (route for router in (*CALLS, *PAGES) for route in router.routes):
        assert isinstance(route, APIRoute)
        for parameter in route.dependant.path_params:
            filled = route.path_format.replace(f"{{{parameter.name}}}", _DIGITS)
            found += [(method, re.sub(r"\{\w+\}", "1", filled)) for method in sorted(route.methods or ())]
    return found


async def test_a_number_that_is_too_long_is_no_fault_of_ours_with_a_key_and_without(site: Site) -> None:
    addresses = _addresses()
    numbered = [path for _, path in addresses if path.startswith(("/v1/contacts/9", "/v1/keys/9", "/contacts/9"))]
    assert len(numbered) > 8, numbered
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://sendgate.test") as stranger:
        for method, path in addresses:
            is_of_api = path.startswith(("/v1/", "/unsubscribe/"))
            response = await stranger.request(method, path)
            where = f"{method} {path.replace(_DIGITS, '9…9')}: {response.status_code} {response.text[:300]}"
            assert response.status_code in ((401, 404, 422) if is_of_api else (303, 401, 404, 422)), where
            if is_of_api:
                assert set(response.json()) == {"code", "message", "details"}, where
                response = await stranger.request(method, path, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
                where = f"{method} {path.replace(_DIGITS, '9…9')}, with a key: {response.text[:300]}"
                assert response.status_code in (404, 422), where
                assert set(response.json()) == {"code", "message", "details"}, where
            elif method == "GET":
                assert (await site.client.request(method, path)).status_code in (404, 422), where
