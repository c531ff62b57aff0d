"""Every way a command can fail: its exit code, one line on standard error, nothing beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.commands import ReceiptOutcome
from models.errors import (
    ExclusionNotFinal,
    IllegalTransition,
    InvalidInput,
    NotFound,
    Refused,
    SendgateError,
    Unreachable,
)
from tests.unit.cli_fakes import CommandLine, a_receipt


@pytest.fixture
def sendgate(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


ERRORS = [
    (SendgateError("It failed."), 1),
    (InvalidInput("at is in the past.", field="at", code="at_in_past"), 2),
    (NotFound("There is no message m1."), 4),
    (Refused("Not now."), 3),
    (IllegalTransition("The message is draft.", status="draft", allowed=["send"]), 3),
    (ExclusionNotFinal("m0 is not over."), 3),
    (Unreachable("PostgreSQL does not answer."), 5),
    (RuntimeError("boom\nand more"), 1),
    (EOFError("connection lost"), 1),
    (BrokenPipeError("connection broke"), 1),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_every_error_has_its_exit_code_and_one_line(sendgate: CommandLine, error: Exception, code: int) -> None:
    sendgate.use.failure = error
    assert sendgate("pause", "m1") == code
    assert sendgate.out == ""
    assert sendgate.err.count("\n") == 1
    assert "Traceback" not in sendgate.err
    assert str(error).splitlines()[0] in sendgate.err


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_with_json_an_error_is_one_line_of_json_on_standard_error(
    sendgate: CommandLine, error: Exception, code: int
) -> None:
    sendgate.use.failure = error
    assert sendgate("pause", "m1", "--json") == code
    assert sendgate.out == ""
    assert sendgate.err.count("\n") == 1
    shape = json.loads(sendgate.err)
    assert set(shape) == {"code", "message", "details"}
    if isinstance(error, SendgateError):
        assert shape == {"code": error.code, "message": error.message, "details": error.details}


def test_ctrl_c_is_quiet(sendgate: CommandLine) -> None:
    sendgate.use.failure = KeyboardInterrupt()
    assert sendgate("watch", "m1") == 130
    assert (sendgate.out, sendgate.err) == ("", "")


def test_debug_shows_where_an_unexpected_error_came_from(sendgate: CommandLine) -> None:
    sendgate.use.failure = RuntimeError("boom")
    assert sendgate("pause", "m1", "--debug") == 1
    assert "Traceback" in sendgate.err


def test_a_refusal_by_receipt_is_a_refusal(sendgate: CommandLine) -> None:
    for outcome in (ReceiptOutcome.REFUSED, ReceiptOutcome.SUPERSEDED):
        sendgate.use.receipt = lambda verb, asked, outcome=outcome: a_receipt(  # type: ignore[misc]  # bound early
            verb, asked, outcome=outcome, explanation="A stop came behind it."
        )
        assert sendgate("resume", "m1") == 3
        assert sendgate.err == "Error: A stop came behind it.\n"
        assert sendgate.out == ""


WRONG_USAGE = [
    (("nonsense",), "nonsense"),
    (("pause",), "ID"),
    (("pause", "m1", "--wait", "soon"), "--wait"),
    (("pause", "m1", "--wait", "nan"), "--wait"),
    (("pause", "m1", "--wait", "-1"), "--wait"),
    (("pause", "m1", "--nonsense"), "--nonsense"),
    (("pause", "m1", "\udcff"), "UTF-8"),
    (("send", "m1", "--at", "tomorrow"), "tomorrow"),
    (("send", "m1", "--at", "0001-01-01T00:00+23:59"), "0001-01-01"),
    (("messages", "edit", "m1"), "nothing to change"),
    (("messages", "list", "--status", "flying"), "--status"),
    (("messages", "preview", "m1", "--raw", "--json"), "--raw"),
    (("recipients", "m1", "--csv", "--json"), "--csv"),
    (("suppress",), "ADDRESS"),
    (("contacts", "import", "/nowhere/people.csv"), "/nowhere/people.csv"),
    (("contacts", "import", "/"), "directory"),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG_USAGE, ids=lambda value: str(value)[:40])
def test_wrong_usage_names_what_is_wrong_in_one_line(
    sendgate: CommandLine, arguments: tuple[str, ...], named: str
) -> None:
    assert sendgate(*arguments) == 2
    assert sendgate.opened == 0
    assert sendgate.out == ""
    assert sendgate.err.count("\n") == 1
    assert named in sendgate.err


def test_wrong_usage_says_which_help_to_read(sendgate: CommandLine) -> None:
    sendgate("messages", "show")
    assert sendgate.err == "Error: Missing argument 'ID'; see `sendgate messages show --help`.\n"


@pytest.mark.parametrize("option", ["--html", "--text"])
@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no file"), (b"\xff\xfe", "not UTF-8"), (b"a" * (1024 * 1024 + 1), "1 MiB"), (..., "directory")],
    ids=["missing", "not utf-8", "too large", "directory"],
)
def test_a_body_that_cannot_be_used_names_the_option(
    sendgate: CommandLine, tmp_path: Path, option: str, content: object, said: str
) -> None:
    path = tmp_path / "body"
    if content is ...:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    assert sendgate("messages", "edit", "m1", option, str(path)) == 2
    assert sendgate.opened == 0
    assert sendgate.err.count("\n") == 1
    assert option in sendgate.err
    assert said in sendgate.err


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ('{"city": Oslo}', "line 1, column 10"),
        ("[1]", "object"),
        ('{"age": NaN}', "NaN"),
        ('{"age": {"gte": 1}, "age": {"lt": 5}}', "twice"),
        ("[" * 100_000, "deeply"),
        ('{"age": {"gte": {"lt": 5}}}', "age: not a condition"),
    ],
)
def test_conditions_that_cannot_be_read_name_the_place(sendgate: CommandLine, where: str, said: str) -> None:
    assert sendgate("messages", "edit", "m1", "--where", where) == 2
    assert sendgate.err.count("\n") == 1
    assert "where" in sendgate.err
    assert said in sendgate.err


def test_what_is_printed_cannot_steer_the_terminal(sendgate: CommandLine) -> None:
    sendgate.use.failure = NotFound("no \x1b[2Jmessage\r\n\u202e m1")
    sendgate("messages", "show", "m1")
    assert sendgate.err == "Error: no [2Jmessage m1\n"
