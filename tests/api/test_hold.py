"""The hold over the API: nothing leaves while it is on, and its release wakes what waited."""

from __future__ import annotations

from models.api_keys import Role
from models.message import MessageStatus
from tests.api.api import Api
from tests.api.test_messages import MESSAGES
from tests.eventually import eventually


async def test_under_a_hold_nothing_begins_and_its_release_lets_it_go(api: Api) -> None:
    await api.harness.add_contacts(5)
    drafts = [await api.harness.draft(), await api.harness.draft()]
    assert await api.ok("GET", "/v1/hold") == {
        "held": False,
        "actor": None,
        "reason": None,
        "since": None,
        "in_flight": 0,
    }
    held = await api.ok("PUT", "/v1/hold", key=await api.key(Role.OPERATOR), json={"reason": "wrong price"})
    assert (held["held"], held["actor"], held["reason"]) == (True, "the operator", "wrong price")
    again = await api.ok("PUT", "/v1/hold", json={"reason": "another"})
    assert (again["reason"], again["since"]) == ("wrong price", held["since"]), "who put it first is who put it"
    async with api.harness.worker():
        for draft in drafts:
            await api.ok("PUT", f"{MESSAGES}/{draft}/send")

            async def waits(draft: str = draft) -> bool:
                adopted = "select adopted_at is not null from messages where id = $1"
                return bool(await api.harness.pool.fetchval(adopted, draft))

            await eventually(waits)
            assert (await api.ok("GET", f"{MESSAGES}/{draft}"))["held"]
            await api.harness.until_asleep(draft)
        assert api.harness.smtp.accepted() == []
        assert (await api.ok("DELETE", "/v1/hold"))["held"] is False
        for draft in drafts:
            # Well before a workflow's own timer: the release has woken it.
            await api.harness.until(draft, MessageStatus.SENT, within=15)
    assert len(api.harness.smtp.accepted()) == 10
    assert (await api.ok("DELETE", "/v1/hold"))["held"] is False


async def test_a_hold_needs_a_reason(api: Api) -> None:
    for wrong in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {"reason": "\x00"}, {"reason": 5}):
        problem = await api.refused(422, "PUT", "/v1/hold", json=wrong)
        assert "reason" in problem["details"]["fields"]
    await api.refused(422, "PUT", "/v1/hold")
    assert (await api.ok("GET", "/v1/hold"))["held"] is False
