"""The table of bad input, `CASES`: each command line, its exit code and a part of its sentence.

What `<draft>`, `<closed>`, `<file:NAME>` and the like stand for is in bad_input_world.py.
"""

from __future__ import annotations

import json

from client.local.ports import HOST
from models.commands import Verb
from models.message import MessageStatus
from models.transitions import Ruling, rule
from tests.acceptance.bad_input_case import Case, create, edit, for_message, wrong
from tests.acceptance.bad_input_schedules import PACE, SCHEDULE, THROTTLE, TIME_ZONES, WRONG_DATE

S = MessageStatus

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
    ("in-doubt", "list", "<id>"),
    ("in-doubt", "accept", "<id>"),
    ("in-doubt", "resend", "<id>", "ada@example.com"),
)

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

_DECIDE = (("in-doubt", "accept"), ("in-doubt", "resend"))

IN_DOUBT = [
    *(Case((*verb, "<sent>"), 3, "Nobody is in doubt") for verb in _DECIDE),
    Case(("in-doubt", "accept", "<canceled>"), 3, "Nobody is in doubt"),
    *(
        Case((*verb, "<sent>", *addresses), code, said)
        for verb in _DECIDE
        for addresses, code, said in (
            (("c1@example.com",), 3, "c1@example.com (sent) is not in doubt"),
            (("C1@EXAMPLE.com", "c2@example.com"), 3, "and 1 more are not in doubt"),
            (("c1@example.com", "nobody@example.com"), 4, "nobody@example.com is no recipient"),
            (("c1@example.com", "nobody"), 2, "'nobody' is not an email address"),
            *(((address,), 2, "address") for address in ADDRESSES),
        )
    ),
    Case(("in-doubt", "resend", "<sending>", "c1@example.com"), 3, "c1@example.com (deferred) is not in doubt"),
    *(wrong((*verb,), "ID") for verb in _DECIDE),
    *(wrong((*verb, "<sent>", "--reason", "x" * 501), "500") for verb in _DECIDE),
    wrong(("in-doubt", "list", "<sent>", "--limit", "0"), "--limit"),
    wrong(("in-doubt", "forget", "<sent>"), "forget"),
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
        (("in-doubt", "resend"), "sent"),
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
    Verb.ACCEPT: ("in-doubt", "accept", "<id>"),
    Verb.RESEND: ("in-doubt", "resend", "<id>"),
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

TABLES = (
    *(UNKNOWN, USAGE, SCHEDULE, TIME_ZONES, THROTTLE, PACE, WRONG_DATE),
    *(CONTENT, AUDIENCE, CONTACTS, ILLEGAL, IN_DOUBT, NO_TEMPORAL, SURROUNDINGS),
)
CASES = [case for cases in TABLES for case in cases]
