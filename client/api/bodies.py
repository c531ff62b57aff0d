"""The body of a request: read up to a limit, or put into a file where it may be large."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from client.strict_json import read_json
from models.errors import TooLarge, Unreadable

#: Bytes of a JSON body: two texts of 1 MiB, in the longest spelling that JSON has for them, and something around.
LARGEST_BODY = 16 * 1024 * 1024


@dataclass(frozen=True)
class Spooled:
    """A body in a file, and its SHA-256."""

    path: Path
    digest: bytes


async def read_body(request: Request, most: int = LARGEST_BODY) -> bytes:
    """Read the body; the request has it from then on. Raises TooLarge, having read no more than that."""
    body = bytearray()
    async for chunk in chunks(request, most):
        body += chunk
    request._body = bytes(body)  # where Starlette keeps a body that has been read
    return request._body


def keep_json(request: Request, body: bytes) -> None:
    """Read a body as JSON in UTF-8; the request has what it says from then on. Raises Unreadable."""
    try:
        request._json = read_json(body.decode("utf-8-sig"))  # where Starlette keeps a JSON that has been read
    except UnicodeDecodeError as error:
        raise Unreadable(f"The body cannot be read: not UTF-8 (byte {error.start + 1:,}).") from None
    except ValueError as error:
        raise Unreadable(f"The body cannot be read: {error}.") from None


@asynccontextmanager
async def spooled(request: Request, most: int) -> AsyncIterator[Spooled]:
    """Put the body into a file of its own, deleted at the end: memory does not grow with it. Raises TooLarge."""
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(prefix="sendgate-import-", suffix=".csv") as file:
        async for chunk in chunks(request, most):
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)
        yield Spooled(Path(file.name), digest.digest())


async def chunks(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """Yield the body as it comes. Raises TooLarge, having read no more than that."""
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise _too_large(most)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        yield chunk


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {most:,} bytes that this call takes.", largest_bytes=most)
