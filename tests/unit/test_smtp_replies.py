"""Replies are read whole from a stream, however it is cut."""

from __future__ import annotations

import itertools

import aiosmtplib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.smtp.replies import Reply, ReplyReader

STREAM = (
    b"250 2.1.0 Ok\r\n250-2.1.5 first\r\n250-\r\n250 last\r\n354\r\n550-5.1.1 one\n550 5.1.1 two\n"
    b"250  2.0.0 Ok: \xc3\xa9 \r\n421 \r\n"
)
REPLIES: list[Reply] = [
    (250, b"2.1.0 Ok"),
    (250, b"2.1.5 first\n\nlast"),
    (354, b""),
    (550, b"5.1.1 one\n5.1.1 two"),
    (250, b"2.0.0 Ok: \xc3\xa9"),
    (421, b""),
]


def read(*pieces: bytes) -> list[Reply]:
    reader = ReplyReader()
    replies: list[Reply] = []
    for piece in pieces:
        reader.feed(piece, replies)
    assert not reader.is_amid_reply
    return replies


@given(st.sets(st.integers(0, len(STREAM))))
def test_replies_are_the_same_however_the_stream_is_cut(cuts: set[int]) -> None:
    places = sorted(cuts | {0, len(STREAM)})
    assert read(*(STREAM[a:b] for a, b in itertools.pairwise(places))) == REPLIES


def test_replies_that_come_byte_by_byte_or_all_at_once_are_read() -> None:
    assert read(*(bytes([byte]) for byte in STREAM)) == read(STREAM) == REPLIES


@pytest.mark.parametrize("end", range(1, 13))
def test_a_reply_is_not_taken_before_its_end(end: int) -> None:
    reader = ReplyReader()
    replies: list[Reply] = []
    reader.feed(b"250-a\r\n250 b\r\n"[:end], replies)
    assert replies == []
    assert reader.is_amid_reply


@pytest.mark.parametrize(
    "line", [b"", b"Ok", b"2x0 Ok", b"2500 Ok", b"-50 Ok", b"250_Ok", b"HTTP/1.1 400", b"\xff\xfe"]
)
def test_what_is_no_reply_is_an_error_and_those_before_it_are_kept(line: bytes) -> None:
    replies: list[Reply] = []
    with pytest.raises(aiosmtplib.SMTPException, match="cannot be understood"):
        ReplyReader().feed(b"250 Ok\r\n" + line + b"\r\n354 Go on\r\n", replies)
    assert replies == [(250, b"Ok")]


@pytest.mark.parametrize("piece", [b"x" * 1000, b"250-" + b"x" * 70 + b"\r\n"], ids=["one line", "many lines"])
def test_a_reply_without_end_is_an_error_long_before_it_fills_the_memory(piece: bytes) -> None:
    reader = ReplyReader()
    reader.feed(b"250-", [])

    def feed_without_end() -> None:
        for _ in range(0, 100_000, len(piece)):
            reader.feed(piece, [])

    with pytest.raises(aiosmtplib.SMTPException, match="longer than 65536"):
        feed_without_end()


def test_a_long_reply_is_read() -> None:
    lines = [b"line %d" % number for number in range(4_000)]  # 52 KB
    (reply,) = read(b"".join(b"250-%s\r\n" % line for line in lines) + b"250 end\r\n")
    assert reply == (250, b"\n".join([*lines, b"end"]))
