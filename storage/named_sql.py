"""Load the named statements of `queries/*.sql`; the SQL lives there, each with a sentence of why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosql

_QUERIES = Path(__file__).with_name("queries")


def load(noun: str) -> Any:
    """Return the statements of `queries/{noun}.sql` as awaitable functions of a connection and named arguments."""
    return aiosql.from_path(_QUERIES / f"{noun}.sql", "asyncpg", mandatory_parameters=False)
