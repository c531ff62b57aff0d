"""Sending and stopping over the API: the same receipts as at every other door, and what each refusal says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.api_keys import Role
from models.message import MessageStatus
from tests.api.api import Api
from tests.api.test_messages import MESSAGES

SLOW = 5  # emails a second: a send that does not end by itself while it is looked at, however slowly


@pytest.fixture
async def draft(api: Api) -> str:
    await api.harness.add_contacts(200)
    await api.harness.prepare_server()
    return await api.harness.draft()


async def test_a_message_is_sent_paused_resumed_and_canceled_with_the_keys_name_in_every_receipt(
    api: Api, draft: str
) -> None:
    path = f"{MESSAGES}/{draft}"
    operator = await api.key(Role.OPERATOR)
    async with api.harness.worker():
        response = await api("PUT", f"{path}/send", json={"emails_per_second": SLOW})
        assert response.status_code == 202
        assert response.json()["status"] in ("scheduled", "sending")
        assert response.json()["receipt"]["command"] == "send"
        await api.harness.until_left(3)
        paused = await api.ok("PUT", f"{path}/pause", key=operator, json={"reason": "the link is broken"})
        receipt = paused["receipt"]
        assert (paused["status"], receipt["outcome"], receipt["command"]) == ("paused", "done", "pause")
        assert (receipt["actor"], receipt["source"], receipt["reason"]) == ("the operator", "api", "the link is broken")
        assert receipt["counts"]["claimed"] == 0
        left = len(api.harness.smtp.accepted())
        assert receipt["counts"]["sent"] == left
        preview = await api.ok("GET", f"{path}/resume-preview")
        assert preview["to_send"] == 200 - left
        resumed = await api.ok("PUT", f"{path}/resume")
        assert (resumed["status"], resumed["receipt"]["actor"]) == ("sending", "admin")
        canceled = await api.ok("PUT", f"{path}/cancel", json={"reason": ""})
        assert canceled["status"] == "canceled"
        counts = canceled["receipt"]["counts"]
        assert counts["sent"] + counts["canceled"] == counts["total"] == 200
    history = (await api.ok("GET", f"{path}/history"))["items"]
    assert [entry["command"] for entry in history] == ["send", "pause", "resume", "cancel"]
    assert {entry["source"] for entry in history} == {"api"}
    await api.harness.assert_once_each(draft)


async def test_a_stop_without_a_worker_is_accepted_and_not_confirmed(api: Api, draft: str) -> None:
    """202, without a receipt: nobody may read it as stopped."""
    path = f"{MESSAGES}/{draft}"
    await api.ok("PUT", f"{path}/send")
    response = await api("PUT", f"{path}/cancel", params={"wait": "0"})
    assert response.status_code == 202
    assert response.json()["receipt"] is None
    assert response.json()["pending_command"] == "cancel"
    assert response.json()["status"] == "scheduled"
    async with api.harness.worker():
        await api.harness.until(draft, MessageStatus.CANCELED)
    assert (await api.ok("GET", path))["receipt"]["outcome"] == "done"


async def test_a_refused_command_names_the_status_and_what_is_legal_now(api: Api, draft: str) -> None:
    for command in ("pause", "resume", "cancel", "unschedule"):
        problem = await api.refused(409, "PUT", f"{MESSAGES}/{draft}/{command}")
        assert problem["code"] == "illegal_transition"
        assert problem["details"] == {"status": "draft", "allowed": ["send", "copy", "edit", "delete"]}
    await api.ok("PUT", f"{MESSAGES}/{draft}/send", json={"at": in_an_hour()})
    problem = await api.refused(409, "PUT", f"{MESSAGES}/{draft}/pause")
    assert "unschedule" in problem["details"]["allowed"]
    assert "unschedule" in problem["message"]
    for method, given in (("PATCH", {"json": {"name": "x"}}), ("DELETE", {})):
        problem = await api.refused(409, method, f"{MESSAGES}/{draft}", **given)
        assert problem["details"]["status"] == "scheduled"
    await api.ok("PUT", f"{MESSAGES}/{draft}/unschedule", json={"reason": "wrong date"})


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


async def test_a_send_of_the_version_that_was_seen_is_refused_for_another_one(api: Api, draft: str) -> None:
    path = f"{MESSAGES}/{draft}"
    seen = (await api.ok("GET", path))["updated_at"]
    changed = (await api.ok("PATCH", path, json={"subject": "Another one"}))["updated_at"]
    for other in (seen, changed.rstrip("Z")):  # also one without an offset
        problem = await api.refused(409, "PUT", f"{path}/send", params={"seen": other})
        assert (problem["code"], problem["details"]) == ("changed_meanwhile", {"changed_at": changed})
    assert (await api.ok("GET", path))["status"] == "draft"
    assert (await api.ok("PUT", f"{path}/send", params={"seen": changed}))["status"] == "scheduled"


async def test_an_unschedule_makes_it_a_draft_again(api: Api, draft: str) -> None:
    path = f"{MESSAGES}/{draft}"
    scheduled = await api.ok("PUT", f"{path}/send", json={"at": in_an_hour()})
    assert scheduled["next_slot_at"] is not None
    again = await api.ok("PUT", f"{path}/unschedule", json={"reason": "wrong date"})
    assert (again["status"], again["receipt"]["status_before"]) == ("draft", "scheduled")
    assert again["receipt"]["reason"] == "wrong date"
    repeated = await api.ok("PUT", f"{path}/unschedule")
    assert repeated["receipt"]["effective_at"] == again["receipt"]["effective_at"]


async def test_a_plan_stores_nothing_and_refuses_what_a_send_would(api: Api, draft: str) -> None:
    path = f"{MESSAGES}/{draft}"
    plan = await api.ok("POST", f"{path}/plan", json={"throttle": {"batch_size": 50, "every": "PT15M"}})
    assert plan["plan"]["throttle"]["batches"] == 4
    assert (await api.ok("GET", path))["status"] == "draft"
    late = {"at": "2020-01-01T00:00:00Z"}
    for method, call in (("POST", "plan"), ("PUT", "send")):
        assert (await api.refused(422, method, f"{path}/{call}", json=late))["code"] == "at_in_past"
    assert (await api.ok("GET", path))["status"] == "draft"


WRONG_SCHEDULES: list[tuple[dict[str, Any], str]] = [
    ({"at": "tomorrow"}, "at"),
    ({"at": 5}, "at"),
    ({"at": "2099-12-01T09:00:00Z"}, "at"),
    ({"at": "2026-12-01T09:00:00"}, "at"),
    ({"at": "2026-12-01T09:00:00Z", "time_zone": "Europe/Oslo"}, "time_zone"),
    ({"at": "2026-12-01T09:00:00", "time_zone": "Mars/Base"}, "time_zone"),
    ({"fallback_time_zone": "Mars/Base"}, "fallback_time_zone"),
    ({"passed_zones": "later"}, "passed_zones"),
    ({"throttle": {"every": "PT15M"}}, "throttle.batch_size"),
    ({"throttle": {"batch_size": 0, "every": "PT15M"}}, "throttle.batch_size"),
    ({"throttle": {"batch_size": 5, "every": "soon"}}, "throttle.every"),
    ({"throttle": {"batch_size": 5, "every": "PT15M", "ends_at": "never"}}, "throttle.ends_at"),
    ({"emails_per_second": -1}, "emails_per_second"),
    ({"retry": {"tries": 0}}, "retry.tries"),
    ({"when": "now"}, "when"),
]


async def test_a_wrong_schedule_names_the_field_and_schedules_nothing(api: Api, draft: str) -> None:
    for schedule, field in WRONG_SCHEDULES:
        for method, call in (("PUT", "send"), ("POST", "plan")):
            problem = await api.refused(422, method, f"{MESSAGES}/{draft}/{call}", json=schedule)
            assert field in problem["details"]["fields"], problem
    assert await api.harness.status(draft) is MessageStatus.DRAFT


WRONG_COMMANDS: list[tuple[dict[str, Any], str, str]] = [
    ({"reason": "x" * 501}, "", "reason"),
    ({"reason": "\x00"}, "", "reason"),
    ({"reason": 5}, "", "reason"),
    ({"why": "x"}, "", "why"),
    ({"command_id": ""}, "", "command_id"),
    ({"command_id": "\x00"}, "", "command_id"),
    ({}, "?wait=-1", "wait"),
    ({}, "?wait=301", "wait"),
    ({}, "?wait=soon", "wait"),
    ({}, "?wait=nan", "wait"),
]


async def test_a_wrong_command_names_the_field(api: Api, draft: str) -> None:
    for body, query, field in WRONG_COMMANDS:
        for command in ("pause", "resume", "cancel", "unschedule"):
            problem = await api.refused(422, "PUT", f"{MESSAGES}/{draft}/{command}{query}", json=body)
            assert field in problem["details"]["fields"], problem


async def test_the_same_command_id_acts_once_and_gives_the_same_receipt(api: Api, draft: str) -> None:
    path = f"{MESSAGES}/{draft}"
    await api.ok("PUT", f"{path}/send", json={"at": in_an_hour()})
    asked = {"reason": "wrong date", "command_id": "mine"}
    both = await asyncio.gather(*(api.ok("PUT", f"{path}/unschedule", json=asked) for _ in range(2)))
    assert both[0]["receipt"] == both[1]["receipt"]
    assert both[0]["receipt"]["command_id"] == "mine"
    assert len((await api.ok("GET", f"{path}/history"))["items"]) == 2


async def test_those_in_doubt_are_listed_and_decided_about(api: Api, draft: str) -> None:
    path = f"{MESSAGES}/{draft}"
    async with api.harness.worker():
        await api.ok("PUT", f"{path}/send")
        await api.harness.until(draft, MessageStatus.SENT)
    await api.harness.pool.execute(
        "update recipients set status = 'in_doubt' where message_id = $1 and contact_id <= 3", draft
    )
    page = await api.ok("GET", f"{path}/in-doubt", params={"limit": "2"})
    assert [row["contact_id"] for row in page["items"]] == [1, 2]
    assert page["next"] == 2
    assert page["items"][0]["email_message_id"].startswith("<")
    assert [row["contact_id"] for row in (await api.ok("GET", f"{path}/in-doubt?after=2"))["items"]] == [3]
    accepted = await api.ok("POST", f"{path}/in-doubt", json={"action": "accept", "contact_ids": [1]})
    assert accepted["receipt"]["command"] == "in-doubt accept"
    await api.refused(409, "POST", f"{path}/in-doubt", json={"action": "accept", "contact_ids": [1]})
    for wrong, field in (
        ({"action": "forget"}, "action"),
        ({"action": "accept", "contact_ids": []}, "contact_ids"),
        ({"action": "accept", "contact_ids": ["x"]}, "contact_ids.0"),
    ):
        problem = await api.refused(422, "POST", f"{path}/in-doubt", json=wrong)
        assert field in problem["details"]["fields"]
    await api.refused(404, "POST", f"{path}/in-doubt", json={"action": "accept", "contact_ids": [987654]})
    everybody = {"action": "accept", "contact_ids": None, "reason": "all are in the log"}
    assert (await api.ok("POST", f"{path}/in-doubt", json=everybody))["counts"]["in_doubt"] == 0
