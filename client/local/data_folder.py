"""The data folder of a stack: made with narrow rights, and held by one `up` at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client.local.postgres import CannotRun
from models.errors import InvalidInput, Refused

_SUBFOLDERS = ("logs", "mail", "temporal")


@contextmanager
def held_folder(data: Path, *, for_postgres: bool) -> Iterator[None]:
    """Make the folder unless it is there, and hold it; the system lets go when this process ends, however it ends.

    A folder that is there keeps its mode: it may be somebody's. What we put into it is private in itself. Raises
    Refused when another `up` holds it, InvalidInput or CannotRun when it cannot be used.
    """
    try:
        _make(data, for_postgres=for_postgres)
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except (FileExistsError, NotADirectoryError):
        raise InvalidInput(f"{data} is not a folder; name another one with --data.", field="data") from None
    except OSError as error:
        raise CannotRun(f"{data} cannot be used: {error.strerror}; name another folder with --data.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise Refused(
                f"A stack runs in {data} already (process {holder}); stop it first, or name another folder with --data."
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _make(data: Path, *, for_postgres: bool) -> None:
    if not data.exists():
        data.mkdir(parents=True)
        # As root, PostgreSQL's user has to pass to its own folder below; it can list and read nothing here.
        data.chmod(0o711 if for_postgres and os.geteuid() == 0 else 0o700)
    for name in _SUBFOLDERS:
        (data / name).mkdir(mode=0o700, exist_ok=True)
