"""Reading a CSV of contacts: what is a row, what is wrong with a line, which files are refused whole."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contact import RejectedLine
from models.errors import InvalidInput
from storage.contact_csv import LONGEST_LINE, ContactCsv, ContactRow

Read = Callable[[str | bytes], tuple[list[tuple[Any, ...]], dict[int, str]]]


def rows_and_rejections(path: Path) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
    with ContactCsv(path) as source:
        found = list(source)
        assert source.bytes_done == source.bytes_total
    lines = [one.line for one in found]
    assert lines == sorted(set(lines)), "every line once and in order"
    rows = [
        (row.line, row.address, row.time_zone, json.loads(row.attributes))
        for row in found
        if isinstance(row, ContactRow)
    ]
    return rows, {one.line: one.reason for one in found if isinstance(one, RejectedLine)}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_read(content: str | bytes) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
        path = tmp_path / "contacts.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return rows_and_rejections(path)

    return write_and_read


def test_columns_other_than_email_and_time_zone_are_attributes(read: Read) -> None:
    rows, rejected = read(
        "city,email,time_zone,first_name\nOslo, ann@example.com ,Europe/Oslo, Ann \n  ,bob@example.com,,\n"
    )
    assert rows == [
        (2, "ann@example.com", "Europe/Oslo", {"city": "Oslo", "first_name": " Ann "}),
        (3, "bob@example.com", None, {}),
    ]
    assert rejected == {}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_the_usual_dialects_are_read_alike(read: Read, delimiter: str, end: str, start: str, last: bool) -> None:
    lines = ['"email"|note', 'ann@example.com|"a ""b""; c, d\te|f"'.replace("|", "\0", 1), "", "bob@example.com|x"]
    text = start + end.join(line.replace("|", delimiter).replace("\0", delimiter) for line in lines)
    rows, rejected = read(text + (end if last else ""))
    assert rows == [
        (2, "ann@example.com", None, {"note": f'a "b"; c, d\te{delimiter}f'}),
        (4, "bob@example.com", None, {"note": "x"}),
    ]
    assert rejected == {}


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('",;\t\n'), max_size=20),
            min_size=3,
            max_size=3,
        ),
        max_size=8,
    ),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], delimiter: str, end: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(["a", "email", "b", "c"])
    for number, (a, b, c) in enumerate(table):
        writer.writerow([a, f"user{number}@example.com", b, c])
    path = tmp_path_factory.mktemp("csv") / "contacts.csv"
    path.write_bytes(text.getvalue().encode())
    rows, rejected = rows_and_rejections(path)
    assert rejected == {}
    assert [row[1] for row in rows] == [f"user{number}@example.com" for number in range(len(table))]
    assert [row[3] for row in rows] == [
        {name: cell for name, cell in zip("abc", cells, strict=True) if cell and not cell.isspace()} for cells in table
    ]


def test_a_quoted_cell_may_span_lines_and_its_record_starts_where_it_starts(read: Read) -> None:
    rows, rejected = read(
        'email,note\nann@example.com,"one\r\ntwo\n\n""four"""\nbob@example.com,x\nnobody,"a\nb"\neve@example.com,y\n'
    )
    assert [(row[0], row[3]["note"]) for row in rows] == [(2, 'one\ntwo\n\n"four"'), (6, "x"), (9, "y")]
    assert list(rejected) == [7]


@pytest.mark.parametrize(
    "rest",
    [
        "".join(f"user{n}@example.com,x\n" for n in range(500)),  # no quote closes it
        'user0@example.com,"x"\nuser1@example.com,"y"\n',  # the next quote would, and text follows it
        'user0@example.com,x\nuser1@example.com,"y\nz"\n',
        "",
    ],
)
def test_a_quote_that_is_never_closed_costs_its_own_line_alone(read: Read, rest: str) -> None:
    rows, rejected = read('email,note\nann@example.com,"open\n' + rest)
    assert list(rejected) == [2]
    assert "quote" in rejected[2]
    assert [row[1] for row in rows] == [f"user{n}@example.com" for n in range(rest.count("user"))]


def test_many_open_quotes_take_time_in_proportion(read: Read) -> None:
    rows, rejected = read("email,note\n" + ('a@example.com,"x\n' + "b@example.com,y\n" * 200) * 50)
    assert (len(rows), len(rejected)) == (10_000, 50)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ann@example.com,Oslo", "The line has 2 cells and the header 3."),
        ("ann@example.com", "The line has 1 cell and the header 3."),
        ("ann@example.com,UTC,Oslo,more", "The line has 4 cells and the header 3."),
        (",UTC,Oslo", "The address is empty."),
        (",,", "The address is empty."),
        ("ann,UTC,Oslo", "'ann' is not an email address: it has no @."),
        ("ann@example.com,Europe/oslo,Oslo", "'Europe/oslo' is not an IANA time zone; did you mean Europe/Oslo?"),
        ("ann@example.com,UTC," + "x" * 1001, "city has 1,001 characters and 1,000 are allowed."),
        ("ann@example.com,UTC,a\x00b", "The line holds the control character U+0000."),
        ("ann@example.com,UTC,a\x1bb", "The line holds the control character U+001B."),
        ("ann@example.com,UTC,a\rb", "The line holds the control character U+000D."),
        (b"ann@example.com,UTC,Malm\xf6", "Byte 25 of the line is not UTF-8 (0xF6)."),
        (b'ann@example.com,UTC,"Malm\xf6"', "Byte 26 of the line is not UTF-8 (0xF6)."),
        (b"ann@example.com,UTC,\xed\xa0\x80", "Byte 21 of the line is not UTF-8 (0xED)."),
        ('ann@example.com,UTC,"Os"lo', "The quotes of cell 3 do not balance."),
        ('ann@example.com,UTC,Oslo"', "The quotes of cell 3 do not balance."),
        ('ann@example.com,"UTC,Oslo', "The quote that opens cell 2 is never closed."),
        ("x" * (LONGEST_LINE + 10), "The line is longer than 1,048,576 bytes."),
        ("x" * (3 * LONGEST_LINE), "The line is longer than 1,048,576 bytes."),
    ],
)
def test_a_bad_line_is_named_with_its_reason_and_the_others_go_in(read: Read, line: str | bytes, said: str) -> None:
    line = line.encode() if isinstance(line, str) else line
    rows, rejected = read(b"email,time_zone,city\na@example.com,,\n" + line + b"\nb@example.com,,\n")
    assert rejected == {3: said}
    assert [row[:2] for row in rows] == [(2, "a@example.com"), (4, "b@example.com")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty."),
        (b"\n", "no header"),
        (b"\xef\xbb\xbf", "no header"),
        (b"name,city\nann,Oslo\n", "The header has no column email."),
        (b"ann@example.com,Oslo\n", "The header has no column email."),
        (b"Name;E-Mail\n", "'E-Mail' has to be called email."),
        (b"Email\n", "'Email' has to be called email."),
        (b"email,city,city\n", "The header has the column 'city' twice."),
        (b"email,city, email\n", "The header has the column 'email' twice."),
        (b"email,first name\n", "Column 2 of the header: 'first name' cannot be the name"),
        (b"email,__class__\n", "cannot be the name"),
        (b"email,city,\n", "Column 3 of the header has no name."),
        (b"email," + b",".join(b"c%d" % n for n in range(200)), "The header has 201 columns and 200 are allowed."),
        (b'email,"city\n', "quotes do not balance"),
        (b"email,st\xe4dt\n", "Byte 9 of the line is not UTF-8"),
        ("email,city\n".encode("utf-16"), "save it as CSV UTF-8"),
        (b"email,city\rann@example.com,Oslo\r", "end in CR alone"),
        (b"PK\x03\x04\x14\x00", "save it as CSV UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_whole(read: Read, content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(content)
    assert said in refused.value.message
    assert refused.value.message.isprintable()


def test_a_file_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none.csv", "There is no file"),
        (tmp_path, "is a folder"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long."),
        ("a\x00b", "cannot be read"),
        ("/proc/self/mem", "cannot be read"),
    ):
        with pytest.raises(InvalidInput, match=said) as refused:
            ContactCsv(path)
        assert refused.value.message.isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.touch(mode=0o000)
    with pytest.raises(InvalidInput, match="cannot be read: Permission denied"):
        ContactCsv(path)
