"""`Idempotency-Key`: the same key gives the same answer and acts once, also when many ask at the same moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Response

from client.api import idempotency
from client.api.idempotency import Answers
from client.temporal import Workflows
from models.api_keys import Principal, Role
from storage import api_answers
from tests.api.api import ADMIN_KEY, Api
from tests.api.test_messages import CONTENT, MESSAGES
from tests.api.test_people import CONTACTS, CSV
from tests.api.test_serve import serve
from tests.eventually import eventually


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

    with monkeypatch.context() as dying:
        dying.setattr(api_answers, "keep", dies)
        with pytest.raises(asyncio.CancelledError):
            await api("PUT", "/v1/lists/once", headers=with_key())
    assert (await api.ok("PUT", "/v1/lists/once", headers=with_key())) == {"name": "once", "contacts": 0}


async def nothing(*_: Any) -> None:
    """What a dead process does about the key that it took."""


async def dies(*_: Any, **__: Any) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(("where", "what"), [(Workflows, "start"), (api_answers, "keep")])
async def test_a_send_whose_process_died_in_its_midst_and_was_asked_again_is_in_the_history_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, where: Any, what: str
) -> None:
    """It died once the message was scheduled and before its workflow was started, or before the answer was kept."""
    await api.harness.prepare_server()
    draft = (await api.ok("POST", MESSAGES, json=CONTENT))["id"]
    path, at = f"{MESSAGES}/{draft}", {"at": "2030-01-01T00:00:00Z"}
    with monkeypatch.context() as dying:
        dying.setattr(where, what, dies)
        dying.setattr(api_answers, "forget", nothing)
        with pytest.raises(asyncio.CancelledError):
            await api("PUT", f"{path}/send", json=at, headers=with_key())
    assert (await api.ok("GET", path))["status"] == "scheduled"
    await _lapse(api)
    again = await api.ok("PUT", f"{path}/send", json=at, headers=with_key())
    assert again["status"] == "scheduled"
    (entry,) = (await api.ok("GET", f"{path}/history"))["items"]
    assert (entry["command"], entry["receipt"]["outcome"]) == ("send", "done")
    assert again["receipt"]["command_id"] == entry["command_id"]


async def test_a_pause_whose_process_was_killed_in_its_midst_and_was_asked_again_is_in_the_history_once(
    api: Api, tmp_path: Path
) -> None:
    harness = api.harness
    await harness.add_contacts(200, prefix="more")
    draft = await harness.draft()
    async with harness.worker():
        await harness.send(draft, emails_per_second=20)
        await harness.until_left(1)
    path = f"{MESSAGES}/{draft}/pause"
    async with (
        serve(harness, tmp_path / "log") as (process, url),
        httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as client,
    ):
        asking = asyncio.create_task(client.put(path, params={"wait": "60"}, headers=with_key(), timeout=60))
        await eventually(lambda: harness.pool.fetchval("select true from commands where verb = 'pause'"))
        process.kill()
        with pytest.raises(httpx.TransportError):
            await asking
    await _lapse(api)
    async with harness.worker():
        done = await api.ok("PUT", path, params={"wait": "60"}, headers=with_key())
    assert done["status"] == "paused"
    assert [entry["command"] for entry in (await api.ok("GET", f"{MESSAGES}/{draft}/history"))["items"]] == [
        "send",
        "pause",
    ]


async def _lapse(api: Api) -> None:
    """Let the time pass that a dead process keeps the key for."""
    await api.harness.pool.execute("update api_answers set leased_until = clock_timestamp() - interval '1 second'")


async def test_a_long_call_keeps_its_key_for_as_long_as_it_is_at_work(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks again meanwhile waits, though the lease that it began with is long over."""
    lease = timedelta(seconds=6)
    monkeypatch.setattr(idempotency, "_LEASE", lease)
    answers, principal = Answers(api.harness.pool), Principal(id=1, name="ci", role=Role.EDITOR)
    acted, may_end = 0, asyncio.Event()

    async def act() -> Response:
        nonlocal acted
        acted += 1
        await may_end.wait()
        return Response("done", 200)

    asked = [asyncio.create_task(answers.once(principal, "k", b"the same", act)) for _ in range(2)]
    over = "select created_at + $1 < clock_timestamp() from api_answers"
    try:
        await eventually(lambda: api.harness.pool.fetchval(over, lease * 1.2), within=60)
        assert acted == 1
    finally:
        may_end.set()
        await asyncio.wait(asked)
    assert {response.body for response in await asyncio.gather(*asked)} == {b"done"}
    assert acted == 1


async def test_a_wrong_key_is_a_422_and_one_on_a_get_is_no_matter(api: Api) -> None:
    for wrong in ("x" * 256, "", "two words"):
        problem = await api.refused(422, "POST", MESSAGES, json=CONTENT, headers=with_key(wrong))
        assert "Idempotency-Key" in problem["details"]["fields"]
    for _ in range(2):
        await api.ok("GET", MESSAGES, headers=with_key())
    assert await api.harness.pool.fetchval("select count(*) from api_answers") == 0
