"""A CSV of contacts, read line by line: the header, the good rows, and what is wrong with the others.

RFC 4180, with `;` or tab instead of the comma where the header has them. Every line is decoded and checked by itself,
so that a bad one costs nobody else: a quote that is never closed loses its own line and not the rest of the file.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from models.contact import (
    CONTROL_CHARACTERS,
    LONGEST_VALUE,
    RejectedLine,
    address_key,
    check_address,
    check_attribute_name,
    check_attribute_value,
    check_time_zone,
    shown,
)
from models.errors import InvalidInput

MOST_COLUMNS = 200
LONGEST_LINE = 1024 * 1024  # bytes
#: A quoted cell that goes on for longer than any value may (each character of it a doubled quote) was never closed.
_LONGEST_OPEN_CELL = 2 * LONGEST_VALUE

_QUOTED = re.compile(r'"((?:[^"]++|"")*+)"')
_to_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A good row. `line` is where it starts; the header is line 1."""

    line: int
    address: str
    address_key: str
    time_zone: str | None
    attributes: str  # a JSON object of texts


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    problem: str | None = None


class _UnclosedQuote(Exception):
    """A quoted cell goes on behind the end of the text. `args`: the cells before it, and where it starts."""


class ContactCsv:
    """An open file whose header has been read. Iterate it once: good rows and rejected lines, in their order.

    Opening raises InvalidInput with a sentence when the file cannot be read or its header cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        self.bytes_done = 0
        self._lines_read = 0
        self._put_back: deque[_Line] = deque()
        try:
            self._file = Path(path).open("rb")  # noqa: SIM115 — closed by __exit__
        except (OSError, ValueError) as error:
            raise InvalidInput(unreadable(path, error), field="file") from None
        try:
            self.bytes_total = Path(path).stat().st_size
            self._delimiter, self._columns = _read_header(self._next_line())
        except OSError as error:
            self._file.close()
            raise InvalidInput(unreadable(path, error), field="file") from None
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[ContactRow | RejectedLine]:
        """Raises InvalidInput when the file cannot be read any further."""
        try:
            while (line := self._following()) is not None:
                if line.text.strip() or line.problem:
                    yield self._checked(line)
        except OSError as error:
            raise InvalidInput(unreadable(self._file.name, error), field="file") from error

    def _checked(self, line: _Line) -> ContactRow | RejectedLine:
        try:
            return self._row(line.number, self._cells(line))
        except InvalidInput as error:
            return RejectedLine(line=line.number, reason=error.message)

    def _row(self, line: int, cells: list[str]) -> ContactRow:
        columns = self._columns
        if len(cells) != len(columns):
            raise InvalidInput(f"The line has {_cells(len(cells))} and the header {len(columns)}.")
        address, time_zone, attributes = "", None, {}
        for name, cell in zip(columns, cells, strict=True):
            if name == "email":
                address = check_address(cell)
            elif not cell or cell.isspace():
                continue
            elif name == "time_zone":
                time_zone = check_time_zone(cell)
            else:
                attributes[name] = cell if len(cell) <= LONGEST_VALUE else check_attribute_value(name, cell)
        return ContactRow(line, address, address_key(address), time_zone, _to_json(attributes))

    def _cells(self, line: _Line) -> list[str]:
        """Return the cells of the record that starts in this line, reading on where a quoted cell spans lines."""
        if '"' not in line.text:
            if line.problem:
                raise InvalidInput(line.problem)
            return line.text.split(self._delimiter)
        cells: list[str] = []
        text, problem = line.text, line.problem
        spanned: list[_Line] = []
        try:
            while True:
                try:
                    cells += _split(text, self._delimiter, already=len(cells))
                    break
                except _UnclosedQuote as unclosed:
                    before, start = unclosed.args
                following = self._following() if len(text) - start <= _LONGEST_OPEN_CELL else None
                if following is None:
                    raise InvalidInput(f"The quote that opens cell {len(cells) + len(before) + 1} is never closed.")
                spanned.append(following)
                cells += before
                text = f"{text[start:]}\n{following.text}"
                problem = problem or following.problem
        except InvalidInput:
            # The lines that were taken for the rest of a cell are lines of their own.
            self._put_back.extendleft(reversed(spanned))
            raise
        if problem:
            raise InvalidInput(problem)
        return cells

    def _following(self) -> _Line | None:
        return self._put_back.popleft() if self._put_back else self._next_line()

    def _next_line(self) -> _Line | None:
        raw = self._file.readline(LONGEST_LINE)
        self.bytes_done += len(raw)
        if not raw:
            return None
        self._lines_read += 1
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            self._skip_rest_of_line()
            return _Line(self._lines_read, "", f"The line is longer than {LONGEST_LINE:,} bytes.")
        return _decode(self._lines_read, raw.removesuffix(b"\n").removesuffix(b"\r"))

    def _skip_rest_of_line(self) -> None:
        while raw := self._file.readline(LONGEST_LINE):
            self.bytes_done += len(raw)
            if raw.endswith(b"\n"):
                break


def _decode(number: int, raw: bytes) -> _Line:
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        # Still split at its quotes, for they tell where its record ends.
        text = raw.decode(errors="surrogateescape")
        return _Line(number, text, f"Byte {error.start + 1} of the line is not UTF-8 (0x{raw[error.start]:02X}).")
    control = CONTROL_CHARACTERS.search(text)
    if control:
        return _Line(number, text, f"The line holds the control character U+{ord(control[0]):04X}.")
    return _Line(number, text)


def _split(text: str, delimiter: str, already: int = 0) -> list[str]:
    """Return the cells of a record. Raises InvalidInput, or _UnclosedQuote when more text may make it whole."""
    cells: list[str] = []
    position = 0
    while True:
        if text.startswith('"', position):
            quoted = _QUOTED.match(text, position)
            if quoted is None:
                raise _UnclosedQuote(cells, position)
            cell, end = quoted[1].replace('""', '"'), quoted.end()
            if end < len(text) and text[end] != delimiter:
                raise InvalidInput(f"The quotes of cell {already + len(cells) + 1} do not balance.")
        else:
            found = text.find(delimiter, position)
            end = len(text) if found < 0 else found
            cell = text[position:end]
            if cell.count('"') % 2:
                raise InvalidInput(f"The quotes of cell {already + len(cells) + 1} do not balance.")
        cells.append(cell)
        if end == len(text):
            return cells
        position = end + 1


def _read_header(line: _Line | None) -> tuple[str, list[str]]:
    """Return the delimiter and the names of the columns. Raises InvalidInput."""
    if line is None:
        raise InvalidInput("The file is empty.", field="file")
    if "\x00" in line.text:
        raise InvalidInput(
            "The file is not text in UTF-8 (it looks like UTF-16 or a spreadsheet); save it as CSV UTF-8."
        )
    if "\r" in line.text:
        raise InvalidInput("The file's lines end in CR alone; save it with LF or CRLF.", field="file")
    if line.problem:
        raise InvalidInput(f"The header cannot be read: {line.problem}", field="file")
    if not line.text.strip():
        raise InvalidInput("The file has no header: its first line is empty.", field="file")
    readings = {delimiter: _names(line.text, delimiter) for delimiter in ",;\t"}
    for delimiter, columns in readings.items():
        if "email" in columns:
            _check_columns(columns)
            return delimiter, columns
    if not any(readings.values()):
        raise InvalidInput("The header cannot be read: its quotes do not balance.", field="file")
    alike = next((name for names in readings.values() for name in names if name.lower() in _NEARLY_EMAIL), None)
    hint = f"; {shown(alike)} has to be called email" if alike else ""
    raise InvalidInput(f"The header has no column email{hint}.", field="file")


def _names(header: str, delimiter: str) -> list[str]:
    """Return the header's names if it is split so; none if its quotes do not balance then."""
    try:
        return [cell.strip() for cell in _split(header, delimiter)]
    except (InvalidInput, _UnclosedQuote):
        return []


#: Names under which other programs export the address.
_NEARLY_EMAIL = frozenset({"email", "e-mail", "mail", "email address", "email_address", "e-mail address", "address"})


def _check_columns(columns: list[str]) -> None:
    if len(columns) > MOST_COLUMNS:
        raise InvalidInput(f"The header has {len(columns)} columns and {MOST_COLUMNS} are allowed.", field="file")
    for number, name in enumerate(columns, 1):
        if not name:
            raise InvalidInput(f"Column {number} of the header has no name.", field="file")
        if name in columns[: number - 1]:
            raise InvalidInput(f"The header has the column {shown(name)} twice.", field="file")
        try:
            check_attribute_name(name)
        except InvalidInput as error:
            raise InvalidInput(f"Column {number} of the header: {error.message}", field="file") from None


def unreadable(path: object, error: OSError | ValueError) -> str:
    """Return the sentence for a file that cannot be opened or read."""
    name = shown(str(path))
    if isinstance(error, FileNotFoundError):
        return f"There is no file {name}."
    if isinstance(error, IsADirectoryError):
        return f"{name} is a folder, not a file."
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"The file {name} cannot be read: {reason}."


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"
