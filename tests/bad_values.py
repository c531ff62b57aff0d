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
