"""The ports of a stack."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from client.local import ports as module
from client.local.ports import HOST, Ports, free_port, is_free
from models.errors import InvalidInput


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def well_known(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Well-known ports that are free on this machine, whatever else runs on it."""
    with ExitStack() as until_all_are_chosen:  # else the same may be given out again
        probes = {part: until_all_are_chosen.enter_context(socket.socket()) for part in module.WELL_KNOWN}
        for probe in probes.values():
            probe.bind((HOST, 0))
        ports = {part: int(probe.getsockname()[1]) for part, probe in probes.items()}
    monkeypatch.setattr(module, "WELL_KNOWN", ports)
    return ports


def test_a_listener_takes_its_port_also_when_it_listens_on_all_addresses(listening: int) -> None:
    assert not is_free(listening)
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free(server.getsockname()[1])
    assert is_free(free_port())


def test_a_lone_stack_has_the_well_known_ports(tmp_path: Path, well_known: dict[str, int]) -> None:
    ports = Ports(tmp_path, {})
    assert {part: ports.choose(part).port for part in well_known} == well_known


def test_beside_another_stack_a_port_of_the_same_look_is_taken(tmp_path: Path, well_known: dict[str, int]) -> None:
    with socket.create_server((HOST, well_known["smtp"])):
        chosen = Ports(tmp_path, {}).choose("smtp")
    assert chosen.port != well_known["smtp"]
    assert (chosen.port - well_known["smtp"]) % 10 == 0
    assert chosen.moved_from is None


def test_a_restart_takes_the_same_ports(tmp_path: Path, well_known: dict[str, int]) -> None:
    with socket.create_server((HOST, well_known["temporal"])):
        first = Ports(tmp_path, {"smtp": free_port()})
        chosen = {part: first.choose(part) for part in well_known}
        first.remember()
    again = Ports(tmp_path, {})
    assert {part: again.choose(part) for part in well_known} == chosen
    assert (tmp_path / "ports.json").stat().st_mode & 0o777 == 0o600


def test_a_remembered_port_that_was_lost_is_told(tmp_path: Path, well_known: dict[str, int], listening: int) -> None:
    (tmp_path / "ports.json").write_text(json.dumps({"smtp": listening}))
    chosen = Ports(tmp_path, {}).choose("smtp")
    assert chosen.moved_from == listening
    assert chosen.port == well_known["smtp"]


def test_no_port_is_given_out_twice(tmp_path: Path, well_known: dict[str, int]) -> None:
    asked_for = well_known["ui"]
    ports = Ports(tmp_path, {"temporal": asked_for})
    assert ports.choose("ui").port != asked_for
    assert ports.choose("temporal").port == asked_for


def test_a_taken_port_that_was_asked_for_is_a_sentence(tmp_path: Path, listening: int) -> None:
    with pytest.raises(InvalidInput, match=rf"Port {listening} \(--postgres-port\) is taken"):
        Ports(tmp_path, {"postgres": listening}).require_given()


def test_one_port_for_two_parts_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="are both 4000"):
        Ports(tmp_path, {"temporal": 4000, "ui": 4000})


@pytest.mark.parametrize("content", ["", "[1]", "null", '{"smtp": "x"}', '{"other": 1}'])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, well_known: dict[str, int], content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    assert Ports(tmp_path, {}).choose("smtp").port == well_known["smtp"]
