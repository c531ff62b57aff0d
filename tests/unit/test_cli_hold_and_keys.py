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
    assert sendgate.use.asked == [("release_hold", None)]
    assert sendgate.out == "Released: messages go on.\n"


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
