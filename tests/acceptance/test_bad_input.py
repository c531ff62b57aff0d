"""Bad input through the real command line: one sentence, the right exit code, and nothing changed.

The table is `CASES`. Each case runs against a real database and Temporal.
The world has one message in each status; its worker is stopped, so that whatever changes was changed by the case.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client

from client.cli.app import run
from client.direct import open_use_cases
from client.local.ports import HOST
from client.local.postgres import PostgresCluster, free_port
from client.local.stack_file import Stack
from models.audience import Audience
from models.commands import Verb
from models.errors import Unreachable
from models.message import MessageStatus
from models.transitions import Ruling, rule
from storage.database import Pool, open_pool
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


@dataclass(frozen=True)
class Case:
    """One command line, and how it must end. `<name>` stands for a message, `<file:NAME>` for a file."""

    arguments: tuple[str, ...]
    code: int
    said: str  # a part of the sentence
    environment: Mapping[str, str | None] = field(default_factory=dict)  # None: not set
    stack: str | None = None  # the content of ./.sendgate/stack.json
    records: bool = True  # whether a command and its receipt may be recorded

    @property
    def title(self) -> str:
        words = " ".join(self.arguments) + "".join(f" {k}={v}" for k, v in self.environment.items())
        return re.sub(r"[^ -~]", "?", f"{self.code} {words}")[:120]


def create(*more: str, **given: str | None) -> tuple[str, ...]:
    """A right `messages create` with some options changed; None leaves one out."""
    options = {"name": "N", "from": "news@example.com", "subject": "S", "text": "<file:body.txt>"}
    options |= {"audience_list": "everybody"}
    line = [f"--{k.replace('_', '-')}={v}" for k, v in (options | given).items() if v is not None]
    return ("messages", "create", *line, *more)


def edit(*more: str) -> tuple[str, ...]:
    return ("messages", "edit", "<draft>", *more)


def wrong(arguments: Sequence[str], said: str, **more: object) -> Case:
    return Case(tuple(arguments), 2, said, **more)  # type: ignore[arg-type]  # the fields of Case, handed on


VERBS_OF_A_MESSAGE: tuple[tuple[str, ...], ...] = (
    ("messages", "show", "<id>"),
    ("messages", "edit", "<id>", "--subject", "S"),
    ("messages", "delete", "<id>"),
    ("messages", "preview", "<id>"),
    ("messages", "preview", "<id>", "--raw"),
    ("send", "<id>"),
    ("send", "<id>", "--dry-run"),
    ("pause", "<id>"),
    ("resume", "<id>"),
    ("resume", "<id>", "--preview"),
    ("cancel", "<id>"),
    ("unschedule", "<id>"),
    ("copy", "<id>"),
    ("copy", "<id>", "--exclude-recipients"),
    ("sendtest", "<id>", "me@example.com"),
    ("watch", "<id>"),
    ("progress", "<id>"),
    ("recipients", "<id>"),
    ("recipients", "<id>", "--csv"),
    ("history", "<id>"),
)


def for_message(arguments: Sequence[str], message_id: str) -> tuple[str, ...]:
    return tuple(message_id if argument == "<id>" else argument for argument in arguments)


UNKNOWN = [
    *(Case(for_message(verb, "nosuchid2345"), 4, "no message nosuchid2345") for verb in VERBS_OF_A_MESSAGE),
    *(Case(("messages", "show", odd), 4, "no message") for odd in ("", "../..", "é" * 9000, "' or 1=1 --", "\u202e")),
    Case(("messages", "list", "--after", "nosuchid2345"), 4, "no message nosuchid2345"),
    Case(("messages", "preview", "<draft>", "--contact", "999999"), 4, "no contact 999999"),
    Case(("contacts", "list", "--list", "nobody"), 4, "no list 'nobody'"),
]

USAGE = [
    wrong(("nonsense",), "nonsense"),
    wrong(("pause",), "ID"),
    wrong(("pause", "<sending>", "--nonsense"), "--nonsense"),
    wrong(("pause", "<sending>", "<paused>"), "extra argument"),
    wrong(("pause", "\udcff"), "UTF-8"),
    wrong(("pause", "a\x00b"), "NUL"),
    *(
        wrong((verb, "<sending>", f"--wait={wait}"), "--wait")
        for verb, wait in (
            ("pause", "-1"),
            ("resume", "-0.001"),
            ("cancel", "nan"),
            ("unschedule", "inf"),
            ("pause", "1e9"),
            ("pause", "soon"),
            ("pause", "9" * 5000),
        )
    ),
    *(wrong((verb, "<sending>", "--reason", "x" * 501), "500") for verb in ("pause", "resume", "cancel", "unschedule")),
    wrong(("watch", "<sending>", "--every", "0"), "--every"),
    wrong(("recipients", "<sending>", "--limit", "0"), "--limit"),
    wrong(("recipients", "<sending>", "--status", "flying"), "--status"),
    wrong(("messages", "list", "--status", "flying"), "--status"),
    wrong(("messages", "list", "--limit", "9" * 40), "--limit"),
    wrong(("messages", "preview", "<draft>", "--contact", "0"), "--contact"),
    wrong(("messages", "preview", "<draft>", "--contact", "9" * 40), "--contact"),
    wrong(("contacts", "list", "--after", "-1"), "--after"),
    wrong(("contacts", "list", "--after", "9" * 40), "--after"),
    wrong(("contacts", "list", "--list", "a\nb"), "list's name"),
    wrong(edit(), "nothing to change"),
    wrong(("copy", "<sent>", "--name", "two\nlines"), "name has a line break"),
    wrong(("copy", "<sent>", "--name", "x" * 201), "name is 201 characters"),
    wrong(("sendtest", "<draft>", "nobody"), "'nobody' is not an email address"),
    wrong(("sendtest", "<draft>", "me@example.com", "a@b"), "no dot"),
]

SCHEDULE = [
    wrong(("send", "<draft>", "--at", "2020-01-01T09:00Z"), "at is in the past"),
    wrong(("send", "<draft>", "--at", "0001-01-01T09:00Z"), "at is in the past"),
    wrong(("send", "<draft>", "--at", "2020-01-01T09:00Z", "--dry-run"), "at is in the past"),
    wrong(("send", "<draft>", "--at", "2226-01-01T09:00Z"), "ten years"),
    wrong(("send", "<draft>", "--at", "9999-12-31T23:59:59.999999Z"), "ten years"),
    wrong(("send", "<draft>", "--at", "0001-01-01T00:00+23:59"), "out of range"),
    wrong(("send", "<draft>", "--at", "9999-12-31T23:59-23:59"), "out of range"),
    *(
        wrong(("send", "<draft>", "--at", unreadable), "cannot be read")
        for unreadable in (
            "",
            "tomorrow",
            "9 o'clock",
            "2026-02-30T09:00Z",
            "2026-12-01T25:00Z",
            "1" * 5000,
            "٢٠٢٦",
            "-1",
        )
    ),
    wrong(("send", "<draft>", "--at", "2026-12-01T09:00"), "2026-12-01T09:00:00+01:00"),
    wrong(("send", "<draft>", "--at", "2026-12-01"), "2026-12-01T00:00:00Z"),
    *(
        wrong(("send", f"<{nobody}>", *more), "audience is empty")
        for nobody in ("nobody", "no_match", "no_list")
        for more in ((), ("--dry-run",))
    ),
    *(Case(("send", "<excluding>", *more), 3, "cancel it first", records=False) for more in ((), ("--dry-run",))),
]

ADDRESSES = (
    "",
    "nobody",
    "a@b",
    "a@@example.com",
    "Ada <ada@example.com>",
    "a b@example.com",
    "a@example.com\nBcc: x@y.z",
)

CONTENT = [
    *(
        wrong(create(**{where: text}), said.format(where))
        for where in ("name", "subject")
        for text, said in (
            ("two\nlines", "{} has a line break"),
            ("two\r\nBcc: x@example.com", "{} has a line break"),
            ("two\u2028lines", "{} has a line break"),
            ("bell\x07", "{} has a control character"),
            ("", "{} is empty"),
            ("   ", "{} is empty"),
            ("x" * 1000, "{} is 1,000 characters long"),
        )
    ),
    wrong(create(from_name="A\r\nBcc: x@example.com"), "from_name has a line break"),
    wrong(create(from_name="x" * 201), "from_name is 201 characters"),
    *(wrong(create(**{"from": address}), "from_address: ") for address in ADDRESSES),
    *(wrong(create(reply_to=address), "reply_to: ") for address in ADDRESSES[1:]),
    wrong(edit("--name", "two\nlines"), "name has a line break"),
    wrong(edit("--subject", "two\nlines"), "subject has a line break"),
    wrong(edit("--subject", ""), "subject is empty"),
    wrong(edit("--from", "nobody"), "from_address: "),
    wrong(edit("--text", ""), "html, text: "),
    wrong(create(text=None), "html, text: "),
    wrong(create(text="<file:empty.txt>"), "html, text: "),
    wrong(create(text="<file:blank.txt>", html="<file:empty.txt>"), "html, text: "),
    *(
        wrong(line, f"'--{part}'")
        for part in ("html", "text")
        for name in ("large.txt", "missing.txt", "folder", "latin1.txt", "utf16.txt", "folder/x/y", "body.txt/x")
        for line in (create(**{part: f"<file:{name}>"}), edit(f"--{part}", f"<file:{name}>"))
    ),
    wrong(create(html="/dev/zero"), "1 MiB"),
    wrong(create(html="<file:nul.txt>"), "html has a NUL"),
    wrong(create(subject="{{ contact.first_name"), "subject, line 1, column "),
    wrong(create(text="<file:unclosed.txt>"), "text, line 4, column 1: "),
    wrong(create(html="<file:unknown_tag.html>"), "html, line 2, column 4: "),
    wrong(create(text="<file:unknown_filter.txt>"), "text, line 2, column 23: "),
    wrong(create(text="<file:unknown_name.txt>"), "contact.first_name"),
    wrong(create(text="<file:include.txt>"), "include is not available"),
    wrong(create(text="<file:deep.txt>"), "text"),
    wrong(edit("--html", "<file:unknown_tag.html>"), "html, line 2, column 4: "),
    wrong(edit("--subject", "{% if %}"), "subject, line 1, column "),
]

AUDIENCE = [
    wrong(create(audience_list=None), "--audience-list"),
    wrong(create(audience_list="nolist"), "no list 'nolist'"),
    wrong(create(audience_list="Everybody"), "did you mean 'everybody'"),
    wrong(create(audience_list="two\nlines"), "lists: "),
    wrong(create(audience_list="x" * 101), "lists: "),
    wrong(create(audience_list=" everybody"), "spaces around"),
    wrong(create(exclude_list="nolist"), "no list 'nolist'"),
    wrong(create(exclude_recipients_of="nosuchid2345"), "no message nosuchid2345"),
    wrong(create(exclude_recipients_of="x" * 101), "is not the id of a message"),
    wrong(edit("--audience-list", "nolist"), "no list 'nolist'"),
    wrong(edit("--exclude-recipients-of", "nosuchid2345"), "no message nosuchid2345"),
    *(
        wrong(create(where=where), said)
        for where, said in (
            ("", "not JSON"),
            ("city=Oslo", "not JSON"),
            ('{"city": "Oslo"', "not JSON"),
            ('["Oslo"]', "not a JSON object"),
            ("null", "not a JSON object"),
            ("[" * 100_000, "nested too deeply"),
            ('{"age": NaN}', "NaN is not JSON"),
            ('{"age": {"gt": -Infinity}}', "is not JSON"),
            ('{"age": {"gt": 1e999}}', "too large"),
            ('{"age": %s}' % ("9" * 400), "too large"),
            ('{"age": %s}' % ("9" * 5000), "'--where'"),
            ('{"age": {"over": 30}}', "unknown operator 'over'"),
            ('{"age": {"in": 30}}', "in takes a list"),
            ('{"age": {"gte": "old"}}', "a number or an ISO date"),
            ('{"age": {"gte": [1]}}', "a number or an ISO date"),
            ('{"age": {"gte": "2026-02-30"}}', "a number or an ISO date"),
            ('{"age": {"exists": 1}}', "true or false"),
            ('{"age": {"contains": 1}}', "contains takes a text"),
            ('{"age": {"eq": [1]}}', "one value"),
            ('{"age": {"eq": {"eq": 1}}}', "not a condition"),
            ('{"age": {}}', "names no operator"),
            ('{"city": ["Oslo"]}', '{"in": '),
            ('{"city": "a\\u0000b"}', "cannot be stored"),
            ('{"city": "\\ud800"}', "cannot be stored"),
            ('{"city": 1, "city": 2}', "given twice"),
            ('{"first name": "Ada"}', "cannot be the name"),
            ('{"__class__": "Ada"}', "cannot be the name"),
            ('{"": 1}', "cannot be the name"),
        )
    ),
]

CONTACTS = [
    *(
        wrong(("contacts", "import", f"<file:{name}.csv>", "--list", "new"), said)
        for name, said in (
            ("empty", "The file is empty"),
            ("first_line_empty", "first line is empty"),
            ("no_header", "no column email"),
            ("other_header", "'E-Mail' has to be called email"),
            ("utf16", "UTF-16"),
            ("latin1", "not UTF-8"),
            ("cr", "CR alone"),
            ("quote", "quotes"),
            ("twice", "'city' twice"),
            ("nameless", "Column 2 of the header has no name"),
            ("attribute", "'first name' cannot be the name"),
            ("control", "control character"),
            ("columns", "201 columns"),
            ("header_too_long", "longer than"),
            ("missing", "does not exist"),
        )
    ),
    wrong(("contacts", "import", "<file:folder>"), "is a directory"),
    *(
        wrong(("contacts", "import", "<file:good.csv>", "--list", name), "list's name")
        for name in ("", " ", "two\nlines", "x" * 101)
    ),
    *(
        wrong((verb, "ada@example.com", address), "address")
        for verb in ("suppress", "unsuppress")
        for address in (*ADDRESSES, "x" * 65 + "@example.com", "a@" + "x" * 300 + ".com", "a@1.2.3.4", "ö@ö")
    ),
    wrong(("suppress", "ada@example.com", "--reason", "x" * 501), "500"),
    wrong(("suppress",), "ADDRESS"),
]

NO_TEMPORAL = [
    Case((*arguments, f"<{status}>"), 5, "Temporal does not answer", environment, records=False)
    for environment in ({"TEMPORAL_ADDRESS": "<closed>"}, {"TEMPORAL_NAMESPACE": "nowhere"})
    for arguments, status in (
        (("send",), "draft"),
        (("send", "--at", "<tomorrow>"), "draft"),
        (("unschedule",), "scheduled"),
        (("pause",), "sending"),
        (("resume",), "paused"),
        (("cancel",), "scheduled"),
        (("cancel",), "sending"),
        (("cancel",), "paused"),
    )
]

A_STACK = {"data": "/tmp", "pid": 1, "temporal_address": "<closed>", "smtp_host": HOST, "smtp_port": 1}

SURROUNDINGS = [
    *(
        Case(verb, 5, "The database ", {"SENDGATE_DATABASE_URL": url})
        for verb in (("lists",), ("pause", "<sending>"))
        for url in ("postgresql://u:p@<closed>/x", "<wrong_password>", "<no_database>")
    ),
    *(
        Case(("lists",), 5, "The database ", {"SENDGATE_DATABASE_URL": url})
        for url in ("nonsense", "mysql://u@h/d", "postgresql://u@h:99999/d", "postgresql://u@<closed>/d?sslmode=maybe")
    ),
    Case(("lists",), 1, "does not hold the tables", {"SENDGATE_DATABASE_URL": "<unmigrated>"}),
    wrong(("lists",), "No stack runs here", environment={"SENDGATE_DATABASE_URL": None}),
    wrong(("lists",), "SENDGATE_DATABSE_URL", environment={"SENDGATE_DATABSE_URL": "x"}),
    wrong(("lists",), "SENDGATE_LANES", environment={"SENDGATE_LANES": "many"}),
    wrong(("lists",), "SENDGATE_LANES", environment={"SENDGATE_LANES": "9" * 5000}),
    wrong(("lists",), "SENDGATE_SMTP_PORT", environment={"SENDGATE_SMTP_PORT": "65536"}),
    wrong(("lists",), "SENDGATE_SMTP_TLS", environment={"SENDGATE_SMTP_TLS": "ssl"}),
    wrong(("lists",), "SENDGATE_LEASE", environment={"SENDGATE_LEASE": "-3s"}),
    wrong(("lists",), "SENDGATE_LEASE", environment={"SENDGATE_LEASE": "9" * 40 + "h"}),
    wrong(("sendtest", "<draft>", "me@example.com"), "SENDGATE_SMTP_HOST", environment={"SENDGATE_SMTP_HOST": None}),
    wrong(("up",), "SENDGATE_DATABSE_URL", environment={"SENDGATE_DATABSE_URL": "x"}),
    *(wrong(("lists",), "is not a stack file", stack=text) for text in ("", "{", "[]", "{}", "\ud800", '{"pid": "x"}')),
    Case(("lists",), 5, "The database ", stack=json.dumps({**A_STACK, "database_url": "postgresql://u:p@<closed>/x"})),
    wrong(("lists", "--data", "<file:body.txt>"), "--data"),
    Case(("lists", "--data", "<file:folder>"), 5, "No stack runs in"),
    Case(("lists",), 5, "No stack runs in", {"SENDGATE_DATA": "<file:missing>"}),
]

#: The verb that took effect last, by the status it led to. The draft is fresh.
LAST: dict[S, Verb | None] = {
    S.DRAFT: None,
    S.SCHEDULED: Verb.SEND,
    S.SENDING: Verb.SEND,
    S.PAUSED: Verb.PAUSE,
    S.SENT: Verb.SEND,
    S.CANCELED: Verb.CANCEL,
}
COMMANDS: dict[Verb, tuple[str, ...]] = {
    Verb.SEND: ("send", "<id>"),
    Verb.PAUSE: ("pause", "<id>"),
    Verb.RESUME: ("resume", "<id>"),
    Verb.CANCEL: ("cancel", "<id>"),
    Verb.UNSCHEDULE: ("unschedule", "<id>"),
    Verb.COPY: ("copy", "<id>"),
    Verb.EDIT: ("messages", "edit", "<id>", "--subject", "Another"),
    Verb.DELETE: ("messages", "delete", "<id>"),
}


def ruled(kind: str, *, same: bool = True) -> list[tuple[S, Verb, Ruling]]:
    rulings = [(status, verb, rule(status, verb, LAST[status], same=same)) for status in S for verb in Verb]
    return [(status, verb, ruling) for status, verb, ruling in rulings if ruling.kind == kind]


ILLEGAL = [
    *(Case(for_message(COMMANDS[verb], f"<{status}>"), 3, ruling.why) for status, verb, ruling in ruled("refused")),
    *(
        Case(("send", f"<{status}>", *more), 3, "unschedule")
        for status, more in (
            (S.SCHEDULED, ()),
            (S.SCHEDULED, ("--at", "<tomorrow>")),
            (S.SENDING, ("--at", "<tomorrow>")),
        )
    ),
    *(Case(("send", f"<{status}>", "--dry-run"), 3, f"is {status}") for status in S if status is not S.DRAFT),
    *(Case(("resume", f"<{status}>", "--preview"), 3, f"is {status}") for status in S if status is not S.PAUSED),
]

TABLES = (UNKNOWN, USAGE, SCHEDULE, CONTENT, AUDIENCE, CONTACTS, ILLEGAL, NO_TEMPORAL, SURROUNDINGS)
CASES = [case for cases in TABLES for case in cases]


# -- the world that they meet


@dataclass
class Ended:
    code: int
    out: str
    err: str


class World:
    """A database with one message in each status, and the words that stand for what is in it."""

    def __init__(self, harness: Harness, postgres: PostgresCluster, folder: Path) -> None:
        self.harness = harness
        self.folder = folder
        closed = f"{HOST}:{free_port()}"
        url = harness.database_url
        self.words = {
            "closed": closed,
            "tomorrow": (datetime.now(UTC) + TOMORROW).isoformat(),
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
            return str(self.folder / word[5:]) if word.startswith("file:") else self.words[word]

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


def _run_here(arguments: Sequence[str], environment: Mapping[str, str]) -> Ended:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with _environment(environment), redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return Ended(code, *texts)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
async def world(
    postgres: PostgresCluster, template_database: str, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    admin = await asyncpg.connect(postgres.url())
    await admin.execute(f'create database bad_input template "{template_database}"')
    url = postgres.url("bad_input")
    with SmtpLogServer(tmp_path_factory.mktemp("smtp")) as smtp:
        async with open_pool(url, most=10) as pool:
            harness = Harness(pool, url, temporal, smtp)
            made = World(harness, postgres, tmp_path_factory.mktemp("files"))
            await _one_message_in_each_status(made)
            yield made
            for row in await pool.fetch("select id, generation from messages where generation > 0"):
                await harness.workflows.terminate(row["id"], row["generation"], "the test is over")
    await admin.execute("drop database bad_input with (force)")
    await admin.close()


async def _one_message_in_each_status(world: World) -> None:
    """Leave a draft and so on in `world.words`. The worker is stopped when this returns: nothing moves by itself."""
    harness, words = world.harness, world.words
    await harness.add_contacts(3)
    await harness.pool.execute("insert into lists (name) values ('empty')")
    for status in S:
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


def _has_deferred(harness: Harness, message_id: str) -> Callable[[], object]:
    async def has_deferred() -> bool:
        counts = await harness.counts(message_id)
        return (counts.sent, counts.deferred) == (2, 1)

    return has_deferred


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# -- the table


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{n} {case.title}") for n, case in enumerate(CASES)])
async def test_bad_input_is_one_sentence_and_changes_nothing(world: World, case: Case, tmp_path: Path) -> None:
    if case.stack is not None:
        (tmp_path / ".sendgate").mkdir()
        content = world.filled(case.stack).encode(errors="surrogatepass")
        (tmp_path / ".sendgate" / "stack.json").write_bytes(content)
    without = ("commands", "receipts") if case.records else ()
    before = await world.checksums(without=without)

    ended = await world.run(case.arguments, case.environment)
    assert_one_sentence(ended, case)
    assert world.filled(case.said) in ended.err
    assert await world.checksums(without=without) == before


@pytest.mark.parametrize("case", [pytest.param(cases[0], id=cases[0].title) for cases in TABLES])
async def test_programs_get_the_same_as_json(world: World, case: Case) -> None:
    ended = await world.run((*case.arguments, "--json"), case.environment)
    assert_one_sentence(ended, case)
    shape = json.loads(ended.err)
    assert set(shape) == {"code", "message", "details"}
    assert shape["code"] != "unexpected"
    assert world.filled(case.said) in shape["message"]


def assert_one_sentence(ended: Ended, case: Case) -> None:
    assert ended.code == case.code, ended
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("\n")
    assert "Traceback" not in ended.err
    assert not ended.err.startswith("Error: unexpected")
    assert ended.err.startswith(("Error: ", "{"))


def test_the_table_has_every_refused_pair_of_status_and_command() -> None:
    """The transition table decides what is illegal; a verb that is added there must be given a command line here."""
    assert set(COMMANDS) == set(Verb)
    assert {verb for _, verb, _ in ruled("refused")} == set(Verb) - {Verb.COPY}
    assert {status for status, _, _ in ruled("refused")} == set(S)


@pytest.mark.parametrize("part", range(2))
async def test_a_process_ends_as_the_table_says(world: World, part: int) -> None:
    """A few of the table, whole: interpreter, standard streams, exit code."""
    picked = [
        Case(("pause", "nosuchid2345"), 4, "no message"),
        Case(("pause", "<draft>"), 3, "has not been sent"),
        Case(("pause", "<sending>"), 5, "Temporal does not answer", {"TEMPORAL_ADDRESS": "<closed>"}),
        Case(("lists",), 5, "The database ", {"SENDGATE_DATABASE_URL": "postgresql://u:p@<closed>/x"}),
        wrong(("up",), "SENDGATE_DATABSE_URL", environment={"SENDGATE_DATABSE_URL": "x"}),
        wrong(create(subject="{{ zażółć"), "subject, line 1, column ", environment={"LC_ALL": "C"}),
    ][part::2]
    before = await world.checksums(without=("commands", "receipts"))
    ends = await asyncio.gather(*(world.run_process(case.arguments, case.environment) for case in picked))
    for case, ended in zip(picked, ends, strict=True):
        assert_one_sentence(ended, case)
        assert case.said in ended.err
    assert await world.checksums(without=("commands", "receipts")) == before


# -- what goes away in the middle, and what only looks like it


async def test_a_database_that_goes_away_under_a_query_is_said_so(world: World) -> None:
    async with world.harness.pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table messages in access exclusive mode")
        showing = asyncio.create_task(world.run(("messages", "show", "<draft>")))
        await eventually(lambda: _end_waiting_client(world.harness.pool))
        ended = await showing
    assert_one_sentence(ended, Case((), 5, ""))
    assert "The database does not answer" in ended.err


async def _end_waiting_client(pool: Pool) -> int:
    ended = await pool.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'"
        " and application_name = 'sendgate client' and datname = current_database()"
    )
    return len(ended)


async def test_a_database_that_goes_away_between_two_queries_is_said_so(
    world: World, postgres: PostgresCluster, template_database: str
) -> None:
    admin = await asyncpg.connect(postgres.url())
    await admin.execute(f'create database goes_away template "{template_database}"')
    url = postgres.url("goes_away")
    async with open_pool(url) as pool:
        message_id = await Harness(pool, url, world.harness.client, world.harness.smtp).draft(lists=())
    watching = asyncio.create_task(
        world.run(("watch", message_id, "--every", "0.1"), {"SENDGATE_DATABASE_URL": url, "SENDGATE_SMTP_HOST": None})
    )
    connected = "select count(*) from pg_stat_activity where datname = 'goes_away' and query like '%accepted_at%'"
    await eventually(lambda: admin.fetchval(connected))
    await admin.execute("drop database goes_away with (force)")
    ended = await watching
    await admin.close()
    assert ended.code == 5
    assert ended.err.startswith("Error: The database does not answer: ")
    assert ended.err.count("\n") == 1


GONE = (asyncpg.AdminShutdownError("x"), asyncpg.ConnectionDoesNotExistError("x"), asyncpg.InternalClientError("x"))
OURS = (FileNotFoundError("x"), TimeoutError("x"), ValueError("x"), asyncpg.UniqueViolationError("x"))


@pytest.mark.parametrize("error", [*GONE, *OURS], ids=lambda error: type(error).__name__)
async def test_only_what_the_database_raises_means_that_it_has_gone(world: World, error: Exception) -> None:
    with _environment(world.surroundings({})), pytest.raises(Unreachable if error in GONE else type(error)):
        async with open_use_cases():
            raise error


async def test_a_refused_connection_of_the_database_means_that_it_has_gone(world: World) -> None:
    """An OSError too, and yet the database's: the pool connects again when a connection was lost."""
    with _environment(world.surroundings({})), pytest.raises(Unreachable, match="The database does not answer"):
        async with open_use_cases():
            await asyncpg.connect(world.filled("postgresql://u:p@<closed>/x"))


async def test_a_full_disk_is_not_taken_for_a_database(world: World) -> None:
    """Standard output fails with an OSError while the database is open."""
    message_id = await world.harness.draft(text="a" * 100_000)
    with Path("/dev/full").open("w") as full:  # noqa: ASYNC230  # it never blocks
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "client", "messages", "show", message_id, "--json"),
            env=world.surroundings({}) | {"PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
    assert process.returncode == 1
    assert err.count(b"\n") == 1
    assert b"No space left" in err


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


# -- what is not bad input


async def test_a_command_that_was_fulfilled_is_done_again(world: World) -> None:
    before = await world.checksums(without=("commands", "receipts"))
    scheduled = await world.harness.use_cases.message(world.words[S.SCHEDULED])
    assert scheduled.schedule is not None
    assert scheduled.schedule.at is not None
    # A pause or resume asked again is answered by the workflow, behind whatever it was asked before.
    fulfilled = [each for each in ruled("fulfilled") if each[1] not in (Verb.PAUSE, Verb.RESUME)]
    assert len(fulfilled) >= 3
    for status, verb, _ in fulfilled:
        at = ("--at", scheduled.schedule.at.isoformat()) if (status, verb) == (S.SCHEDULED, Verb.SEND) else ()
        ended = await world.run((*for_message(COMMANDS[verb], f"<{status}>"), *at))
        assert (ended.code, ended.err) == (0, ""), (status, verb)
    assert await world.checksums(without=("commands", "receipts")) == before


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


async def test_a_test_email_without_a_next_hop_ends_with_1(world: World) -> None:
    host, port = world.words["closed"].split(":")
    before = await world.checksums()
    environment = {"SENDGATE_SMTP_HOST": host, "SENDGATE_SMTP_PORT": port}
    ended = await world.run(("sendtest", "<draft>", "me@example.com", "--json"), environment)
    assert ended.code == 1
    assert [outcome["verdict"] for outcome in json.loads(ended.out)["outcomes"]] == ["no_server"]
    assert ended.err.count("\n") == 1
    assert await world.checksums() == before
