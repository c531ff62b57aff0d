"""What looks like bad input and is none: it is taken, and does what it says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.client import Client

from client.local.ports import HOST
from client.local.postgres import PostgresCluster
from client.local.stack_file import Stack
from models.message import MessageStatus
from tests.acceptance.bad_input_case import create
from tests.acceptance.bad_input_world import TOMORROW, World, open_world

S = MessageStatus


@pytest.fixture(scope="module")
async def world(
    postgres: PostgresCluster, template_database: str, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with open_world(postgres, template_database, temporal, tmp_path_factory) as made:
        yield made


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def test_an_empty_audience_may_be_sent_on_demand(world: World) -> None:
    message_id = await world.harness.draft(lists=("empty",))
    dry = await world.run(("send", message_id, "--dry-run", "--allow-empty"))
    assert (dry.code, dry.err) == (0, "")
    assert await world.harness.status(message_id) is S.DRAFT
    ended = await world.run(("send", message_id, "--allow-empty"))
    assert (ended.code, ended.err) == (0, "")
    assert await world.harness.status(message_id) is S.SCHEDULED


async def test_what_some_contacts_lack_renders_empty_and_the_preview_counts_them(world: World, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email,first_name,city\na@x.org,Ada,\nb@x.org,,Oslo\nc@x.org,,\n")
    assert (await world.run(("contacts", "import", "people.csv", "--list", "lacking"))).code == 0
    (tmp_path / "hello.txt").write_text("Dear {{ contact.first_name }} of {{ contact.city }}!")
    made = await world.run((*create(audience_list="lacking", text="hello.txt"), "--json"))
    message_id = json.loads(made.out)["id"]
    preview = json.loads((await world.run(("messages", "preview", message_id, "--json"))).out)
    assert preview["lacking"] == {"first_name": 2, "city": 2}
    assert preview["email"]["text"].strip() == "Dear Ada of !"
    shown = await world.run(("messages", "preview", message_id))
    assert "2 of them lack first_name" in shown.out


async def test_every_language_goes_in_and_comes_out(world: World, tmp_path: Path) -> None:
    (tmp_path / "kişiler.csv").write_text("email,förnamn\nzażółć@bücher.example,Ångström\nb@例え.jp,Љубица\n", "utf-8")
    (tmp_path / "blåbær.html").write_text("<p>Kära {{ contact.förnamn }} — 你好 🫐</p>", "utf-8")
    imported = await world.run(("contacts", "import", "kişiler.csv", "--list", "Größe 大"))
    assert (imported.code, imported.err) == (0, "")
    texts = {"name": "مرحبا", "from_name": "Ѓорѓи 🦉", "subject": "Grüße, {{ contact.förnamn }} ✓"}
    line = create("--html", "blåbær.html", audience_list="Größe 大", where='{"förnamn": {"contains": "ÅNG"}}', **texts)
    made = await world.run((*line, "--json"))
    assert (made.code, made.err) == (0, "")
    message = json.loads(made.out)
    assert {name: message[name] for name in texts} == texts
    assert message["audience_estimate"] == 1
    email = json.loads((await world.run(("messages", "preview", message["id"], "--json"))).out)["email"]
    assert email["subject"] == "Grüße, Ångström ✓"
    assert "Kära Ångström — 你好 🫐" in email["html"]
    assert (await world.run(("unschedule", message["id"], "--reason", "página rota 🛑"))).code == 3
    history = json.loads((await world.run(("history", message["id"], "--json"))).out)
    assert history["items"][0]["reason"] == "página rota 🛑"


async def test_variables_of_another_temporal_do_not_reach_beyond_a_stack_of_our_own(
    world: World, tmp_path: Path
) -> None:
    message_id = await world.harness.draft()
    await world.harness.send(message_id, at=datetime.now(UTC) + TOMORROW)
    stack = Stack(
        data=tmp_path,
        pid=1,
        database_url=world.harness.database_url,
        temporal_address=world.environment["TEMPORAL_ADDRESS"],
        temporal_namespace=world.environment["TEMPORAL_NAMESPACE"],
        smtp_host=HOST,
        smtp_port=1,
        pids={"temporal": 1},
    )
    (tmp_path / "stack.json").write_text(stack.model_dump_json())
    other = {"TEMPORAL_ADDRESS": "<closed>", "TEMPORAL_NAMESPACE": "nowhere", "TEMPORAL_API_KEY": "k"}
    ended = await world.run(("unschedule", message_id, "--data", str(tmp_path)), other)
    assert (ended.code, ended.err) == (0, "")
    assert await world.harness.status(message_id) is S.DRAFT
