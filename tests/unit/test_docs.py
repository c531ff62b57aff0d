"""The pages say what the code does: settings, errors, words, verbs and links are held to it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import click
import pytest

from client.cli.app import sendgate
from client.cli.exits import exit_code
from models.commands import ReceiptOutcome
from models.errors import SendgateError
from models.ledger import LaneEnd
from models.message import MessageStatus
from models.recipient import RecipientStatus
from settings import COMMAND_LINE_VARIABLES, PREFIX, Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("activities", "client", "models", "storage", "workflows")
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
)
#: Words with one meaning each; every one has an entry of its own.
WORDS = [
    "batch message",
    "email",
    "contact",
    "audience",
    "recipient",
    "ledger",
    "generation",
    "slot",
    "wall-clock time",
    "throttle",
    "turn",
    "throttle batch",
    "end date",
    "lane",
    "window",
    "claim",
    "settle",
    "give back",
    "hand-over",
    "gate",
    "quiet",
    "in doubt",
    "deferred",
    "receipt",
    "hold",
    "lease",
    "sweep",
    "command",
    "stop",
]

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def first_cells(text: str) -> list[str]:
    """The first cell of every table row."""
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]


def commands_in(text: str) -> Iterator[list[str]]:
    """The words after `sendgate` wherever a command line is shown."""
    for shown in [*_FENCED.findall(text), *re.findall(r"`([^`\n]+)`", text)]:
        for found in re.findall(r"(?:^|[\s/$])sendgate((?: +[^\s`]+)+)", shown):
            yield found.split()


# settings


def default_as_written(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        if seconds % 3600 == 0:
            return f"`{seconds // 3600}h`"
        return f"`{seconds // 60}m`" if seconds % 60 == 0 and seconds > 60 else f"`{seconds}s`"
    return f"`{value}`"


@pytest.mark.parametrize("field", list(Settings.model_fields))
def test_every_setting_is_listed_with_its_default_and_meaning(field: str) -> None:
    described = Settings.model_fields[field]
    row = f"| `{PREFIX}{field.upper()}` | {default_as_written(described.default)} | {described.description} |"
    assert row in page("settings.md").splitlines(), f"docs/settings.md lacks this row:\n{row}"


def test_no_page_names_a_variable_that_does_not_exist() -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields} | COMMAND_LINE_VARIABLES
    for path in PAGES:
        named = set(re.findall(r"\bSENDGATE_[A-Z_]*[A-Z]\b(?!_|…)", path.read_text(encoding="utf-8")))
        assert named <= known | {"SENDGATE_SERVICE", "SENDGATE_PORT"}, path


def test_the_command_lines_variables_are_listed() -> None:
    assert {f"`{name}`" for name in COMMAND_LINE_VARIABLES} <= set(first_cells(page("settings.md")))


# errors


def error_classes() -> dict[str, type[SendgateError]]:
    """Every error of the product, by its code."""
    for package in PACKAGES:
        folder = str(ROOT / package)
        for module in pkgutil.walk_packages([folder], f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found: dict[str, type[SendgateError]] = {}
    waiting: list[type[SendgateError]] = [SendgateError]
    while waiting:
        error = waiting.pop()
        if error.__module__.partition(".")[0] in PACKAGES:
            found.setdefault(error.code, error)
        waiting += error.__subclasses__()
    return found


def codes_given() -> set[str]:
    """Every code that is given where an error is raised or told: `code="at_in_past"`."""
    trees = (ast.parse(file.read_text(encoding="utf-8")) for p in PACKAGES for file in (ROOT / p).rglob("*.py"))
    return {
        str(node.value.value)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str)
    }


def error_table() -> dict[str, str]:
    """Code → exit code, as docs/operations.md has them."""
    rows = (line.split("|") for line in page("operations.md").splitlines() if re.match(r"\| `\w+` \| \d+ \|", line))
    return {row[1].strip(" `"): row[2].strip() for row in rows}


def test_every_error_code_is_in_the_table_and_no_other() -> None:
    classes, given = error_classes(), codes_given()
    assert "invalid_input" in classes
    assert "at_in_past" in given
    assert set(error_table()) == set(classes) | given


def test_the_table_has_the_exit_code_of_every_error() -> None:
    table = error_table()
    for code, error in error_classes().items():
        if error is not SendgateError:
            assert table[code] == str(int(exit_code(error.__new__(error)))), code


# words


@pytest.mark.parametrize("word", WORDS)
def test_every_word_has_its_entry(word: str) -> None:
    assert any(cell.startswith(f"**{word}**") for cell in first_cells(page("glossary.md")))


@pytest.mark.parametrize("kind", [MessageStatus, RecipientStatus, LaneEnd])
def test_every_status_and_reason_has_its_entry(kind: type[StrEnum]) -> None:
    assert {f"`{member}`" for member in kind} <= set(first_cells(page("glossary.md")))


def test_every_outcome_of_a_command_is_explained() -> None:
    assert all(f"**{outcome}**" in page("glossary.md") for outcome in ReceiptOutcome)


# commands


def test_every_verb_is_on_the_page_of_the_command_line() -> None:
    shown = {" ".join(words[:2]) for words in commands_in(page("command-line.md"))}
    for name, command in sendgate.commands.items():
        wanted = [f"{name} {verb}" for verb in command.commands] if isinstance(command, click.Group) else [name]
        for verb in wanted:
            assert any(line == verb or line.startswith(f"{verb} ") for line in shown), verb


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_show_no_verb_that_does_not_exist(path: Path) -> None:
    for verb, *rest in commands_in(path.read_text(encoding="utf-8")):
        if not re.fullmatch(r"[a-z][a-z-]*", verb):
            continue  # an option, or a placeholder
        assert verb in sendgate.commands, f"sendgate {verb}"
        command = sendgate.commands[verb]
        if isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z]+", rest[0]):
            assert rest[0] in command.commands, f"sendgate {verb} {rest[0]}"


def test_the_readme_names_targets_of_make_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"demo", "test", "check"} <= named <= targets


def test_the_readmes_layout_is_the_layout() -> None:
    layout = (ROOT / "README.md").read_text().partition("## Where things are")[2].partition("\n## ")[0]
    paths = {path for cell in first_cells(layout) for path in re.findall(r"`([^`]+)`", cell)}
    assert {f"{package}/" for package in PACKAGES} <= paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


# links


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown page offers, as code hosts make them."""
    headings = _HEADING.findall(_FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(_FENCED.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue  # another site
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.is_relative_to(ROOT), f"{target} leads out of the repository"
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{target}: no such heading"


def test_a_function_of_the_database_is_named_with_the_migration_that_made_it_last() -> None:
    made = re.compile(r"^create (?:or replace )?function (\w+)", re.MULTILINE)
    last = {
        name: file.name
        for file in sorted((ROOT / "storage" / "migrations").glob("*.sql"))
        for name in made.findall(file.read_text(encoding="utf-8"))
    }
    told = re.findall(
        r"`(\w+)` (?:and `\w+` )?in\s+`storage/migrations/(\w+\.sql)`",
        (DOCS / "architecture.md").read_text(encoding="utf-8"),
    )
    assert len(told) >= 5
    assert [(name, last[name]) for name, _ in told] == told
