"""`Idempotency-Key`: the same key gives the same answer and acts once, also when many ask at the same moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from client.api import idempotency
from models.api_keys import Role
from storage import api_answers
from tests.api.api import Api
from tests.api.test_messages import CONTENT, MESSAGES
from tests.api.test_people import CONTACTS, CSV


@pytest.fixture(autouse=True)
async def people(api: Api) -> None:
    await api.harness.add_contacts(3)


def with_key(key: str = "k", **headers: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **headers}


async def test_many_at_once_make_one_draft_and_get_one_answer(api: Api) -> None:
    responses = await asyncio.gather(
        *(api("POST", MESSAGES, json=CONTENT, headers=with_key()) for _ in range(8)),
    )
    assert {response.status_code for response in responses} == {201}
    assert len({response.text for response in responses}) == 1
    assert len({response.headers["location"] for response in responses}) == 1
    assert sum("idempotent-replayed" in response.headers for response in responses) == 7
    assert len((await api.ok("GET", MESSAGES))["items"]) == 1
    await api.ok("POST", MESSAGES, json=CONTENT, headers=with_key("another"))
    assert len((await api.ok("GET", MESSAGES))["items"]) == 2


async def test_a_key_that_was_used_for_another_request_is_refused(api: Api) -> None:
    await api.ok("POST", MESSAGES, json=CONTENT, headers=with_key())
    for path, body in ((MESSAGES, CONTENT | {"name": "Other"}), (f"{MESSAGES}?x=1", CONTENT), (CONTACTS, CONTENT)):
        problem = await api.refused(422, "POST", path, json=body, headers=with_key())
        assert problem["code"] == "idempotency_key_reused"
        assert "Idempotency-Key" in problem["details"]["fields"]
    assert len((await api.ok("GET", MESSAGES))["items"]) == 1


async def test_keys_are_each_api_keys_own(api: Api) -> None:
    editor = await api.key(Role.EDITOR)
    first = await api.ok("POST", MESSAGES, json=CONTENT, headers=with_key())
    second = await api.ok("POST", MESSAGES, json=CONTENT, headers=with_key(), key=editor)
    assert first["id"] != second["id"]
    await api.refused(403, "POST", MESSAGES, json=CONTENT, headers=with_key(), key=await api.key(Role.VIEWER))


async def test_a_command_is_given_once(api: Api) -> None:
    await api.harness.prepare_server()
    draft = (await api.ok("POST", MESSAGES, json=CONTENT))["id"]
    path = f"{MESSAGES}/{draft}"
    at = {"at": "2030-01-01T00:00:00Z"}
    sent = await asyncio.gather(*(api.ok("PUT", f"{path}/send", json=at, headers=with_key()) for _ in range(3)))
    assert len({message["receipt"]["command_id"] for message in sent}) == 1
    await api.ok("PUT", f"{path}/unschedule", headers=with_key("u"))
    assert await api.ok("PUT", f"{path}/send", json=at, headers=with_key()) == sent[0], "the answer of then"
    assert (await api.ok("GET", path))["status"] == "draft"
    assert [entry["command"] for entry in (await api.ok("GET", f"{path}/history"))["items"]] == ["send", "unschedule"]


async def test_a_refusal_is_an_answer_and_a_mistake_is_none(api: Api) -> None:
    draft = (await api.ok("POST", MESSAGES, json=CONTENT))["id"]
    path = f"{MESSAGES}/{draft}/pause"
    assert await api.refused(409, "PUT", path, headers=with_key()) == await api.refused(
        409, "PUT", path, headers=with_key()
    )
    assert len((await api.ok("GET", f"{MESSAGES}/{draft}/history"))["items"]) == 1
    await api.refused(422, "POST", MESSAGES, json={}, headers=with_key("m"))
    await api.ok("POST", MESSAGES, json=CONTENT, headers=with_key("m"))


async def test_an_import_is_done_once(api: Api) -> None:
    path = f"{CONTACTS}/import"
    first, second = [await api.ok("POST", path, content=CSV, headers=with_key()) for _ in range(2)]
    assert first == second
    assert first["created"] == 2
    await api.refused(422, "POST", path, content=CSV + b"eve@example.org,Eve\n", headers=with_key())


async def test_a_new_api_key_is_never_kept_in_an_answer(api: Api) -> None:
    made = await api.ok("POST", "/v1/keys", json={"name": "ci", "role": "viewer"}, headers=with_key())
    await api.refused(409, "POST", "/v1/keys", json={"name": "ci", "role": "viewer"}, headers=with_key())
    kept = await api.harness.pool.fetch("select body from api_answers")
    assert made["key"] not in str([row["body"] for row in kept])


async def test_after_a_day_a_key_is_forgotten(api: Api) -> None:
    first = await api.ok("POST", MESSAGES, json=CONTENT, headers=with_key())
    await api.harness.pool.execute("update api_answers set created_at = created_at - interval '24 hours 1 second'")
    second = await api.ok("POST", MESSAGES, json=CONTENT | {"name": "Other"}, headers=with_key())
    assert first["id"] != second["id"]


async def test_what_a_dead_process_had_begun_may_be_asked_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease is over, there is no answer: the next call acts, under the same id of the command."""
    monkeypatch.setattr(idempotency, "_LEASE", timedelta(seconds=0))

    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(api_answers, "keep", dies)
        with pytest.raises(asyncio.CancelledError):
            await api("PUT", "/v1/lists/once", headers=with_key())
    assert (await api.ok("PUT", "/v1/lists/once", headers=with_key())) == {"name": "once", "contacts": 0}


async def test_a_wrong_key_is_a_422_and_one_on_a_get_is_no_matter(api: Api) -> None:
    for wrong in ("x" * 256, "", "two words"):
        problem = await api.refused(422, "POST", MESSAGES, json=CONTENT, headers=with_key(wrong))
        assert "Idempotency-Key" in problem["details"]["fields"]
    for _ in range(2):
        await api.ok("GET", MESSAGES, headers=with_key())
    assert await api.harness.pool.fetchval("select count(*) from api_answers") == 0
