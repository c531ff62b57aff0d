"""The part of the table of bad input that the parser itself names: every argument and option of every verb.

Each is given every odd text and what its type cannot be, but for what it takes. A verb that is added needs a line in
`LINES`; an option that takes any text needs to say so in `_TAKES`, or its case fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import click

from client.cli.app import sendgate
from client.cli.inputs import Folder, Interval, Number, Seconds, When, Where, Whole, WholeFrom
from tests.acceptance.bad_input_case import create
from tests.bad_values import TEXTS

Words = tuple[str, ...]

#: A right command line of every verb: its words, its arguments, its options.
LINES: dict[Words, Words] = {
    line[: 2 if line[0] in ("contacts", "messages", "in-doubt", "runbook", "keys") else 1]: line
    for line in (
        ("contacts", "import", "<file:good.csv>"),
        ("contacts", "list"),
        ("lists",),
        ("suppress", "ada@example.com"),
        ("unsuppress", "ada@example.com"),
        create(),
        ("messages", "list"),
        ("messages", "show", "<draft>"),
        ("messages", "edit", "<draft>", "--subject=S"),
        ("messages", "delete", "<draft>"),
        ("messages", "preview", "<draft>"),
        ("copy", "<draft>"),
        ("sendtest", "<draft>", "me@example.com"),
        ("send", "<draft>"),
        ("pause", "<sending>"),
        ("resume", "<paused>"),
        ("cancel", "<paused>"),
        ("unschedule", "<scheduled>"),
        ("watch", "<sent>"),
        ("progress", "<sending>"),
        ("recipients", "<sending>"),
        ("history", "<sending>"),
        ("hold", "--reason=the wrong price"),
        ("release",),
        ("in-doubt", "list", "<sent>"),
        ("in-doubt", "accept", "<sent>"),
        ("in-doubt", "resend", "<sent>"),
        ("runbook", "list"),
        ("runbook", "broken-landing-page", "https://example.com", "--yes"),
        ("runbook", "wrong-body", "<sending>", "--subject=S", "--yes"),
        ("runbook", "wrong-date", "<scheduled>", "--at=<tomorrow>", "--yes"),
        ("up",),
        ("serve",),
        ("keys", "create", "anna", "--role=viewer"),
        ("keys", "list"),
        ("keys", "revoke", "1"),
    )
}

#: What a parameter only has an effect with.
_GOES_WITH: dict[str, Words] = {
    "api_key": ("--url=http://<closed>",),
    "time_zone": ("--at=<next_year>",),
    "fallback_time_zone": ("--at=<next_year>", "--time-zone=contact"),
    "batch_size": ("--every=15m",),
    "max_batches": ("--every=15m",),
}

#: How a sentence names a parameter that it names neither by its option nor by its field.
_CALLED = {
    "message_id": "message",
    "addresses": "address",
    "list_name": "list",
    "contact_id": "contact",
    "exclude_recipients_of": "recipients could be excluded",
}

_WRONG_TIMES = {
    "no such day": "2026-02-30T09:00Z",
    "no such hour": "2026-12-01T25:00Z",
    "a day alone": "2026-12-01",
    "the year 1": "0001-01-01T00:00+23:59",
    "a word behind": "2026-12-01T09:00Z later",
}
_WRONG_WHOLES = {"a fraction": "1.5", "huge": "9" * 40, "5,000 digits": "9" * 5_000}
#: Values that cannot be of a type, beside the texts.
_OF_TYPE: dict[type[object], dict[str, str]] = {
    When: _WRONG_TIMES,
    Interval: {"negative": "-5m", "years": "P1Y", "too long": "9" * 400 + "d"},
    Seconds: {"negative": "-1", "nan": "nan", "infinity": "inf", "a year": "1e9", "5,000 digits": "9" * 5_000},
    Number: {"nan": "nan", "infinity": "1e999", "zero": "0", "negative": "-5"},
    Whole: _WRONG_WHOLES | {"zero": "0", "negative": "-1"},
    WholeFrom: _WRONG_WHOLES | {"negative": "-1"},
    Where: {
        "a list": "[1]",
        "deep": "[" * 100_000,
        "a key twice": '{"a": 1, "a": 2}',
        "unknown operator": '{"age": {"over": 30}}',
    },
    Folder: {"a file": "<file:body.txt>", "below a file": "<file:body.txt/x>", "nobody's home": "~nobody-of-that-name"},
}
_OF_NAME: dict[str, dict[str, str]] = {
    "url": {
        "another scheme": "ftp://example.com",
        "no host": "http://",
        "brackets": "http://[",
        "no port": "http://example.com:port",
        "too long": "http://" + "x" * 70_000,
    },
    "api_key": {"not ASCII": "ключ"},
    "file": {"a folder": "<file:folder>", "no CSV": "<file:utf16.csv>"},
    "html": {"a folder": "<file:folder>", "not UTF-8": "<file:latin1.txt>", "large": "<file:large.txt>"},
    "text": {"a folder": "<file:folder>", "not UTF-8": "<file:latin1.txt>", "large": "<file:large.txt>"},
}

_ONE_LINE = {"a word", "markup"}
_NOTHING = {"empty", "blank"}
_LINES = {"line breaks", "control characters"}
#: Which of what is tried a parameter takes, by the verb and its name; "*" is any verb. All others take none.
_TAKES: dict[tuple[str, str], set[str]] = {
    ("*", "name"): _ONE_LINE,
    ("*", "subject"): _ONE_LINE,
    ("*", "from_name"): _ONE_LINE | _NOTHING,
    ("*", "reply_to"): _NOTHING,
    ("*", "html"): {"empty"},
    ("*", "text"): {"empty"},
    ("*", "exclude_lists"): {"empty"},
    ("*", "exclude_recipients_of"): {"empty"},
    ("messages edit", "lists"): {"empty"},
    ("messages create", "lists"): {"empty"},
    ("*", "reason"): _ONE_LINE | _NOTHING | _LINES,
    ("hold", "reason"): _ONE_LINE | _LINES,
    ("contacts import", "list_name"): _ONE_LINE,
    ("*", "api_key"): {*_ONE_LINE, "long"},
    ("*", "link"): _ONE_LINE,
    ("serve", "host"): {"a word"},
    ("up", "data"): {"blank", *_ONE_LINE, *_LINES},
    ("recipients", "limit"): {"huge"},
    ("in-doubt list", "limit"): {"huge"},
}
#: With which code a value ends that is none of those that are there; what can be none of them is wrong input.
_NOT_THERE = {"message_id": 4, "list_name": 4, "after": 4, "key_id": 4, "contact_id": 4, "data": 5}


class Tried(NamedTuple):
    """One value of one parameter: the whole command line, how it may end, and one of what it must name."""

    arguments: Words
    codes: set[int]
    names: set[str]
    title: str


def verbs(command: click.Command = sendgate, words: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Yield every verb with its words."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from verbs(below, (*words, name))
    else:
        yield words, command


def _tried_of(words: Words, parameter: click.Parameter, position: int | None) -> Iterator[Tried]:
    """`position` is that of an argument in the verb's line."""
    name, title = str(parameter.name), f"{' '.join(words)} {parameter.opts[0]}"
    if words == ("runbook", "list") and name in ("data", "url", "api_key"):
        return  # it needs no server
    line = LINES[words]
    names = {*parameter.opts, name, parameter.opts[0].strip("-"), str(parameter.metavar), _CALLED.get(name, name)}
    if isinstance(parameter, click.Option) and parameter.is_flag:
        if name not in ("as_json", "debug"):
            yield Tried((*line, f"{parameter.opts[0]}=maybe"), {2}, names, f"{title} with a value")
        return
    if parameter.required:
        left = [each for n, each in enumerate(line) if n != position and not each.startswith(f"{parameter.opts[0]}=")]
        if position is None or position + 1 == len(line) or line[position + 1].startswith("-"):
            yield Tried(tuple(left), {2}, names, f"{title} missing")
    values = {kind: text for kind, text in TEXTS.items() if kind != "very long"}  # no shell can give a mebibyte
    values |= _OF_TYPE.get(type(parameter.type), {}) | _OF_NAME.get(name, {})
    taken = _TAKES.get((" ".join(words), name), _TAKES.get(("*", name), set()))
    codes = {2} | ({_NOT_THERE[name]} if name in _NOT_THERE else set())
    for kind, value in values.items():
        if kind in taken:
            continue
        if position is None:
            given = (*line, *_GOES_WITH.get(name, ()), f"{parameter.opts[0]}={value}")
        elif value.startswith("-"):
            continue  # it would be an option
        else:
            given = (*line[:position], value, *line[position + 1 :])
        # No shell can give a NUL; of an argument only the number is said.
        yield Tried(given, codes, names | ({"argument"} if kind == "NUL" else set()), f"{title}: {kind}")


def tried_of(words: Words, command: click.Command) -> Iterator[Tried]:
    """Yield what is tried of every argument and option of a verb."""
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    for parameter in command.params:
        position = len(words) + arguments.index(parameter) if isinstance(parameter, click.Argument) else None
        yield from _tried_of(words, parameter, position)
