"""Durations as people write them: `30s`, `15m`, `12h`, `1d`, or ISO 8601 (`PT15M`, `P1D`)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from models.contact import shown

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
    short, iso = _SHORT.fullmatch(written), _ISO.fullmatch(written)
    parts: dict[str, str] = {}
    if short:
        parts = {short[2] or "s": short[1]}
    elif iso:
        parts = {unit: value for unit, value in iso.groupdict().items() if value}
    if parts:
        try:
            return timedelta(seconds=sum(float(value) * _UNITS[unit] for unit, value in parts.items()))
        except OverflowError:
            raise ValueError(f"{shown(text)} is too long for a duration") from None
    raise ValueError(f"{shown(text)} is not a duration; write 30s, 15m, 12h, 1d or PT15M")


def iso_duration(duration: timedelta) -> str:
    """Write a duration of 0 or more as ISO 8601, in hours, minutes and seconds: PT15M, PT24H, PT1.5S."""
    minutes, seconds = divmod(duration, timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    fraction = f".{seconds.microseconds:06d}".rstrip("0").rstrip(".")
    parts = [(f"{hours}H", hours), (f"{minutes}M", minutes), (f"{seconds.seconds}{fraction}S", seconds)]
    return "PT" + ("".join(written for written, number in parts if number) or "0S")


def _interval(value: object) -> object:
    """Read JSON's text, or a number of seconds."""
    if isinstance(value, bool):
        raise ValueError("write it as PT15M or 15m")
    return parse_duration(value) if isinstance(value, str) else value


#: A duration in a document: read as people write it, written as ISO 8601.
Interval = Annotated[
    timedelta, BeforeValidator(_interval), PlainSerializer(iso_duration, return_type=str, when_used="json")
]
