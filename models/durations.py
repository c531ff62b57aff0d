"""Durations as people write them: `30s`, `15m`, `12h`, `1d`, or ISO 8601 (`PT15M`, `P1D`)."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHORT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
_ISO = re.compile(
    r"P(?:(?P<d>\d+)D)?(?:T(?=\d)(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?", re.ASCII | re.IGNORECASE
)


def parse_duration(text: str) -> timedelta:
    """Read a duration; a bare number is seconds.

    ISO 8601 years, months and weeks are refused: the first two have no fixed length, and nobody needs the third.
    Raises ValueError with a sentence that names what would be right.
    """
    written = text.strip()
    short = _SHORT.fullmatch(written)
    if short:
        return timedelta(seconds=float(short[1]) * _UNITS[short[2] or "s"])
    iso = _ISO.fullmatch(written)
    if iso and any(iso.groupdict().values()):
        parts = {unit: float(value) for unit, value in iso.groupdict().items() if value}
        return timedelta(seconds=sum(value * _UNITS[unit] for unit, value in parts.items()))
    raise ValueError(f"{text!r} is not a duration; write 30s, 15m, 12h, 1d or PT15M")
