"""The part of the table of bad input that the parser itself names: every option of every verb, by what it takes.

A verb that is added needs a line in `LINES`; an option of a kind that is not in `_WRONG` needs a case in the table.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from client.cli.app import sendgate
from client.cli.inputs import Body, Interval, Seconds, Where
from tests.acceptance.bad_input_case import Case, create, wrong

Words = tuple[str, ...]

#: A right command line of every verb.
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
        ("messages", "edit", "<draft>", "--subject", "S"),
        ("messages", "delete", "<draft>"),
        ("messages", "preview", "<draft>"),
        ("copy", "<draft>"),
        ("sendtest", "<draft>", "me@example.com"),
        ("send", "<draft>"),
        ("pause", "<sending>"),
        ("resume", "<paused>"),
        ("cancel", "<paused>"),
        ("unschedule", "<scheduled>"),
        ("watch", "<sending>"),
        ("progress", "<sending>"),
        ("recipients", "<sending>"),
        ("history", "<sending>"),
        ("hold", "--reason", "the wrong price"),
        ("release",),
        ("in-doubt", "list", "<sent>"),
        ("in-doubt", "accept", "<sent>"),
        ("in-doubt", "resend", "<sent>"),
        ("runbook", "list"),
        ("runbook", "broken-landing-page", "https://example.com", "--yes"),
        ("runbook", "wrong-body", "<sending>", "--subject", "S", "--yes"),
        ("runbook", "wrong-date", "<scheduled>", "--at", "<tomorrow>", "--yes"),
        ("up",),
        ("serve",),
        ("keys", "create", "anna", "--role", "viewer"),
        ("keys", "list"),
        ("keys", "revoke", "1"),
    )
}
_NO_API = {"SENDGATE_URL": None}


def verbs(command: click.Command = sendgate, words: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Yield every verb with its words."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from verbs(below, (*words, name))
    else:
        yield words, command


def parameters(command: click.Command) -> Iterator[click.Parameter]:
    """Yield what a verb takes a value for: its arguments, and its options that are no switches."""
    for parameter in command.params:
        if not (isinstance(parameter, click.Option) and parameter.is_flag):
            yield parameter


def tried_in(case: Case) -> tuple[Words, set[str]]:
    """Return the verb of a case, and the names of the parameters that it gives."""
    rest = list(case.arguments)
    command: click.Command = sendgate
    words: list[str] = []
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        words.append(rest.pop(0))
        command = command.commands[words[-1]]
    options = {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    given: set[str] = set()
    while rest:
        word, is_joined, _ = rest.pop(0).partition("=")
        if option := options.get(word):
            given.add(str(option.name))
            if rest and not option.is_flag and not is_joined:
                rest.pop(0)
        elif arguments:
            given.add(str(arguments[0].name))
            arguments = arguments[1:] or arguments
    return tuple(words), given


def _wrong_values(parameter: click.Parameter) -> dict[str, str]:
    """Return values that a parameter of this kind cannot take, and a part of what is said of each."""
    named = parameter.opts[0] if isinstance(parameter, click.Option) else str(parameter.metavar or parameter.name)
    kind = parameter.type
    if parameter.name == "data":
        return {"<file:body.txt>": named, "two\nlines/\x00": "NUL"}
    if parameter.name == "url":
        return {"nonsense": "http", "ftp://example.com": "http", "http://": "http", "http://[": "http"}
    if parameter.name == "api_key":
        return {"two\nlines": "key", "ключ": "key"}
    if isinstance(kind, Seconds):
        return dict.fromkeys(("soon", "nan", "inf", "-1", "", "9" * 400), named)
    if isinstance(kind, Interval):
        return dict.fromkeys(("soon", "", "-5m", "P1Y"), named)
    if isinstance(kind, Body):
        return dict.fromkeys(
            ("<file:missing.txt>", "<file:folder>", "<file:latin1.txt>", "<file:large.txt>", "x" * 5_000), named
        )
    if isinstance(kind, Where):
        return dict.fromkeys(("", "city=Oslo", "[1]", "[" * 100_000, '{"a": 1, "a": 2}'), named)
    if isinstance(kind, click.Choice):
        return dict.fromkeys(("nonsense", "", "<script>", "x" * 5_000), named)
    if isinstance(kind, click.IntRange | click.types.IntParamType):
        return dict.fromkeys(("x", "1.5", "", "9" * 40, "-99999999999999999999", "9" * 5_000), named)
    if isinstance(kind, click.types.FloatParamType):
        return dict.fromkeys(("x", ""), named)
    return {}


def _cases() -> Iterator[Case]:
    for words, command in verbs():
        for parameter in parameters(command):
            for value, said in _wrong_values(parameter).items():
                more = {"api_key": ("--url", "http://<closed>")}.get(str(parameter.name), ())
                if isinstance(parameter, click.Option):
                    yield wrong((*LINES[words], *more, f"{parameter.opts[0]}={value}"), said, environment=_NO_API)
                else:
                    yield wrong((*words, "--", value), said)


OPTIONS = list(_cases())
