"""The next hop of the local stack: takes every email and puts it into a Maildir, one file a recipient.

Run it as `python -m client.local.mail_catcher --port 2525 --maildir DIR`; SIGTERM ends it. `read_mailbox` is the way
back: who got which email, and when.

On delivery two lines are put on top of the email: `X-Envelope-To`, and `X-Received-At`, the instant at which the
final dot was read. Below them stands exactly what the client sent.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session

from models.errors import InvalidInput

_HEADERS_AT_MOST = 256 * 1024  # bytes; a longer header block is not one
_READ_AT_ONCE = 4096  # bytes; nearly every header block fits
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_HEADER = re.compile(rb"^(x-envelope-to|x-received-at|message-id):\s*(.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_FOLD = re.compile(rb"\r?\n[ \t]+")


@dataclass(frozen=True, slots=True)
class CaughtEmail:
    """One email for one recipient, as the mailbox holds it."""

    address: str  # envelope recipient
    message_id: str  # with its angle brackets; empty when the email has none
    received_at: datetime  # UTC: when the final dot was read
    path: Path


def read_mailbox(path: Path) -> Iterator[CaughtEmail]:
    """Yield every email of the Maildir in the order of arrival, reading headers only (about 30 µs an email).

    A mailbox that is not there yet is empty. Raises InvalidInput for a file that no catcher wrote.
    """
    folders = [folder for name in ("new", "cur") if (folder := path / name).is_dir()]
    # Names begin with the time of arrival, so sorting them is enough.
    for name, file in sorted((entry.name, entry.path) for folder in folders for entry in os.scandir(folder)):
        if not name.startswith("."):
            yield _read_headers(Path(file))


def _read_headers(path: Path) -> CaughtEmail:
    with path.open("rb", buffering=0) as file:
        block = file.read(_READ_AT_ONCE)
        while not (end := _END_OF_HEADERS.search(block)) and len(block) < _HEADERS_AT_MOST:
            more = file.read(_HEADERS_AT_MOST)
            if not more:
                break
            block += more
    headers: dict[bytes, str] = {}
    for name, value in _HEADER.findall(_FOLD.sub(b" ", block[: end.start()] if end else block)):
        # The first of a name: below our own two lines a client may have written the same names.
        headers.setdefault(name.lower(), value.decode("utf-8", "replace"))
    try:
        received_at = datetime.fromisoformat(headers[b"x-received-at"])
        return CaughtEmail(headers[b"x-envelope-to"], headers.get(b"message-id", ""), received_at, path)
    except (KeyError, ValueError):
        raise InvalidInput(f"{path} was not written by the mail catcher.") from None


class Maildir:
    """The writing side of a Maildir. Nothing is synced: it is a mailbox for looking, not for keeping."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in ("tmp", "new", "cur"):
            (path / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._numbers = itertools.count()

    def deliver(self, address: str, received_at: datetime, content: bytes) -> None:
        """Write one email; it appears in `new/` whole or not at all. Raises OSError, as on a full disk."""
        # Sortable and unique: two catchers never have the same process id at the same microsecond.
        name = f"{received_at:%Y%m%dT%H%M%S.%f}.P{os.getpid()}Q{next(self._numbers):08d}.sendgate"
        temporary = self.path / "tmp" / name
        headers = f"X-Envelope-To: {address}\r\nX-Received-At: {received_at.isoformat(timespec='microseconds')}\r\n"
        try:
            temporary.write_bytes(headers.encode("utf-8", "surrogateescape") + content)
            temporary.rename(self.path / "new" / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


class Catcher:
    """aiosmtpd's handler: accepts every sender and recipient."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer PIPELINING too: aiosmtpd reads its commands from a stream and can do it, but does not say so."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Deliver to each recipient. Answers 4xx when the mailbox cannot be written: nothing was taken then."""
        received_at = datetime.now(UTC)  # the final dot has just been read
        content = envelope.original_content or b""
        try:
            for address in envelope.rcpt_tos:
                self._maildir.deliver(address, received_at, content)
        except OSError as error:
            return f"452 4.3.1 The mailbox cannot be written: {error.strerror}"
        return "250 2.0.0 Caught"


async def serve(host: str, port: int, maildir: Path) -> None:
    """Take email until SIGTERM or SIGINT. Conversations under way are cut off then. Raises OSError: port taken."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    handler = Catcher(Maildir(maildir))

    def conversation() -> Any:
        # A hostname of our own: aiosmtpd would ask the DNS for one, at every connection.
        return SMTP(handler, hostname="localhost", ident="Sendgate mail catcher", enable_SMTPUTF8=True, loop=loop)

    server = await loop.create_server(conversation, host, port, backlog=256)
    await stopped.wait()
    server.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Take every email and put it into a Maildir.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--maildir", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        uvloop.run(serve(arguments.host, arguments.port, arguments.maildir))
    except OSError as error:
        sys.exit(f"The mail catcher cannot run on {arguments.host}:{arguments.port}: {error.strerror or error}.")


if __name__ == "__main__":
    main()
