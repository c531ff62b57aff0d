"""A form that brings a file along (multipart/form-data, RFC 7578)."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from client.api.bodies import chunks
from client.web.forms import Form, read_form
from models.errors import Unreadable

_KIND = "multipart/form-data"
_MOST_FIELDS = 100
_CHUNK = 1024 * 1024  # bytes


@dataclass(frozen=True)
class Upload:
    """The fields, and the file if one was chosen."""

    form: Form
    path: Path | None


@asynccontextmanager
async def uploaded(request: Request, most: int) -> AsyncIterator[Upload]:
    """Read the form and put its file into one of ours, deleted at the end. Raises Unreadable, TooLarge.

    Memory does not grow with the file. A form without a file may come in the way of all other forms.
    """
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != _KIND:
        yield Upload(await read_form(request), None)
        return
    try:
        parser = MultiPartParser(request.headers, chunks(request, most), max_files=1, max_fields=_MOST_FIELDS)
        data = await parser.parse()
    except (MultiPartException, UnicodeDecodeError, KeyError):
        raise Unreadable("The form cannot be read.") from None
    try:
        fields: dict[str, list[str]] = {}
        file: UploadFile | None = None
        for name, value in data.multi_items():
            if isinstance(value, str):
                fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
            elif value.filename or value.size:
                file = value
        if file is None:
            yield Upload(Form(fields), None)
            return
        with tempfile.NamedTemporaryFile(prefix="sendgate-import-", suffix=".csv") as ours:
            while chunk := await file.read(_CHUNK):
                await asyncio.to_thread(ours.write, chunk)
            await asyncio.to_thread(ours.flush)
            yield Upload(Form(fields), Path(ours.name))
    finally:
        await data.close()
