"""Calls of the API as its client makes them: a request, its errors, and what goes into a path or a body."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from client.api_errors import error_of
from models.contact import id_shown
from models.errors import InvalidInput, NotFound, Unreachable
from storage.contact_csv import unreadable

Item = TypeVar("Item", bound=BaseModel)

MESSAGES = "/v1/batchmessages"
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_CHUNK = 256 * 1024


class ApiCalls:
    """Asks the API. Raises the error that it answers with, and Unreachable when it does not answer."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        response = await self._request(method, path, **given)
        return response.json() if response.content else None

    async def _request(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            response = await self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            why = str(error).rstrip(".") or type(error).__name__
            raise Unreachable(f"The API does not answer at {self._client.base_url}: {why}.") from error
        if not response.is_success:
            raise error_of(response.status_code, response.content, str(self._client.base_url))
        return response


def at(message_id: str, rest: str = "") -> str:
    """Return the address of a message. Raises NotFound: what cannot be an id would be read as another address."""
    if not _MESSAGE_ID.fullmatch(message_id):
        raise NotFound(f"There is no message {id_shown(message_id)}.", id=message_id)
    return f"{MESSAGES}/{message_id}{rest}"


def quoted(text: str) -> str:
    return quote(text, safe="")


def items_of(kind: type[Item], page: Mapping[str, Any]) -> list[Item]:
    return [kind.model_validate(item) for item in page["items"]]


async def pieces_of(path: Path, on_progress: Callable[[int, int], None] | None) -> AsyncIterator[bytes]:
    """Yield a file in pieces. Raises InvalidInput when it cannot be read."""
    try:
        with path.open("rb") as file:
            total, done = os.fstat(file.fileno()).st_size, 0
            while piece := file.read(_CHUNK):
                yield piece
                done += len(piece)
                if on_progress:
                    on_progress(done, total)
    except OSError as error:
        raise InvalidInput(unreadable(path, error), field="file") from error
