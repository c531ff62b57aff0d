"""Recipients as CSV (RFC 4180, UTF-8, times in UTC): what every door exports."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

from models.recipient import Recipient


def header() -> str:
    return _lines([list(Recipient.model_fields)])


def lines(recipients: Iterable[Recipient]) -> str:
    """Return a line for each, in their order."""
    return _lines([_cell(value) for _, value in recipient] for recipient in recipients)


def _lines(rows: Iterable[list[object]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _cell(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
