"""TCP ports of 127.0.0.1 for the parts of a stack: well-known where they are free, remembered from run to run."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from client.local.stack_file import write_privately
from models.errors import InvalidInput

HOST = "127.0.0.1"
#: What a stack takes when it is the only one. Not 5432: a PostgreSQL of the machine's own may come up there later.
WELL_KNOWN: Mapping[str, int] = {"temporal": 7233, "ui": 8233, "postgres": 55432, "smtp": 2525, "api": 8080}
_STEP = 10  # the second stack's Temporal is at 7243: still recognised by a human
_STEPS = 20


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    # Connecting first: on macOS one may bind beside a server that listens on all addresses.
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger are no hindrance
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Choice:
    """A port for one part. `moved_from` is the remembered port, when somebody else has it now."""

    port: int
    moved_from: int | None = None


class Ports:
    """The ports of one data folder, kept in `ports.json` there."""

    def __init__(self, data: Path, given: Mapping[str, int]) -> None:
        """`given` are the ports that the user asked for. Raises InvalidInput when two of them are the same."""
        self._file = data / "ports.json"
        self._given = dict(given)
        self._taken: dict[str, int] = {}
        for part, port in self._given.items():
            others = [other for other, its in self._given.items() if its == port and other != part]
            if others:
                raise InvalidInput(
                    f"--{part}-port and --{others[0]}-port are both {port}; each part needs one of its own.",
                    field=f"{part}_port",
                )
        self._remembered = self._read()

    def require_given(self) -> None:
        """Raise InvalidInput when a port that was asked for is taken: told before anything is started."""
        for part in self._given:
            self.choose(part)

    def choose(self, part: str) -> Choice:
        """Choose: the port asked for, else the remembered one, else the well-known one, else a free one.

        Raises InvalidInput when the port asked for is taken.
        """
        given = self._given.get(part)
        if given is not None:
            if not is_free(given):
                raise InvalidInput(
                    f"Port {given} (--{part}-port) is taken by another program; give another one, "
                    "or leave the option out for a free one.",
                    field=f"{part}_port",
                )
            return self._take(part, given)
        remembered = self._remembered.get(part)
        if remembered is not None and self._usable(remembered):
            return self._take(part, remembered)
        port = next((port for port in self._candidates(part) if self._usable(port)), None) or free_port()
        return self._take(part, port, moved_from=remembered)

    def remember(self) -> None:
        """Write down what was chosen, so that the next run of this folder takes the same."""
        write_privately(self._file, json.dumps({**self._remembered, **self._taken}, indent=2) + "\n")

    def _take(self, part: str, port: int, moved_from: int | None = None) -> Choice:
        self._taken[part] = port
        return Choice(port, moved_from)

    def _usable(self, port: int) -> bool:
        spoken_for = {*self._given.values(), *self._taken.values()}
        return port not in spoken_for and is_free(port)

    def _candidates(self, part: str) -> Iterator[int]:
        first = WELL_KNOWN[part]
        return iter(range(first, first + _STEP * _STEPS, _STEP))

    def _read(self) -> dict[str, int]:
        """Read the file; one that is missing or damaged means nothing is remembered."""
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        return {part: port for part, port in content.items() if part in WELL_KNOWN and isinstance(port, int)}
