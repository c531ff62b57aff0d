"""The help teaches, and the page in docs/ names every verb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from client.cli.app import SECTIONS, run, sendgate
from client.cli.exits import ExitCode
from client.cli.verb import Verb

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


#: What runs servers instead of asking them; `serve` goes by the settings alone.
_SERVERS = ("sendgate up", "sendgate serve")


def _leaves(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


LEAVES = list(_leaves(sendgate, "sendgate"))


def _help(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run([*arguments, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_verb_is_on_the_page_and_shows_an_example(
    path: str, command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(rf"`?{re.escape(path)}\b", PAGE.read_text())
    shown = _help(capsys, *path.split()[1:])
    assert command.help
    assert isinstance(command, Verb)
    assert f"Examples:\n  {path}" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_every_option_is_on_the_page() -> None:
    page = PAGE.read_text()
    options = {name for _, command in LEAVES for option in command.params for name in option.opts if name[:2] == "--"}
    assert {name for name in options if f"{name}" not in page} == set()


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_verb_takes_the_common_options(path: str, command: click.Command) -> None:
    names = {name for option in command.params for name in option.opts}
    common = {"--json", "--debug"} | ({"--data"} if path != "sendgate serve" else set())
    common |= {"--direct", "--url", "--api-key"} if path not in _SERVERS else set()
    assert common <= names


def test_the_first_help_groups_the_verbs_and_walks_through_a_first_use(capsys: pytest.CaptureFixture[str]) -> None:
    shown = _help(capsys)
    for heading, commands in SECTIONS.items():
        section = shown.split(f"{heading}:\n")[1].split("\n\n")[0]
        assert re.findall(r"^  (\S+)", section, re.M) == [command.name for command in commands]
        assert "..." not in section
    assert "sendgate contacts import" in shown.split("A first use:\n")[1]
    assert max(len(line) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize("arguments", [[], ["contacts"], ["messages"]])
def test_without_a_verb_the_help_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    assert capsys.readouterr().out.startswith("Usage: sendgate")


def test_the_page_lists_every_exit_code() -> None:
    page = PAGE.read_text()
    assert [code for code in ExitCode if f"| {code.value} |" not in page] == []
