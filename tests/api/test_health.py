"""Health, addresses that there are not, and the documentation: what is answered without a key."""

from __future__ import annotations

from typing import Any

import pytest

from client.api.calls import Call, declaration_of
from client.api.docs import ROUTERS
from models.errors import Unreachable
from tests.api.api import Api


async def test_health_needs_no_key(api: Api) -> None:
    assert await api.ok("GET", "/healthz", key=None) == {"status": "ok"}
    assert await api.ok("GET", "/readyz", key=None) == {"status": "ready"}


async def test_not_ready_names_who_does_not_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> Any:
        raise Unreachable("Temporal does not answer at 127.0.0.1:1; is the server running?")

    monkeypatch.setattr(api.harness.use_cases, "_workflows", away)
    problem = await api.refused(503, "GET", "/readyz", key=None)
    assert problem["code"] == "unreachable"
    assert "Temporal" in problem["message"]
    assert await api.ok("GET", "/healthz", key=None) == {"status": "ok"}


async def test_an_address_that_there_is_not_has_the_one_shape(api: Api) -> None:
    for path in ("/", "/v1", "/v1/nothing", "/v2/batchmessages", "/healthz/"):
        assert (await api.refused(404, "GET", path))["code"] == "not_found"


async def test_a_method_that_is_not_taken_names_those_that_are(api: Api) -> None:
    response = await api("DELETE", "/healthz")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET"
    assert response.json()["code"] == "method_not_allowed"
    assert (await api("PUT", "/v1/batchmessages/x")).headers["allow"] == "DELETE, GET, PATCH"
    assert (await api("DELETE", "/v1/contacts/import")).headers["allow"] == "POST"


async def test_the_documentation_loads_nothing_from_elsewhere(api: Api) -> None:
    page = (await api("GET", "/docs", key=None)).text
    named = [part.split('"')[0] for part in page.split('="')[1:] if part.startswith(("/", "http"))]
    assert named
    for path in named:
        assert path.startswith("/docs/assets/"), path
        assert (await api("GET", path, key=None)).is_success, path
    assert "https://" not in page
    assert (await api.ok("GET", "/openapi.json", key=None))["openapi"].startswith("3.1")


def test_every_route_is_a_call_that_says_what_it_needs() -> None:
    """A route that nobody declared as a call would be open to everybody."""
    routes = [route for router in ROUTERS for route in router.routes]
    assert len(routes) > 40
    for route in routes:
        assert isinstance(route, Call)
        declaration_of(route.endpoint)
