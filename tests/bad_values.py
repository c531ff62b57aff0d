"""What people and programs type that no field expects, and how a sentence that refuses it must read."""

from __future__ import annotations

import re

MEBIBYTE = 1024 * 1024

SCRIPT = "<script>alert(1)</script>"
LONG = "x" * 10_240
#: Texts by what is wrong with them. `tests/api` and `tests/web` give every one of them to every field.
TEXTS: dict[str, str] = {
    "empty": "",
    "blank": "   ",
    "a word": "nonsense",
    "markup": SCRIPT,
    "line breaks": "one\r\nBcc: everybody@example.com\n\ntwo",
    "control characters": "bell\x07 and escape\x1b[31m",
    "NUL": "a\x00b",
    "long": LONG,
    "very long": "x" * (MEBIBYTE + 1),
}
#: JSON can write half of a surrogate pair, which is no text; a form cannot.
HALF_A_PAIR = "a\ud800b"

_JARGON = re.compile(
    r"\b(Input should|should be a valid|should have at|Extra inputs|Field required|Value error|unable to parse|"
    r"pydantic|Traceback|Exception|NoneType|None|dict|tuple|str|int|bool|float|dictionary|"
    r"asyncpg|psycopg|UTF8|encoding \"|SQL|constraint|relation|NoneType|JSONDecodeError|"
    r"Expecting (value|property|',')|object has no)\b"
)
_LONGEST = 600  # characters of one sentence


def assert_plain(sentence: str) -> None:
    """One clear sentence: it ends, stays on its line, is short whatever was typed, and speaks no Python and no SQL."""
    assert sentence[:1].isupper() or not sentence[:1].isalpha() or re.match(r"[a-z_]+\b", sentence), sentence
    assert sentence.endswith((".", "?")), sentence
    assert sentence.isprintable(), sentence
    assert len(sentence) <= _LONGEST, sentence
    assert not (found := _JARGON.search(sentence)), (found, sentence)


#: What a CSV of contacts may be that somebody took for one.
BAD_FILES = {
    "empty": b"",
    "no header": b"ada@example.org\nbob@example.org\n",
    "only a header": b"email\n",
    "not UTF-8": "email,city\nada@example.org,Malmö\n".encode("latin-1"),
    "UTF-16": "email\nada@example.org\n".encode("utf-16"),
    "binary": bytes(range(256)) * 40,
    "NUL in the header": b"em\x00ail\nada@example.org\n",
    "NUL in a line": b"email,city\nada@example.org,a\x00b\n",
    "a line of 1 MB": b"email,city\nada@example.org," + b"x" * 1_000_000 + b"\n",
    "1,000 columns": ("email," + ",".join(f"c{n}" for n in range(1_000)) + "\n").encode(),
    "a quote that never ends": b'email,city\n"ada@example.org,Oslo\n' * 5,
}
