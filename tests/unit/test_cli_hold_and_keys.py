"""The verbs of the hold and of keys: what they ask and what they print."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from models.api_keys import Role
from tests.unit.cli_fakes import CommandLine, command_line_in_utc


@pytest.fixture
def sendgate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    yield from command_line_in_utc(capsys, monkeypatch)


def test_a_hold_is_put_with_a_reason_and_only_looked_at_without(sendgate: CommandLine) -> None:
    assert sendgate("hold", "--reason", "incident") == 0
    assert sendgate.use.asked == [("put_hold", "incident")]
    assert sendgate.out == "On hold since 2020-05-04 09:05:12 UTC by anna: incident. In flight: 2.\n"
    assert sendgate("hold", "--json") == 0
    assert sendgate.use.asked[-1] == ("hold", None)
    assert json.loads(sendgate.out)["held"] is True


def test_a_release_says_so(sendgate: CommandLine) -> None:
    assert sendgate("release") == 0
    assert sendgate.use.asked == [("release_hold", "")]
    assert sendgate.out == "Released: messages go on.\n"
    assert sendgate("release", "--reason", "mended") == 0
    assert sendgate.use.asked[-1] == ("release_hold", "mended")


def test_the_history_of_the_hold_says_who_when_why_and_through_what(sendgate: CommandLine) -> None:
    assert sendgate("hold", "--history") == 0
    assert sendgate.use.asked == [("hold_history", (50, None))]
    released, put = (line.split() for line in sendgate.out.splitlines()[1:])
    assert released == ["2020-05-04", "09:05:12", "UTC", "released", "bob", "sql"]
    assert put == ["2020-05-04", "09:05:12", "UTC", "put", "anna", "cli", "incident"]
    assert sendgate("hold", "--history", "--limit", "1", "--after", "5") == 0
    assert sendgate.use.asked[-1] == ("hold_history", (1, 5))
    assert sendgate.out.splitlines()[-1] == "There are more: --after 4"
    assert sendgate("hold", "--history", "--json") == 0
    found = json.loads(sendgate.out)
    assert ([entry["act"] for entry in found["items"]], found["next"]) == (["released", "put"], None)


@pytest.mark.parametrize(
    "wrong", [("--history", "--reason", "x"), ("--limit", "3"), ("--after", "3"), ("--history", "--after", "0")]
)
def test_the_history_changes_nothing_and_its_pages_go_with_it(sendgate: CommandLine, wrong: tuple[str, ...]) -> None:
    assert sendgate("hold", *wrong) == 2
    assert sendgate.use.asked == []


def test_a_new_key_is_all_that_is_printed(sendgate: CommandLine) -> None:
    assert sendgate("keys", "create", "ci", "--role", "editor") == 0
    assert sendgate.use.asked == [("create_key", ("ci", Role.EDITOR))]
    assert sendgate.out == "sg_abcdefgh\n"


def test_keys_are_listed_and_revoked(sendgate: CommandLine) -> None:
    assert sendgate("keys", "list") == 0
    assert "sg_abcde" in sendgate.out
    assert sendgate("keys", "revoke", "3") == 0
    assert sendgate.use.asked[-1] == ("revoke_key", 3)
    assert sendgate.out == "Revoked: ci.\n"


@pytest.mark.parametrize(
    "wrong", [("create", "ci"), ("create", "ci", "--role", "root"), ("revoke", "x"), ("revoke", "0")]
)
def test_wrong_usage_asks_nobody(sendgate: CommandLine, wrong: tuple[str, ...]) -> None:
    assert sendgate("keys", *wrong) == 2
    assert sendgate.use.asked == []
