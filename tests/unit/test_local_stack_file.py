"""Where the other commands find the stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.local.stack_file import Stack, data_directory, read_stack, remove_stack, write_stack
from models.errors import InvalidInput, Unreachable


def stack_in(data: Path) -> Stack:
    data.mkdir(parents=True, exist_ok=True)
    stack = Stack(
        data=data,
        pid=1,
        database_url="postgresql://sendgate:secret@127.0.0.1:1/sendgate",
        temporal_address="127.0.0.1:2",
        smtp_host="127.0.0.1",
        smtp_port=3,
    )
    write_stack(stack)
    return stack


def test_the_option_beats_the_variable_and_the_variable_beats_the_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_option, by_variable, here = (stack_in(tmp_path / name) for name in ("a", "b", ".sendgate"))
    variable = {"SENDGATE_DATA": str(tmp_path / "b")}
    assert read_stack(tmp_path / "a", variable) == by_option
    assert read_stack(None, variable) == by_variable
    assert read_stack(None, {}) == here
    assert read_stack(None, {"SENDGATE_DATA": ""}) == here


def test_without_a_stack_here_the_environment_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_stack(None, {}) is None


@pytest.mark.parametrize("by_option", [True, False])
def test_a_named_folder_without_a_stack_never_means_another_system(tmp_path: Path, by_option: bool) -> None:
    environment = {} if by_option else {"SENDGATE_DATA": str(tmp_path)}
    with pytest.raises(Unreachable, match=f"No stack runs in {tmp_path}"):
        read_stack(tmp_path if by_option else None, environment)


def test_the_file_is_private_from_its_first_moment_and_nothing_else_is_left(tmp_path: Path) -> None:
    stack_in(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600


def test_removing_twice_is_harmless(tmp_path: Path) -> None:
    stack_in(tmp_path)
    remove_stack(tmp_path)
    remove_stack(tmp_path)
    with pytest.raises(Unreachable):
        read_stack(tmp_path, {})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"data": "x"}', "\x00"])
def test_a_damaged_file_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    with pytest.raises(InvalidInput, match="is not a stack file"):
        read_stack(tmp_path, {})


def test_a_file_of_a_later_version_is_readable(tmp_path: Path) -> None:
    stack = stack_in(tmp_path)
    path = tmp_path / "stack.json"
    path.write_text(path.read_text().replace("{", '{"api_url": "later",', 1))
    assert read_stack(tmp_path, {}) == stack


def test_the_folder_is_absolute_and_knows_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert data_directory(Path("x"), {}) == tmp_path / "x"
    assert data_directory(None, {"SENDGATE_DATA": "~/y"}) == Path("/somewhere/y")
