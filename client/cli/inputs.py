"""What is typed behind an option, read and checked before anything is asked of a server."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from pathlib import Path

import click

from client.where import read_where
from models.contact import shown
from models.durations import parse_duration
from models.schedule import parse_time

#: Largest body in bytes; the same limit as `models.content` holds, met before the file is in memory.
_BODY_LIMIT = 1024 * 1024
_LONGEST_WAIT = timedelta(days=1)
#: An IP address or the name of a machine; whether it is one of this machine's is seen when the API listens there.
_HOST = re.compile(r"[0-9A-Za-z._:%-]{1,253}")


class Body(click.ParamType[str]):
    """A file with one part of the message, read as UTF-8 (a byte order mark is dropped). An empty value is ""."""

    name = "file"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value == "":
            return ""
        path = Path(value)
        try:
            with path.open("rb") as file:
                content = file.read(_BODY_LIMIT + 1)
        except FileNotFoundError:
            self.fail(f"there is no file {value}", param, ctx)
        except IsADirectoryError:
            self.fail(f"{value} is a directory, not a file", param, ctx)
        except (OSError, ValueError) as error:
            self.fail(f"{value} cannot be read ({getattr(error, 'strerror', None) or error})", param, ctx)
        if len(content) > _BODY_LIMIT:
            self.fail(f"{value} is larger than 1 MiB", param, ctx)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.fail(f"{value} is not UTF-8 (byte {error.start + 1})", param, ctx)


class Where(click.ParamType[dict[str, object]]):
    """Conditions as a JSON object. An attribute given twice is refused, since only one of them would hold."""

    name = "json"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, object]:
        if isinstance(value, dict):
            return value
        try:
            return read_where(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Whole(click.ParamType[int]):
    """A whole number; its bounds are for the schedule to say."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(str(value))
        except ValueError:
            self.fail(f"{shown(str(value))} is not a whole number", param, ctx)


class WholeFrom(click.IntRange):
    """A whole number within bounds, which the help shows."""

    def __init__(self, least: int, most: int | None = None) -> None:
        super().__init__(least, most)
        self._least, self._most = least, most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = Whole().convert(value, param, ctx)
        if number < self._least or (self._most is not None and number > self._most):
            bounds = f"at least {self._least:,}" if self._most is None else f"from {self._least:,} to {self._most:,}"
            self.fail(f"must be {bounds}", param, ctx)
        return number


class Number(click.ParamType[float]):
    """A number; its bounds are for the schedule to say."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(str(value))
        except ValueError:
            self.fail(f"{shown(str(value))} is not a number", param, ctx)


class Folder(click.ParamType[Path]):
    """A folder, whether it is there already or can be made."""

    name = "folder"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if value == "":
            self.fail("is empty; name a folder", param, ctx)
        try:
            if not path.expanduser().is_dir() and path.expanduser().lstat():
                self.fail(f"{value} is not a folder", param, ctx)
        except FileNotFoundError:
            pass
        except (OSError, RuntimeError) as error:  # RuntimeError: a home directory that nobody has
            self.fail(f"{value} cannot be a folder ({getattr(error, 'strerror', None) or error})", param, ctx)
        return path


class Host(click.ParamType[str]):
    """An address to listen on."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not _HOST.fullmatch(value):
            self.fail(f"{shown(value)} is not an address to listen on, such as 127.0.0.1 or ::1", param, ctx)
        return value


class When(click.ParamType[datetime]):
    """An instant, or a wall-clock time when it has no offset (`models.schedule.parse_time` says how it is written)."""

    name = "when"

    def __init__(self, field: str) -> None:
        self._field = field

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        return parse_time(value, field=self._field)


class Interval(click.ParamType[timedelta]):
    """A length of time with its unit, as `models.durations.parse_duration` reads it."""

    name = "time"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Seconds(click.ParamType[timedelta]):
    """A number of seconds, from `least` to a day."""

    name = "seconds"

    def __init__(self, least: float = 0.0) -> None:
        self._least = least

    def convert(
        self, value: str | float | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            seconds = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        if not math.isfinite(seconds) or not self._least <= seconds <= _LONGEST_WAIT.total_seconds():
            self.fail(f"must be from {self._least:g} to {_LONGEST_WAIT.total_seconds():g} seconds", param, ctx)
        return timedelta(seconds=seconds)
