"""Who is let in to what: every route with every role, revoked and wrong keys, and how many wrong ones."""

from __future__ import annotations

import asyncio
import base64
import re
from collections import Counter

import pytest

from client.api.access import MOST_FAILURES, WITHIN, Gatekeeper, key_of
from client.api.calls import Call, declaration_of
from client.api.docs import ROUTERS
from models.api_keys import Action, Principal, Role, may, needed_for
from models.errors import NoKey, TooManyFailures, Unreachable
from tests.api.api import ADMIN_KEY, Api
from tests.eventually import eventually

CALLS = sorted(
    (method, route.path_format, declaration_of(route.endpoint).needs)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, Call)
    for method in route.methods or ()
    if declaration_of(route.endpoint).needs is not None
)


def address_of(path: str) -> str:
    """An address of this path at which there is nothing."""
    return re.sub(r"\{name\}", "nothing", re.sub(r"\{\w+_id\}", "999999999", path))


def test_a_role_may_do_what_those_before_it_may() -> None:
    for action in Action:
        allowed = [may(role, action) for role in Role]
        assert allowed == sorted(allowed), action
        assert may(Role.ADMIN, action)
    assert not may(Role.OPERATOR, Action.SEND)
    assert may(Role.OPERATOR, Action.PAUSE)
    assert not may(Role.VIEWER, Action.PAUSE)
    assert not may(Role.EDITOR, Action.MANAGE_KEYS)


async def test_every_call_refuses_every_role_below_its_own_and_nobody_else(api: Api) -> None:
    keys = {role: await api.key(role) for role in Role}
    for method, path, action in CALLS:
        assert action is not None
        for role in Role:
            response = await api(method, address_of(path), key=keys[role], headers={"Content-Type": "text/plain"})
            where = f"{method} {path} as {role}: {response.text}"
            if may(role, action):
                assert response.status_code not in (401, 403, 405, 500), where
            else:
                assert response.status_code == 403, where
                assert response.json()["details"] == {"role": role, "needed": needed_for(action)}, where


async def test_every_call_refuses_whoever_has_no_key_before_it_reads_the_body(api: Api) -> None:
    for method, path, _ in CALLS:
        response = await api(method, address_of(path), key=None, content=b"{")
        assert response.status_code == 401, f"{method} {path}"
        assert response.json()["code"] == "no_key"
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_basic_with_the_key_as_user_name_is_as_good_as_bearer(api: Api) -> None:
    key = await api.key(Role.VIEWER)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    assert (await api("GET", "/v1/hold", key=None, headers={"Authorization": f"Basic {basic}"})).status_code == 200
    assert (await api("GET", "/v1/hold", key=None, headers={"Authorization": f"bearer {key}"})).status_code == 200


async def test_a_page_of_another_site_cannot_use_a_key_that_the_browser_keeps(api: Api) -> None:
    """No preflight is asked for a plain form, and HTTP Basic goes along by itself."""
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Content-Type": "text/plain"}
        await api.refused(403, "POST", "/v1/contacts/import", content=b"email\na@example.org\n", headers=headers)
        await api.refused(403, "POST", "/v1/batchmessages/x/copy", headers={"Sec-Fetch-Site": site})
    assert (await api.ok("GET", "/v1/contacts", headers={"Sec-Fetch-Site": "cross-site"}))["items"] == []
    await api.ok("PUT", "/v1/lists/mine", headers={"Sec-Fetch-Site": "same-origin"})


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer  ", "Digest x", "Basic", "Basic !!", "Basic /w==", "Basic Og==", "x"]
)
def test_what_is_no_key_is_none(header: str | None) -> None:
    assert key_of(header) is None


async def test_a_key_is_told_once_and_kept_as_a_hash(api: Api) -> None:
    made = await api.ok("POST", "/v1/keys", json={"name": "ci", "role": "operator"})
    assert made["key"].startswith("sg_")
    listed = (await api.ok("GET", "/v1/keys"))["items"]
    assert [key["name"] for key in listed] == ["ci"]
    assert "key" not in listed[0]
    stored = await api.harness.pool.fetch("select * from api_keys")
    assert made["key"] not in str([dict(row) for row in stored])


async def test_a_revoked_key_opens_nothing_from_then_on_and_its_name_is_free(api: Api) -> None:
    made = await api.ok("POST", "/v1/keys", json={"name": "ci", "role": "viewer"})
    await api.ok("GET", "/v1/hold", key=made["key"])
    assert (await api.refused(409, "POST", "/v1/keys", json={"name": "ci", "role": "admin"}))[
        "code"
    ] == "key_name_taken"
    revoked = await api.ok("DELETE", f"/v1/keys/{made['id']}")
    assert await api.ok("DELETE", f"/v1/keys/{made['id']}") == revoked
    await api.refused(401, "GET", "/v1/hold", key=made["key"])
    await api.ok("POST", "/v1/keys", json={"name": "ci", "role": "admin"})
    await api.refused(404, "DELETE", "/v1/keys/987654")


async def test_a_wrong_key_request_names_the_field(api: Api) -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({}, "name"),
        ({"name": "ci"}, "role"),
        ({"name": "ci", "role": "root"}, "role"),
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": "a\nb", "role": "viewer"}, "name"),
        ({"name": "x" * 101, "role": "viewer"}, "name"),
        ({"name": 5, "role": "viewer"}, "name"),
        ({"name": "ci", "role": "viewer", "more": 1}, "more"),
    ]
    for body, field in wrong:
        problem = await api.refused(422, "POST", "/v1/keys", json=body)
        assert field in problem["details"]["fields"]
    assert await api.harness.use_cases.keys() == []


async def test_the_administrators_name_is_nobody_elses(api: Api) -> None:
    await api.refused(409, "POST", "/v1/keys", json={"name": "admin", "role": "viewer"})


class OneKey:
    def __init__(self) -> None:
        self.asked = 0

    async def principal_of(self, key: str) -> Principal | None:
        self.asked += 1
        return Principal(id=1, name="good", role=Role.VIEWER) if key == "good" else None


async def test_too_many_wrong_keys_from_one_address_are_not_looked_at_for_a_while() -> None:
    now = 1_000.0
    keys = OneKey()
    gate = Gatekeeper(keys, clock=lambda: now)
    for _ in range(MOST_FAILURES):
        with pytest.raises(NoKey):
            await gate.principal("wrong", "198.51.100.7")
    asked = keys.asked
    with pytest.raises(TooManyFailures) as refused:
        await gate.principal("another", "198.51.100.7")
    assert 0 < refused.value.details["retry_after_seconds"] <= WITHIN.total_seconds() + 1
    assert keys.asked == asked
    with pytest.raises(NoKey):
        await gate.principal("wrong", "203.0.113.9")
    now += WITHIN.total_seconds() + 1
    with pytest.raises(NoKey):
        await gate.principal("wrong", "198.51.100.7")


class SlowKeys(OneKey):
    """Every look-up takes until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def principal_of(self, key: str) -> Principal | None:
        found = await super().principal_of(key)
        await self.go_on.wait()
        return found


async def asked_for(keys: OneKey, number: int) -> None:
    await eventually(lambda: keys.asked >= number)
    for _ in range(5):  # whoever else is let in has had the time
        await asyncio.sleep(0)
    assert keys.asked == number


async def test_of_many_wrong_keys_at_once_no_more_are_looked_at_than_one_after_the_other() -> None:
    keys = SlowKeys()
    gate = Gatekeeper(keys)
    trying = [asyncio.create_task(gate.principal(f"wrong {number}", "198.51.100.7")) for number in range(500)]
    await asked_for(keys, MOST_FAILURES)
    keys.go_on.set()
    answers = await asyncio.gather(*trying, return_exceptions=True)
    assert Counter(map(type, answers)) == {NoKey: MOST_FAILURES, TooManyFailures: 500 - MOST_FAILURES}
    assert keys.asked == MOST_FAILURES


async def test_a_good_key_that_nobody_knows_yet_is_not_refused_for_being_used_by_many_at_once() -> None:
    """As when the API was started again, under programs that go on asking."""
    keys = SlowKeys()
    gate = Gatekeeper(keys)
    asking = [asyncio.create_task(gate.principal("good", "198.51.100.7")) for _ in range(100)]
    await asked_for(keys, MOST_FAILURES)
    keys.go_on.set()
    assert [each.name for each in await asyncio.gather(*asking)] == ["good"] * 100
    with pytest.raises(NoKey):
        await gate.principal("wrong", "198.51.100.7")


async def test_a_look_up_that_fails_or_is_given_up_counts_as_no_wrong_key() -> None:
    class Away(OneKey):
        async def principal_of(self, key: str) -> Principal | None:
            raise Unreachable("The database does not answer.")

    gate = Gatekeeper(Away())
    for _ in range(MOST_FAILURES + 1):
        with pytest.raises(Unreachable):
            await gate.principal("some", "198.51.100.7")
    keys = SlowKeys()
    gate = Gatekeeper(keys)
    for number in range(1, MOST_FAILURES + 2):
        given_up = asyncio.create_task(gate.principal("some", "198.51.100.7"))
        await asked_for(keys, number)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up


async def test_a_key_that_was_good_passes_while_wrong_ones_do_not() -> None:
    gate = Gatekeeper(OneKey())
    await gate.principal("good", "198.51.100.7")
    for _ in range(MOST_FAILURES):
        with pytest.raises(NoKey):
            await gate.principal("wrong", "198.51.100.7")
    assert (await gate.principal("good", "198.51.100.7")).name == "good"


async def test_a_429_says_when_to_try_again(api: Api) -> None:
    for _ in range(MOST_FAILURES):
        await api.refused(401, "GET", "/v1/hold", key="wrong")
    response = await api("GET", "/v1/hold", key="wrong")
    assert response.status_code == 429
    assert 0 < int(response.headers["retry-after"]) <= 61
    assert response.json()["code"] == "too_many_failures"
    assert (await api("GET", "/healthz", key=None)).status_code == 200
    assert ADMIN_KEY not in response.text
