"""Which door a command goes through: options before the environment, and never another system than was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.doors import Api, Place, api_of
from client.local.stack_file import Stack, write_stack
from models.errors import InvalidInput, Unreachable

URL, KEY = "http://api.example:1", "of the environment"
ENVIRONMENT = {"SENDGATE_URL": URL, "SENDGATE_API_KEY": KEY}


def stack_in(data: Path, **changes: str | None) -> Api:
    data.mkdir(exist_ok=True)
    given: dict[str, str | None] = {"api_url": f"http://{data.name}:1", "api_key": f"of {data.name}"}
    stack = Stack(
        data=data,
        pid=1,
        database_url="postgresql://x",
        temporal_address="127.0.0.1:2",
        smtp_host="127.0.0.1",
        smtp_port=3,
        **given | changes,
    )
    write_stack(stack)
    return Api(str(stack.api_url), str(stack.api_key))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_options_go_before_the_environment_and_that_before_the_folder_here(tmp_path: Path) -> None:
    here, named, by_variable = (stack_in(tmp_path / name) for name in (".sendgate", "named", "variable"))
    data = {"SENDGATE_DATA": str(tmp_path / "variable")}
    assert api_of(Place(), {}) == here
    assert api_of(Place(), data) == by_variable
    assert api_of(Place(), ENVIRONMENT | data) == Api(URL, KEY)
    assert api_of(Place(data=tmp_path / "named"), ENVIRONMENT | data) == named
    assert api_of(Place(url="http://other:1"), ENVIRONMENT | data) == Api("http://other:1", KEY)
    assert api_of(Place(url="http://other:1", api_key="mine"), ENVIRONMENT) == Api("http://other:1", "mine")
    assert api_of(Place(api_key="mine"), {}) == Api(here.url, "mine")
    assert api_of(Place(), {"SENDGATE_API_KEY": KEY}) == here, "a key without an address is for another API"
    assert api_of(Place(direct=True), ENVIRONMENT) is None


def test_without_any_api_it_works_directly(tmp_path: Path) -> None:
    assert api_of(Place(), {}) is None
    assert api_of(Place(), {"SENDGATE_URL": ""}) is None
    stack_in(tmp_path / ".sendgate", api_url=None, api_key=None)
    assert api_of(Place(), {}) is None


def test_an_address_needs_a_key_and_a_named_folder_a_stack(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="needs a key"):
        api_of(Place(url=URL), {})
    with pytest.raises(InvalidInput, match="needs a key"):
        api_of(Place(), {"SENDGATE_URL": URL})
    with pytest.raises(Unreachable):
        api_of(Place(data=tmp_path / "nothing"), {})


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        " ",
        "127.0.0.1:8080",
        "ftp://x",
        "http://",
        "http://[",
        "http://x:port",
        "http://x y",
        "http://x\n",
        "x" * 10,
    ],
)
def test_what_is_no_address_is_refused_before_a_key_is_asked_for(wrong: str) -> None:
    with pytest.raises(InvalidInput, match=r"^--url: .* is not the address of an API, such as http://"):
        api_of(Place(url=wrong), {})
    if wrong:
        with pytest.raises(InvalidInput, match=r"^SENDGATE_URL: .* is not the address of an API"):
            api_of(Place(), {"SENDGATE_URL": wrong})


@pytest.mark.parametrize("wrong", ["two\nlines", "ключ", "a\x00b"])
def test_what_can_be_no_key_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="has a character that no key has"):
        api_of(Place(url=URL, api_key=wrong), {})
