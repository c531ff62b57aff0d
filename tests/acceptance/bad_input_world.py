"""The world that bad input meets: a real database and Temporal, files, and the words that stand for what is in them."""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client

from client.cli.app import run
from client.local.ports import HOST
from client.local.postgres import PostgresCluster, free_port
from models.api_keys import Role
from models.audience import Audience
from models.message import MessageStatus
from models.schedule import Throttle
from storage.database import open_pool
from tests.acceptance.bad_input_case import Ended
from tests.eventually import eventually
from tests.harness import ROOT, Harness, asked_by
from tests.smtp_log_server import SmtpLogServer

S = MessageStatus
TOMORROW = timedelta(days=1)
MEBIBYTE = 1024 * 1024

#: What is in the folder of the files: name → content; None: a directory.
FILES: dict[str, bytes | None] = {
    "body.txt": b"Dear {{ contact.first_name }}\n",
    "folder": None,
    "empty.txt": b"",
    "blank.txt": b" \n\t\n",
    "latin1.txt": "Blåbær".encode("latin-1"),
    "utf16.txt": "Hello".encode("utf-16"),
    "nul.txt": b"Hello\x00",
    "large.txt": b"a" * (MEBIBYTE + 1),
    "unclosed.txt": b"Dear reader\n\n  {{ contact.first_name \n",
    "unknown_tag.html": b"<p>\n{% wibble %}</p>",
    "unknown_filter.txt": b"one\ntwo {{ contact.city | shout }}",
    "unknown_name.txt": b"Hi {{ first_name }}",
    "include.txt": b"{% include '/etc/passwd' %}",
    "deep.txt": b"{{ " + b"(" * 5000 + b"1" + b")" * 5000 + b" }}",
    "good.csv": b"email\nada@example.com\n",
    "empty.csv": b"",
    "first_line_empty.csv": b"\nemail\nada@example.com\n",
    "no_header.csv": b"ada@example.com\nbob@example.com\n",
    "other_header.csv": b"E-Mail,name\nada@example.com,Ada\n",
    "utf16.csv": "email\nada@example.com\n".encode("utf-16"),
    "latin1.csv": "email,förnamn\nada@example.com,Åsa\n".encode("latin-1"),
    "cr.csv": b"email\rada@example.com\r",
    "quote.csv": b'"email\nada@example.com\n',
    "twice.csv": b"email,city,city\nada@example.com,Oslo,Oslo\n",
    "nameless.csv": b"email,,city\nada@example.com,x,Oslo\n",
    "attribute.csv": b"email,first name\nada@example.com,Ada\n",
    "control.csv": b"email,ci\x07ty\nada@example.com,Oslo\n",
    "columns.csv": ("email," + ",".join(f"c{n}" for n in range(200)) + "\na@example.com\n").encode(),
    "header_too_long.csv": b"email," + b"a" * MEBIBYTE + b"\nada@example.com\n",
}


class World:
    """A database, a folder of files, and the words that stand for what is in them."""

    def __init__(self, harness: Harness, postgres: PostgresCluster, folder: Path) -> None:
        self.harness = harness
        self.folder = folder
        closed = f"{HOST}:{free_port()}"
        url = harness.database_url
        self.words = {
            "closed": closed,
            "tomorrow": (datetime.now(UTC) + TOMORROW).isoformat(),
            "next_year": f"{datetime.now(UTC) + 300 * TOMORROW:%Y-%m-%dT09:00}",
            "wrong_password": re.sub(r":[^:@/]+@", ":wrong@", url),
            "no_database": url.rsplit("/", 1)[0] + "/nothing_here",
            "unmigrated": postgres.url(),
        }
        assert self.words["wrong_password"] != url
        self.environment = {
            "SENDGATE_DATABASE_URL": url,
            "SENDGATE_SMTP_HOST": harness.smtp.host,
            "SENDGATE_SMTP_PORT": str(harness.smtp.port),
            "TEMPORAL_ADDRESS": harness.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": harness.client.namespace,
        }
        for name, content in FILES.items():
            if content is None:
                (folder / name).mkdir()
            else:
                (folder / name).write_bytes(content)

    def filled(self, text: str) -> str:
        def meaning(found: re.Match[str]) -> str:
            word = found[1]
            return str(self.folder / word[5:]) if word.startswith("file:") else self.words.get(word, found[0])

        return re.sub(r"<([a-z_]+|file:[a-z0-9_./]+)>", meaning, text)

    def surroundings(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """The whole environment of a process."""
        others = {k: v for k, v in os.environ.items() if not k.startswith(("SENDGATE_", "TEMPORAL_"))}
        changed: dict[str, str | None] = {**others, **self.environment, **changes}
        return {name: self.filled(value) for name, value in changed.items() if value is not None}

    async def checksums(self, *, without: Sequence[str] = ()) -> dict[str, str | None]:
        """A checksum over every row of each table; None of an empty one."""
        tables = [
            row["tablename"]
            for row in await self.harness.pool.fetch("select tablename from pg_tables where schemaname = 'public'")
        ]
        assert {"messages", "recipients", "contacts", "commands", "receipts"} <= set(tables)
        query = " union all ".join(
            f"select '{table}' as name, md5(string_agg(t::text, ';' order by t::text)) as sum from {table} as t"
            for table in tables
            if table not in without
        )
        return {row["name"]: row["sum"] for row in await self.harness.pool.fetch(query)}

    async def run(self, arguments: Sequence[str], environment: Mapping[str, str | None] = {}) -> Ended:
        """Carry out a command line in this process, in a thread with an event loop of its own."""
        line = [self.filled(argument) for argument in arguments]
        return await asyncio.to_thread(_run_here, line, self.surroundings(environment))

    async def run_process(self, arguments: Sequence[str], environment: Mapping[str, str | None] = {}) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "client"),
            *(self.filled(argument) for argument in arguments),
            env=self.surroundings(environment) | {"PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def open_world(
    postgres: PostgresCluster, template_database: str, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A world of one draft, three contacts and an empty list, in a database of its own. No worker runs."""
    admin = await asyncpg.connect(postgres.url())
    await admin.execute(f'create database bad_input template "{template_database}"')
    url = postgres.url("bad_input")
    with SmtpLogServer(tmp_path_factory.mktemp("smtp")) as smtp:
        async with open_pool(url, most=10) as pool:
            harness = Harness(pool, url, temporal, smtp)
            made = World(harness, postgres, tmp_path_factory.mktemp("files"))
            await harness.add_contacts(3)
            await harness.pool.execute("insert into lists (name) values ('empty')")
            made.words[S.DRAFT] = await harness.draft(name=S.DRAFT.value)
            changed_at = (await harness.use_cases.message(made.words[S.DRAFT])).updated_at
            made.words["draft_changed_at"] = changed_at.isoformat()
            yield made
            for row in await pool.fetch("select id, generation from messages where generation > 0"):
                await harness.workflows.terminate(row["id"], row["generation"], "the test is over")
    await admin.execute("drop database bad_input with (force)")
    await admin.close()


async def one_message_in_each_status(world: World) -> None:
    """Leave a scheduled message and so on in `world.words`, and drafts that may not be sent as they are.

    The worker is stopped when this returns: nothing moves by itself.
    """
    harness, words = world.harness, world.words
    for status in S:
        if status is not S.DRAFT:
            words[status] = await harness.draft(name=status.value)
    async with harness.worker(lanes=1):
        await harness.send(words[S.SENT])
        await harness.until(words[S.SENT], S.SENT)
        harness.smtp.refuse("^c1@", "451 4.2.0 later")  # tried again in a minute: until then the message is sending
        for status in (S.SENDING, S.PAUSED, S.CANCELED):
            await harness.send(words[status])
        for status in (S.SENDING, S.PAUSED, S.CANCELED):
            await eventually(_has_deferred(harness, words[status]))
        await harness.use_cases.pause(words[S.PAUSED], asked_by())
        words["throttled"] = await harness.draft(name="paused, and throttled")
        await harness.send(words["throttled"], throttle=Throttle(batch_size=1, every=timedelta(hours=1)))
        await harness.until(words["throttled"], S.SENDING)
        await harness.use_cases.pause(words["throttled"], asked_by())
        await harness.use_cases.cancel(words[S.CANCELED], asked_by())
    await harness.send(words[S.SCHEDULED], at=datetime.now(UTC) + 2 * TOMORROW)
    for status in S:
        assert await harness.status(words[status]) is status
    words["nobody"] = await harness.draft(lists=("empty",))
    words["no_list"] = await harness.draft(lists=())
    words["no_match"] = await harness.draft(audience=Audience(lists=("everybody",), where={"city": "Oslo"}))
    words["excluding"] = await harness.draft(
        audience=Audience(lists=("everybody",), exclude_recipients_of=(words[S.SENDING],))
    )


async def one_of_everything(world: World) -> None:
    """A message in each status, two in doubt in the sent one, somebody suppressed, and a key."""
    await one_message_in_each_status(world)
    await world.harness.use_cases.suppress(["gone@example.com"], reason="asked by phone")
    await world.harness.use_cases.create_key("old", Role.VIEWER)
    await world.harness.pool.execute(
        "update recipients set status = 'in_doubt' where message_id = $1 and contact_id <= 2", world.words[S.SENT]
    )


@contextmanager
def environment_of(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _has_deferred(harness: Harness, message_id: str) -> Callable[[], object]:
    async def has_deferred() -> bool:
        counts = await harness.counts(message_id)
        return (counts.sent, counts.deferred) == (2, 1)

    return has_deferred


def _run_here(arguments: Sequence[str], environment: Mapping[str, str]) -> Ended:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with environment_of(environment), redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return Ended(code, *texts)
