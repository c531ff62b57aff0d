"""The mail catcher as a process, talked to over a socket, and the reading of its mailbox."""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.local.mail_catcher import Maildir, read_mailbox
from client.local.ports import HOST, free_port, is_free
from models.errors import InvalidInput
from tests.eventually import eventually


class Catching:
    def __init__(self, mailbox: Path) -> None:
        self.mailbox = mailbox
        self.port = free_port()
        self.process = subprocess.Popen(self.command(), stderr=subprocess.PIPE, text=True)

    def command(self) -> list[str]:
        module = [sys.executable, "-m", "client.local.mail_catcher"]
        return [*module, "--host", HOST, "--port", str(self.port), "--maildir", str(self.mailbox)]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catching]:
    catching = Catching(tmp_path_factory.mktemp("catcher") / "mail")
    yield catching
    catching.process.kill()
    catching.process.communicate()


@pytest.fixture
async def catcher(process: Catching) -> Catching:
    await eventually(lambda: not is_free(process.port), within=20)
    for email in list(read_mailbox(process.mailbox)):
        email.path.unlink()
    return process


async def test_it_offers_what_the_hand_over_uses(catcher: Catching) -> None:
    with smtplib.SMTP(HOST, catcher.port) as client:
        client.ehlo()
        assert all(client.has_extn(name) for name in ("pipelining", "smtputf8", "8bitmime"))


async def test_what_was_sent_stands_unchanged_below_who_got_it_and_when(catcher: Catching) -> None:
    content = b"Message-ID: <1@example.org>\r\nSubject: dots\r\n\r\n.\r\n..two\r\n\xc3\xa6\r\n"
    before = datetime.now(UTC)
    with smtplib.SMTP(HOST, catcher.port) as client:
        client.sendmail("a@example.org", ["b@example.org"], content)
    (email,) = read_mailbox(catcher.mailbox)
    assert (email.address, email.message_id) == ("b@example.org", "<1@example.org>")
    assert before <= email.received_at <= datetime.now(UTC)
    to, at, rest = email.path.read_bytes().split(b"\r\n", 2)
    assert to == b"X-Envelope-To: b@example.org"
    assert at == b"X-Received-At: " + email.received_at.isoformat(timespec="microseconds").encode()
    assert rest == content
    assert list((catcher.mailbox / "tmp").iterdir()) == []


async def test_pipelined_commands_are_answered_in_order(catcher: Catching) -> None:
    envelopes = [b"MAIL FROM:<a@b.c>\r\nRCPT TO:<%d@b.c>\r\nDATA\r\n\r\nbody\r\n.\r\n" % number for number in range(3)]
    with (
        socket.create_connection((HOST, catcher.port), timeout=10) as connection,
        connection.makefile("rb") as replies,
    ):
        connection.sendall(b"HELO here\r\n" + b"".join(envelopes) + b"QUIT\r\n")
        codes = [line[:3] for line in replies]
    assert codes == [b"220", b"250", *[b"250", b"250", b"354", b"250"] * 3, b"221"]
    assert [email.address for email in read_mailbox(catcher.mailbox)] == ["0@b.c", "1@b.c", "2@b.c"]


async def test_each_recipient_has_a_copy_and_addresses_may_be_in_any_script(catcher: Catching) -> None:
    with smtplib.SMTP(HOST, catcher.port) as client:
        client.sendmail("a@b.c", ["eins@b.c", "zwei@b.c"], b"\r\nbody\r\n")
        client.sendmail("a@b.c", ["用户@例え.jp"], b"\r\nbody\r\n", mail_options=["SMTPUTF8"])
    assert [email.address for email in read_mailbox(catcher.mailbox)] == ["eins@b.c", "zwei@b.c", "用户@例え.jp"]


async def test_a_client_cannot_forge_who_got_it(catcher: Catching) -> None:
    with smtplib.SMTP(HOST, catcher.port) as client:
        forged = (
            b"X-Envelope-To: x@b.c\r\nX-Received-At: 2001-01-01T00:00:00+00:00\r\nMessage-ID:\r\n <folded@b.c>\r\n\r\n"
        )
        client.sendmail("a@b.c", ["real@b.c"], forged)
    (email,) = read_mailbox(catcher.mailbox)
    assert (email.address, email.message_id) == ("real@b.c", "<folded@b.c>")
    assert email.received_at.year > 2001


@pytest.mark.usefixtures("catcher")
def test_a_taken_port_is_a_sentence(process: Catching) -> None:
    second = subprocess.run(process.command(), capture_output=True, text=True, check=False, timeout=20)
    assert second.returncode == 1
    assert second.stderr.startswith(f"The mail catcher cannot run on {HOST}:{process.port}")
    assert second.stderr.count("\n") == 1


async def test_sigterm_ends_it_quietly_also_with_a_client_connected(tmp_path: Path) -> None:
    catching = Catching(tmp_path / "mail")
    await eventually(lambda: not is_free(catching.port), within=20)
    with smtplib.SMTP(HOST, catching.port):
        catching.process.terminate()
        _, errors = catching.process.communicate(timeout=10)
    assert (catching.process.returncode, errors) == (0, "")
    assert is_free(catching.port)


def test_a_mailbox_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(read_mailbox(tmp_path / "none")) == []


def test_emails_are_read_in_the_order_of_arrival_also_those_a_reader_has_seen(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    instants = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (3, 1, 2, 2)]
    for number, instant in enumerate(instants):
        maildir.deliver(f"{number}@b.c", instant, b"\r\n")
    seen = next((tmp_path / "new").glob("20260101T000001*"))
    seen.rename(tmp_path / "cur" / f"{seen.name}:2,S")
    assert [email.address for email in read_mailbox(tmp_path)] == ["1@b.c", "2@b.c", "3@b.c", "0@b.c"]


def test_headers_longer_than_one_read_are_found(tmp_path: Path) -> None:
    long = b"Received: " + b"x" * 900 + b"\r\n"
    Maildir(tmp_path).deliver("a@b.c", datetime.now(UTC), long * 20 + b"Message-ID: <late@b.c>\r\n\r\nbody")
    assert [email.message_id for email in read_mailbox(tmp_path)] == ["<late@b.c>"]


def test_a_message_id_in_the_body_is_none(tmp_path: Path) -> None:
    Maildir(tmp_path).deliver("a@b.c", datetime.now(UTC), b"Subject: x\r\n\r\nMessage-ID: <body@b.c>\r\n")
    assert [email.message_id for email in read_mailbox(tmp_path)] == [""]


def test_a_file_of_somebody_else_is_a_sentence(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    (maildir.path / "new" / "foreign").write_bytes(b"Subject: x\r\n\r\n")
    with pytest.raises(InvalidInput, match="was not written by the mail catcher"):
        list(read_mailbox(tmp_path))
