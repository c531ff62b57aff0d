"""One email as bytes on the wire: nothing is declared that it does not need, and its body ends where it ends."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities.ports import Email
from activities.rendering import compile_message
from activities.smtp.wire import envelope_commands, stuffed
from models.message import MessageContent
from models.recipient import ClaimedRecipient, Outcome, Verdict

EVERYTHING = {"pipelining": "", "size": "33554432", "8bitmime": "", "smtputf8": ""}


def commands(email: Email, extensions: dict[str, str]) -> list[bytes]:
    made = envelope_commands(email, extensions)
    assert isinstance(made, list), made
    return made


def failure(email: Email, extensions: dict[str, str]) -> str:
    made = envelope_commands(email, extensions)
    assert isinstance(made, Outcome), made
    assert made.verdict is Verdict.FAILED
    return made.reply or ""


# ------------------------------------------------------------------------------------------------------- the envelope


def test_only_what_the_server_offers_and_the_email_needs_is_declared() -> None:
    plain = Email("news@shop.example", "ola@example.com", b"12345")
    assert commands(plain, {}) == [b"MAIL FROM:<news@shop.example>", b"RCPT TO:<ola@example.com>", b"DATA"]
    assert commands(plain, EVERYTHING)[0] == b"MAIL FROM:<news@shop.example> SIZE=5"


@pytest.mark.parametrize("name", ["Ola", "Åse", "名前", "\U0001f600"])
def test_a_rendered_email_needs_nothing_that_a_server_may_lack(name: str) -> None:
    fields = {
        "name": "News",
        "from_address": "news@shop.example",
        "from_name": name,
        "subject": "Hei {{ contact.name }}",
    }
    message = MessageContent.model_validate(
        {**fields, "text": "Hei {{ contact.name }}", "html": "<p>{{ contact.name }}"}
    )
    email = compile_message("m1", message).render(ClaimedRecipient(7, "ola@example.com", 1, None, {"name": name}))
    assert commands(email, {}) == [b"MAIL FROM:<news@shop.example>", b"RCPT TO:<ola@example.com>", b"DATA"]
    assert commands(email, EVERYTHING)[0] == b"MAIL FROM:<news@shop.example> SIZE=%d" % len(email.content)


@pytest.mark.parametrize(
    ("sender", "recipient", "content"),
    [
        ("news@shop.example", "grüße@example.com", b"To: x\r\n\r\nbody"),
        ("grüße@shop.example", "ola@example.com", b"To: x\r\n\r\nbody"),
        ("news@shop.example", "ola@example.com", "Reply-To: grüße@shop.example\r\n\r\nbody".encode()),
    ],
)
def test_an_address_outside_ascii_needs_smtputf8(sender: str, recipient: str, content: bytes) -> None:
    email = Email(sender, recipient, content)
    mail, rcpt, _ = commands(email, EVERYTHING)
    assert mail.startswith(f"MAIL FROM:<{sender}> ".encode())
    assert b" SMTPUTF8" in mail
    assert (b" BODY=8BITMIME" in mail) == (not content.isascii())
    assert rcpt == f"RCPT TO:<{recipient}>".encode()
    assert "SMTPUTF8" in failure(email, {name: "" for name in EVERYTHING if name != "smtputf8"})


def test_content_outside_ascii_needs_8bitmime() -> None:
    email = Email("news@shop.example", "ola@example.com", "Subject: x\r\n\r\ngrüße".encode())
    assert commands(email, {"8bitmime": ""})[0] == b"MAIL FROM:<news@shop.example> BODY=8BITMIME"
    assert "8BITMIME" in failure(email, {})


@pytest.mark.parametrize(("limit", "fits"), [("5", True), ("4", False), ("0", True), ("", True), ("unknown", True)])
def test_an_email_larger_than_the_server_takes_is_not_offered_to_it(limit: str, fits: bool) -> None:
    email = Email("news@shop.example", "ola@example.com", b"12345")
    if fits:
        assert commands(email, {"size": limit})[0] == b"MAIL FROM:<news@shop.example> SIZE=5"
    else:
        assert "5 bytes" in failure(email, {"size": limit})


@pytest.mark.parametrize(
    "address",
    ["a@b.example> SIZE=1", "a b@c.example", "a@b.example\r\nDATA", "a@b\x00.example", "", "<a@b.example>", '"a@b'],
)
def test_an_address_that_would_break_out_of_its_command_fails(address: str) -> None:
    failure(Email("news@shop.example", address, b""), {})
    failure(Email(address, "ola@example.com", b""), {})


# ----------------------------------------------------------------------------------------------------------- the body


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"", b"\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b".a\r\n..\r\nb.\r\n.", b"..a\r\n...\r\nb.\r\n..\r\n.\r\n"),
        (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r.\rb\r", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"\r\r\n\n\r", b"\r\n\r\n\r\n\r\n.\r\n"),
    ],
)
def test_dots_at_line_starts_are_doubled_and_line_ends_are_crlf(content: bytes, wire: bytes) -> None:
    assert stuffed(content) == wire


def read_by_a_server(wire: bytes) -> tuple[list[bytes], bytes]:
    """Read a body as RFC 5321 section 4.5.2 says, byte by byte; return its lines and what follows the final dot."""
    lines: list[bytes] = []
    line = bytearray()
    for place, byte in enumerate(wire):
        line.append(byte)
        if not line.endswith(b"\r\n"):
            continue
        if line == b".\r\n":
            return lines, wire[place + 1 :]
        lines.append(bytes(line[1:-2] if line.startswith(b".") else line[:-2]))
        line.clear()
    raise AssertionError("the body has no end")


pieces = st.sampled_from([b".", b"..", b"\r", b"\n", b"\r\n", b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"a", b"\x00", b"\xff"])


@given(st.one_of(st.binary(), st.lists(pieces, max_size=40).map(b"".join)))
@example(b"x" * 100_000)
@example((b"." + b"x" * 5000) * 20)
@example(b".")
@example(b"\r\n.")
@example(b"\n.\r\n")
def test_a_server_reads_every_body_as_it_was_meant(content: bytes) -> None:
    wire = stuffed(content)
    lines, rest = read_by_a_server(wire)
    assert rest == b""
    meant = re.split(rb"\r\n|\r|\n", content)
    assert lines == (meant[:-1] if meant[-1] == b"" and len(meant) > 1 else meant)
    # One that takes a bare CR or LF for a line end would find no other end of the body either (no smuggling).
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", wire)


def test_a_body_as_it_should_be_is_only_given_its_final_dot() -> None:
    content = b"From: news@shop.example\r\n\r\n" + b"a line. and\r\n" * 300
    assert stuffed(content) == content + b".\r\n"
