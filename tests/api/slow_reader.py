"""A reader of a long answer who takes the next piece only when told to: what the application does meanwhile is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI


class SlowReader:
    """`piece` is the next piece of the body; the application goes on only when that is asked for."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._wanted = asyncio.Semaphore(0)

    async def piece(self) -> bytes:
        """Return the next piece; b"" is the end."""
        piece = await self._pieces.get()
        self._wanted.release()
        return piece

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
            return
        self._pieces.put_nowait(message["body"])
        await self._wanted.acquire()


@asynccontextmanager
async def reading(app: FastAPI, path: str, headers: Mapping[str, str]) -> AsyncIterator[SlowReader]:
    """Ask for `path`, by ASGI itself: neither a socket nor a client holds pieces that nobody has asked for."""
    reader, never = SlowReader(), asyncio.Event()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("sendgate.test", 80),
    }
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await never.wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    answering = asyncio.create_task(app(scope, receive, reader.send))
    try:
        yield reader
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


def pages_of_recipients(use: Any, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return what grows by one with every page of recipients that is read from now on."""
    pages: list[None] = []
    recipients_page = use.recipients_page

    async def counted(*given: Any, **named: Any) -> Any:
        pages.append(None)
        return await recipients_page(*given, **named)

    monkeypatch.setattr(use, "recipients_page", counted)
    return pages
