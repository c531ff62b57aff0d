"""One case of bad input: a command line, and how it must end. The lines that many cases share are built here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Ended:
    code: int
    out: str
    err: str


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


def wrong(arguments: Sequence[str], said: str, **more: object) -> Case:
    return Case(tuple(arguments), 2, said, **more)  # type: ignore[arg-type]  # the fields of Case, handed on


def for_message(arguments: Sequence[str], message_id: str) -> tuple[str, ...]:
    return tuple(message_id if argument == "<id>" else argument for argument in arguments)


def create(*more: str, **given: str | None) -> tuple[str, ...]:
    """A right `messages create` with some options changed; None leaves one out."""
    options = {"name": "N", "from": "news@example.com", "subject": "S", "text": "<file:body.txt>"}
    options |= {"audience_list": "everybody"}
    line = [f"--{k.replace('_', '-')}={v}" for k, v in (options | given).items() if v is not None]
    return ("messages", "create", *line, *more)


def edit(*more: str) -> tuple[str, ...]:
    return ("messages", "edit", "<draft>", *more)


def assert_one_sentence(ended: Ended, code: int) -> None:
    assert ended.code == code, ended
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("\n")
    assert "Traceback" not in ended.err
    assert not ended.err.startswith("Error: unexpected")
    assert ended.err.startswith(("Error: ", "{"))
