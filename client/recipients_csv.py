"""Recipients as CSV (RFC 4180, UTF-8, times in UTC): what every door exports."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

from models.recipient import Recipient

#: With which spreadsheets take a cell for a formula, some after skipping white space (OWASP, "CSV Injection").
_BEGIN_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def header() -> str:
    return _lines([list(Recipient.model_fields)])


def lines(recipients: Iterable[Recipient], *, for_spreadsheet: bool = False) -> str:
    """Return a line for each, in their order.

    `for_spreadsheet`: no cell is a formula there, whatever an address or a server's reply begins with; such a cell
    gets an apostrophe in front. Programs want it without.
    """
    cell = _as_text if for_spreadsheet else _cell
    return _lines([cell(value) for _, value in recipient] for recipient in recipients)


def _lines(rows: Iterable[list[object]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _cell(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _as_text(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_BEGIN_FORMULAS) else _cell(value)
