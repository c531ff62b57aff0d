"""The use cases over the API are those in process: the same answers, the same errors, the same receipts."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import models.errors
from client.api.errors import answer_to
from client.api_errors import STATUSES, error_of
from client.cli.app import run
from client.cli.exits import exit_code
from client.interface import AskedBy
from client.local.ports import free_port
from client.remote import Remote, open_remote
from models.api_keys import Role
from models.audience import Audience
from models.contact import ContactChanges
from models.errors import IllegalTransition, NotFound, SendgateError, Unreachable
from models.message import ContentChanges, MessageContent, MessageStatus
from models.recipient import RecipientStatus
from models.schedule import Schedule
from models.unsubscribe import make_token
from tests.api.api import ADMIN_KEY, Api
from tests.api.served import served
from tests.harness import SECRET_KEY

CONTENT = MessageContent(
    name="News",
    from_address="news@example.com",
    subject="Hello {{ contact.first_name }}",
    text="see https://example.com/x",
    audience=Audience(lists=("everybody",)),
)


@pytest.fixture
async def remote(api: Api) -> AsyncIterator[Remote]:
    await api.harness.add_contacts(5)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    transport = httpx.ASGITransport(api.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as client:
        yield Remote(client)


def asked(reason: str = "") -> AskedBy:
    return AskedBy(actor="somebody at a shell", reason=reason)


async def test_people_are_the_same_over_the_api(api: Api, remote: Remote, tmp_path: Path) -> None:
    use = api.harness.use_cases
    file = tmp_path / "people.csv"
    file.write_text("email\nada@example.org\nnobody\n")
    told: list[tuple[int, int]] = []
    done = await remote.import_contacts(
        str(file), list_name="friends", on_progress=lambda done, total: told.append((done, total))
    )
    assert (done.created, [line.line for line in done.rejected]) == (1, [3])
    assert told[-1] == (file.stat().st_size, file.stat().st_size)
    assert await remote.contacts(limit=3, after=1) == await use.contacts(limit=3, after=1)
    assert await remote.contacts(list_name="friends") == await use.contacts(list_name="friends")
    assert await remote.contacts(search="c2") == await use.contacts(search="c2")
    made = await remote.create_contact("bob@example.org", attributes={"a": "b"}, lists=["friends"])
    assert await remote.contact(made.id) == await use.contact(made.id) == made
    changed = await remote.change_contact(made.id, ContactChanges(time_zone="Europe/Oslo", attributes={"a": None}))
    assert (changed.time_zone, changed.attributes) == ("Europe/Oslo", {})
    await remote.remove_from_list("friends", made.id)
    assert await remote.create_list("a/b c") == await use.contact_list("a/b c")
    await remote.add_to_list("a/b c", made.id)
    assert await remote.contact_list("a/b c") == await use.contact_list("a/b c")
    assert await remote.lists() == await use.lists()
    assert await remote.suppress(["bob@example.org", "eve@example.org"], reason="asked") == 2
    assert await remote.suppressions(search="bob") == await use.suppressions(search="bob")
    await remote.lift_suppression((await remote.suppressions())[0].id)
    assert await remote.unsuppress(["eve@example.org"]) == 1
    await remote.delete_contact(made.id)
    with pytest.raises(NotFound, match=f"There is no contact {made.id}"):
        await remote.contact(made.id)


async def test_messages_are_the_same_over_the_api(api: Api, remote: Remote) -> None:
    use = api.harness.use_cases
    made = await remote.create(CONTENT)
    assert await remote.message(made.id) == await use.message(made.id) == made
    assert (await remote.change(made.id, ContentChanges(name="Other"))).name == "Other"
    assert await remote.edit(made.id, CONTENT.model_copy(update={"html": None})) == await use.message(made.id)
    second = await remote.copy(made.id, exclude_recipients=True, name="Second")
    for options in ({"limit": 1}, {"search": "second"}, {"statuses": [MessageStatus.SENT]}, {"after": second.id}):
        assert await remote.messages(**options) == await use.messages(**options)
    containing = {"statuses": [MessageStatus.DRAFT]}
    assert await remote.messages_containing("example.com/x", **containing) == [made.id, second.id]
    assert await remote.audience_preview(made.id, sample=2) == await use.audience_preview(made.id, sample=2)
    assert b"To: c1@example.com" in await remote.rendered(made.id)
    assert b"To: c2@example.com" in await remote.rendered(made.id, 2)
    assert [one.verdict for one in await remote.send_test(made.id, ["me@example.org"])] == ["sent"]
    wall_clock = Schedule(at=datetime(2030, 1, 1, 9), time_zone="contact")  # noqa: DTZ001
    planned = await remote.plan(made.id, wall_clock)
    assert planned.schedule == (await use.plan(made.id, wall_clock)).schedule
    await remote.delete(second.id)
    with pytest.raises(NotFound):
        await remote.message(second.id)
    await remote.check_servers()


async def test_a_send_is_stopped_with_receipts_as_in_process(api: Api, remote: Remote) -> None:
    use = api.harness.use_cases
    await api.harness.prepare_server()
    made = await remote.create(CONTENT)
    async with api.harness.worker():
        sent = await remote.send(made.id, Schedule(emails_per_second=0.5), asked("go"), seen=made.updated_at)
        assert sent.receipt is not None
        await api.harness.until_left(1)
        paused = await remote.pause(made.id, asked("broken"))
        assert paused.receipt is not None
        assert (paused.receipt.actor, paused.receipt.source, paused.receipt.reason) == ("admin", "cli", "broken")
        with pytest.raises(IllegalTransition) as refused:
            await remote.unschedule(made.id, asked())
        assert refused.value.details == {"status": "paused", "allowed": ["resume", "cancel", "copy", *_DECIDING]}
        assert (await remote.resume_preview(made.id)).to_send == (await use.resume_preview(made.id)).to_send
        assert (await remote.resume(made.id, asked())).message.status is MessageStatus.SENDING
        canceled = await remote.cancel(made.id, asked(), wait=timedelta(seconds=20))
        assert canceled.message.status is MessageStatus.CANCELED
    assert await remote.history(made.id) == await use.history(made.id)
    assert (await remote.progress(made.id)).counts == (await use.progress(made.id)).counts
    everybody = [row async for row in remote.recipients(made.id)]
    assert everybody == [row async for row in use.recipients(made.id)]
    assert len(everybody) == 5
    some = {"statuses": [RecipientStatus.CANCELED], "limit": 1}
    assert await remote.recipients_page(made.id, **some) == await use.recipients_page(made.id, **some)  # type: ignore[arg-type]
    await api.harness.pool.execute("update recipients set status = 'in_doubt' where contact_id = 1")
    assert [row async for row in remote.in_doubt(made.id)] == [row async for row in use.in_doubt(made.id)]
    decided = await remote.accept_in_doubt(made.id, asked(), ["c1@example.com"])
    assert decided.message.counts.in_doubt == 0


_DECIDING = ("in-doubt accept", "in-doubt resend")


async def test_a_stop_that_is_not_confirmed_has_no_receipt(api: Api, remote: Remote) -> None:
    made = await remote.create(CONTENT)
    await api.harness.prepare_server()
    await remote.send(made.id, Schedule(), asked())
    result = await remote.cancel(made.id, asked(), wait=timedelta(0))
    assert result.receipt is None
    assert result.message.pending_command == "cancel"


async def test_hold_keys_and_links_are_the_same_over_the_api(api: Api, remote: Remote) -> None:
    held = await remote.put_hold(asked("incident"))
    assert held == await remote.hold() == await api.harness.use_cases.hold()
    assert (held.actor, held.reason) == ("admin", "incident")
    assert not (await remote.release_hold(asked("over"))).held
    entries, following = await remote.hold_history(limit=1)
    assert (entries, following) == await api.harness.use_cases.hold_history(limit=1)
    assert (entries[0].reason, entries[0].source) == ("over", "cli")
    assert await remote.hold_history(after=following) == await api.harness.use_cases.hold_history(after=following)
    made = await remote.create_key("ci", Role.VIEWER)
    assert [key.id for key in await remote.keys()] == [made.id]
    assert (await remote.revoke_key(made.id)).revoked_at is not None
    token = make_token(SECRET_KEY, (await remote.create(CONTENT)).id, 1)
    await remote.check_unsubscribe(token)
    await remote.unsubscribe(token)
    assert [one.address for one in await remote.suppressions()] == ["c1@example.com"]


async def test_what_is_refused_in_process_is_the_same_error_over_the_api(api: Api, remote: Remote) -> None:
    use = api.harness.use_cases
    made = await remote.create(CONTENT)
    calls: list[Any] = [
        lambda door: door.message("nothing"),
        lambda door: door.message("../hold"),
        lambda door: door.message(""),
        lambda door: door.pause(made.id, asked()),
        lambda door: door.create(CONTENT.model_copy(update={"subject": "a\nb"})),
        lambda door: door.send(made.id, Schedule(at=datetime(2020, 1, 1, tzinfo=UTC)), asked()),
        lambda door: door.send(made.id, Schedule(), asked(), seen=datetime(2020, 1, 1, tzinfo=UTC)),
        lambda door: door.create_contact("nobody"),
        lambda door: door.create_contact("c1@example.com"),
        lambda door: door.accept_in_doubt(made.id, asked(), []),
        lambda door: door.put_hold(asked("")),
        lambda door: door.import_contacts("/nowhere.csv", list_name=None),
    ]
    for call in calls:
        with pytest.raises(SendgateError) as directly:
            await call(use)
        with pytest.raises(SendgateError) as over_http:
            await call(remote)
        one, other = directly.value, over_http.value
        assert (other.code, other.message) == (one.code, one.message)
        assert exit_code(other) == exit_code(one)


def test_the_statuses_are_those_that_the_tree_of_errors_tells() -> None:
    """The tree in the docstring of `models.errors` is what people read and rely on."""
    assert models.errors.__doc__
    told = re.findall(r"^[│├└─ ]*(\w+) +(\d{3})\b", models.errors.__doc__, re.MULTILINE)
    assert {kind.__name__: status for kind, status in STATUSES.items()} == {name: int(status) for name, status in told}


@pytest.mark.parametrize("kind", STATUSES)
def test_every_error_comes_out_of_the_api_as_it_went_in(kind: type[SendgateError]) -> None:
    given = kind("Why.", retry_after_seconds=1)
    answer = answer_to(given)
    assert answer.status_code == STATUSES[kind]
    error = error_of(answer.status_code, bytes(answer.body), "there")
    assert type(error) is kind
    assert (error.code, error.message, error.details) == (given.code, given.message, given.details)


def test_a_finer_code_is_kept_whatever_the_error() -> None:
    for kind, status in STATUSES.items():
        error = error_of(status, b'{"code": "some_code", "message": "Why.", "details": {"x": 1}}', "there")
        assert type(error) is kind
        assert (error.code, error.message, error.details) == ("some_code", "Why.", {"x": 1})


def test_an_answer_that_is_not_the_apis_is_told_as_such() -> None:
    for content in (b"", b"<html>", b"[]", b'{"detail": "Not Found"}', b'{"code": 1}'):
        error = error_of(502, content, "http://there")
        assert isinstance(error, Unreachable)
        assert "http://there is not Sendgate's API" in error.message


#: Every use case, asked for somehow.
ASKED: dict[str, Callable[[Remote], Awaitable[object]]] = {
    "import_contacts": lambda use: use.import_contacts(__file__, list_name=None),
    "contacts": lambda use: use.contacts(),
    "contact": lambda use: use.contact(1),
    "create_contact": lambda use: use.create_contact("ada@example.org"),
    "change_contact": lambda use: use.change_contact(1, ContactChanges()),
    "delete_contact": lambda use: use.delete_contact(1),
    "lists": lambda use: use.lists(),
    "contact_list": lambda use: use.contact_list("news"),
    "create_list": lambda use: use.create_list("news"),
    "add_to_list": lambda use: use.add_to_list("news", 1),
    "remove_from_list": lambda use: use.remove_from_list("news", 1),
    "suppressions": lambda use: use.suppressions(),
    "suppress": lambda use: use.suppress(["ada@example.org"], reason=""),
    "unsuppress": lambda use: use.unsuppress(["ada@example.org"]),
    "lift_suppression": lambda use: use.lift_suppression(1),
    "create": lambda use: use.create(CONTENT),
    "change": lambda use: use.change("m1", ContentChanges()),
    "edit": lambda use: use.edit("m1", CONTENT),
    "delete": lambda use: use.delete("m1"),
    "message": lambda use: use.message("m1"),
    "messages": lambda use: use.messages(),
    "messages_containing": lambda use: use.messages_containing("x", statuses=()),
    "audience_preview": lambda use: use.audience_preview("m1"),
    "rendered": lambda use: use.rendered("m1"),
    "send_test": lambda use: use.send_test("m1", ["ada@example.org"]),
    "send": lambda use: use.send("m1", Schedule(), asked()),
    "plan": lambda use: use.plan("m1", Schedule()),
    "pause": lambda use: use.pause("m1", asked()),
    "resume": lambda use: use.resume("m1", asked()),
    "cancel": lambda use: use.cancel("m1", asked()),
    "unschedule": lambda use: use.unschedule("m1", asked()),
    "copy": lambda use: use.copy("m1"),
    "resume_preview": lambda use: use.resume_preview("m1"),
    "in_doubt": lambda use: anext(use.in_doubt("m1")),
    "accept_in_doubt": lambda use: use.accept_in_doubt("m1", asked()),
    "resend_in_doubt": lambda use: use.resend_in_doubt("m1", asked()),
    "progress": lambda use: use.progress("m1"),
    "recipients": lambda use: anext(use.recipients("m1")),
    "recipients_page": lambda use: use.recipients_page("m1"),
    "history": lambda use: use.history("m1"),
    "hold": lambda use: use.hold(),
    "put_hold": lambda use: use.put_hold(asked("why")),
    "release_hold": lambda use: use.release_hold(asked()),
    "hold_history": lambda use: use.hold_history(),
    "create_key": lambda use: use.create_key("ci", Role.VIEWER),
    "keys": lambda use: use.keys(),
    "revoke_key": lambda use: use.revoke_key(1),
    "check_servers": lambda use: use.check_servers(),
}
#: Their answers are pages for people, of which a program reads nothing.
_PAGES = {"check_unsubscribe", "unsubscribe"}
NOT_OURS = [
    ("text/html", b"<!doctype html><title>Welcome to nginx!</title>"),
    ("application/json", b'{"status": {"code": 200}, "items": {"x": 1}, "changed": "all", "outcomes": 5}'),
    ("application/json", b'{"items": [1], "next": null, "outcomes": [1]}'),
    *(("application/json", content) for content in (b"{}", b"[]", b"null", b"1", b'"ok"', b"{", b"\xff", b"")),
]


@pytest.mark.parametrize(("kind", "content"), NOT_OURS)
async def test_whatever_else_answers_that_all_is_well_is_told_as_such(kind: str, content: bytes) -> None:
    assert set(ASKED) == {name for name in vars(Remote) if not name.startswith("_")} - _PAGES

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content, headers={"Content-Type": kind})

    async with httpx.AsyncClient(base_url="http://there", transport=httpx.MockTransport(answer)) as client:
        for name, ask in ASKED.items():
            with pytest.raises(Unreachable) as told:
                await ask(Remote(client))
            assert told.value.message.startswith("What answers at http://there is not Sendgate's API, "), name
            assert told.value.message.isprintable()


async def test_the_command_line_ends_with_5_where_something_else_answers(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for words in (["lists"], ["messages", "show", "m1"], ["messages", "delete", "m1"], ["pause", "m1"]):
            assert await asyncio.to_thread(run, [*words, "--url", url, "--api-key", "key"]) == 5, words
            said = capsys.readouterr()
            assert said.out == ""
            assert said.err.startswith(f"Error: What answers at {url} is not Sendgate's API")
            assert said.err.count("\n") == 1


async def test_an_api_that_is_not_there_is_unreachable() -> None:
    async with open_remote(f"http://127.0.0.1:{free_port()}", "key") as use:
        with pytest.raises(Unreachable, match="The API does not answer at http://127"):
            await use.lists()


async def test_the_command_line_ends_with_the_same_codes_over_the_api(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    await api.harness.add_contacts(3)
    await api.harness.prepare_server()
    draft = await api.harness.draft()
    async with served(api) as client:

        async def ends(*arguments: str, key: str = ADMIN_KEY, url: str = str(client.base_url)) -> int:
            return await asyncio.to_thread(run, [*arguments, "--url", url, "--api-key", key, "--json"])

        assert await ends("messages", "show", draft) == 0
        assert json.loads(capsys.readouterr().out)["id"] == draft
        assert await ends("pause", draft) == 3
        refused = json.loads(capsys.readouterr().err)
        assert refused["details"] == {"status": "draft", "allowed": ["send", "copy", "edit", "delete"]}
        assert await ends("messages", "show", "nothing") == 4
        assert await ends("contacts", "list", "--list", "\t") == 2
        assert await ends("lists", key="wrong") == 1
        assert await ends("lists", url=f"http://127.0.0.1:{free_port()}") == 5
        assert await ends("send", draft) == 0
        assert await ends("cancel", draft, "--wait", "0") == 6
        assert '"pending_command": "cancel"' in capsys.readouterr().out
