"""Exim as a next hop: a mail server by other hands than ours, which keeps what it accepts on its queue.

It runs as a user without rights, on a free port of 127.0.0.1, on a folder of its own, and delivers nothing. Debian's
package need not be installed: extracted it does, with two libraries, of which one tells it that the user exists whose
name is compiled into it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from client.local.ports import HOST, free_port
from client.local.postgres import identity_for, temporary_directory

VARIABLE = "TEST_EXIM"
HOW_TO_GET_IT = (
    "Exim is missing, or a library of it; on Debian: apt-get download exim4-daemon-light libidn12 libnss-wrapper &&"
    f" for package in *.deb; do dpkg-deb -x $package exim; done, then set {VARIABLE} to that folder."
)
_READY_WITHIN_SECONDS = 10.0

_CONFIGURATION = """\
primary_hostname = mta.example
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/pid
keep_environment =
local_interfaces = {host}
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
smtp_accept_max = 100
smtp_accept_max_per_connection = 0
message_size_limit = {size_limit}
pipelining_advertise_hosts = {pipelining_hosts}
smtputf8_advertise_hosts = *
queue_only

acl_smtp_rcpt = recipients
acl_smtp_data = contents

begin acl

recipients:
  deny   local_parts = ^refused
         message     = 5.1.1 No such user
  defer  local_parts = ^later
         condition   = ${{if !exists{{{folder}/later}}}}
         message     = 4.2.1 Later
  accept domains     = example.com
  deny   message     = 5.7.1 Not for us

contents:
  accept
"""


@dataclass(frozen=True, slots=True)
class Program:
    """Where Exim is."""

    path: Path
    libraries: Path | None  # of the extracted package; None: it is installed

    def lend(self, folder: Path, uid: int, gid: int) -> tuple[Path, dict[str, str]]:
        """Copy it into the folder, for a user who may not be able to enter its own; return it and its environment.

        The copy is without the set-user-id bit too, with which no library could be lent to it.
        """
        program = folder / "exim4"
        shutil.copyfile(self.path, program)
        program.chmod(0o755)
        if self.libraries is None:
            return program, {}
        libraries, users, groups = folder / "lib", folder / "passwd", folder / "group"
        shutil.copytree(self.libraries, libraries)
        users.write_text(f"Debian-exim:x:{uid}:{gid}::/:/bin/false\n")
        groups.write_text(f"Debian-exim:x:{gid}:\n")
        return program, {
            "LD_LIBRARY_PATH": str(libraries),
            "LD_PRELOAD": str(libraries / "libnss_wrapper.so"),
            "NSS_WRAPPER_PASSWD": str(users),
            "NSS_WRAPPER_GROUP": str(groups),
        }


def find_exim() -> Program | None:
    """Return the program in the folder that the variable names, else on the PATH; None when it is nowhere."""
    if extracted := os.environ.get(VARIABLE):
        folder = Path(extracted).absolute()
        program = folder / "usr/sbin/exim4"
        wrappers = list(folder.glob("usr/lib/**/libnss_wrapper.so"))
        return Program(program, wrappers[0].parent) if wrappers and _loads(program, wrappers[0].parent) else None
    installed = shutil.which("exim4", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    return Program(Path(installed), None) if installed else None


def _loads(program: Path, libraries: Path) -> bool:
    """Whether the libraries that it needs are there."""
    asked = [str(program), "-bV"]
    lent = {"LD_LIBRARY_PATH": str(libraries)}
    # 127 is the loader's; that it finds no user of its name, as yet, is another one.
    return program.exists() and subprocess.run(asked, env=lent, check=False, capture_output=True).returncode != 127


@dataclass(frozen=True, slots=True)
class Queued:
    """One email on Exim's queue."""

    sender: str
    recipients: list[str]
    message: EmailMessage


class Exim:
    """Exim between the start and the end of `running_exim`."""

    host = HOST

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder

    def take_later(self) -> None:
        """Accept from now on those whom it has put off."""
        (self._folder / "later").touch()

    def number_queued(self) -> int:
        """How many emails it holds."""
        return len(self._headers())

    def queued(self) -> list[Queued]:
        return [_read(path) for path in self._headers()]

    def _headers(self) -> list[Path]:
        return sorted((self._folder / "spool/input").glob("*-H"))


def _read(path: Path) -> Queued:
    """Read an email from the two files of Exim's spool (its specification, chapter 56).

    The first file: four lines, options, the tree of those who have it already, the number of recipients and who they
    are, an empty line, and the header, in which each field is preceded by its length and a flag; the second: its own
    name and the body. Lines end with a line feed alone.
    """
    envelope, _, header = path.read_bytes().partition(b"\n\n")
    lines = envelope.split(b"\n")
    sender = lines[2].decode().strip("<>")
    number = next(place for place, line in enumerate(lines) if place > 3 and line.isdigit())
    recipients = [line.decode() for line in lines[number + 1 :]]
    assert len(recipients) == int(lines[number])
    fields = b""
    while header:
        length, flag = int(header[:3]), header[3:4]
        field, header = header[5 : 5 + length], header[5 + length :]
        fields += b"" if flag == b"*" else field  # *: one that Exim has replaced
    _, _, body = path.with_name(path.name[:-1] + "D").read_bytes().partition(b"\n")
    message = message_from_bytes(fields + b"\n" + body, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return Queued(sender, recipients, message)


@contextmanager
def running_exim(program: Program, *, pipelining: bool = True, size_limit: str = "50M") -> Iterator[Exim]:
    """Run Exim until the end of the context; its folder is gone afterwards. `size_limit` as in its configuration."""
    folder = temporary_directory("sendgate-exim-")
    try:
        identity = identity_for(folder / "new")
        uid, gid = (identity.uid, identity.gid) if identity else (os.geteuid(), os.getegid())
        configuration = folder / "exim.conf"
        hosts = "*" if pipelining else ":"
        configuration.write_text(
            _CONFIGURATION.format(folder=folder, host=HOST, size_limit=size_limit, pipelining_hosts=hosts)
        )
        configuration.chmod(0o644)  # Exim reads none that its group may write
        executable, environment = program.lend(folder, uid, gid)
        os.chown(folder, uid, gid)
        port = free_port()
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [str(executable), "-C", str(configuration), "-bdf", "-oX", f"{HOST}.{port}"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                cwd=folder,
                **(identity.arguments if identity else {}),
            )
        try:
            _wait_until_it_listens(process, port, folder)
            yield Exim(folder, port)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"Exim did not start: {(folder / 'said').read_text(errors='replace')}")
