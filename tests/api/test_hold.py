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


async def test_the_history_keeps_who_put_and_released_it_why_and_through_what(api: Api) -> None:
    assert await api.ok("GET", "/v1/hold/history") == {"items": [], "next": None}
    key = await api.key(Role.OPERATOR)
    await api.ok("PUT", "/v1/hold", key=key, json={"reason": "wrong price"}, headers={"Sendgate-Source": "cli"})
    await api.ok("PUT", "/v1/hold", json={"reason": "another"})
    await api.ok("DELETE", "/v1/hold", params={"reason": "it is right again"})
    await api.ok("DELETE", "/v1/hold")
    found = (await api.ok("GET", "/v1/hold/history", key=await api.key(Role.VIEWER)))["items"]
    told = [(entry["act"], entry["actor"], entry["reason"], entry["source"]) for entry in found]
    assert told == [
        ("released", "admin", "it is right again", "api"),
        ("put", "the operator", "wrong price", "cli"),
    ], "what changed nothing is no entry"
    assert found[0]["at"] > found[1]["at"]


async def test_the_history_has_what_was_done_by_hand_in_sql(api: Api) -> None:
    """As docs/operations.md has it: who releases so is whoever is connected to the database."""
    async with api.harness.pool.acquire() as connection:
        await connection.execute("insert into hold (actor, reason) values ('me', 'why')")
        await connection.execute("delete from hold")
        user = await connection.fetchval("select session_user")
    told = [(e["act"], e["actor"], e["source"]) for e in (await api.ok("GET", "/v1/hold/history"))["items"]]
    assert told == [("released", user, "sql"), ("put", "me", "sql")]


async def test_a_change_and_its_entry_are_there_together_or_not_at_all(api: Api) -> None:
    async with api.harness.pool.acquire() as connection:
        await connection.execute("alter table hold_history add check (reason <> 'not to be kept')")
    assert (await api("PUT", "/v1/hold", json={"reason": "not to be kept"})).status_code == 500
    assert (await api.ok("GET", "/v1/hold"))["held"] is False


async def test_the_history_is_read_page_by_page(api: Api) -> None:
    for number in range(3):
        await api.ok("PUT", "/v1/hold", json={"reason": f"number {number}"})
        await api.ok("DELETE", "/v1/hold")
    entries: list[dict[str, object]] = []
    after: dict[str, int] = {}
    while True:
        page = await api.ok("GET", "/v1/hold/history", params={"limit": 4, **after})
        entries += page["items"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert [entry["reason"] for entry in entries] == ["", "number 2", "", "number 1", "", "number 0"]
    for wrong in ({"after": 0}, {"after": "x"}, {"limit": 0}):
        await api.refused(422, "GET", "/v1/hold/history", params=wrong)
    await api.refused(422, "DELETE", "/v1/hold", params={"reason": "x" * 501})
