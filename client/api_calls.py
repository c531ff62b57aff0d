"""Calls of the API as its client makes them: a request, its errors, and what goes into a path or a body."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from client.api_errors import error_of
from models.contact import id_shown, shown
from models.errors import InvalidInput, NotFound, Unreachable
from storage.contact_csv import unreadable

Answer = TypeVar("Answer")
Item = TypeVar("Item", bound=BaseModel)

MESSAGES = "/v1/batchmessages"
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_CHUNK = 256 * 1024


class ApiCalls:
    """Asks the API. Raises the error that it answers with, and Unreachable when it does not answer, or another does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def _ask(self, read: Callable[[Any], Answer], method: str, path: str, **given: Any) -> Answer:
        """Return what `read` makes of the answer's JSON; whatever it raises, the answer is not one of ours."""
        response = await self._request(method, path, **given)
        try:
            return read(response.json())
        except (ValueError, TypeError, LookupError, AttributeError, InvalidInput) as error:
            raise self._not_ours(response) from error

    async def _do(self, method: str, path: str, **given: Any) -> None:
        """Ask what is answered without a body."""
        response = await self._request(method, path, **given)
        if response.status_code != httpx.codes.NO_CONTENT:
            raise self._not_ours(response)

    def _not_ours(self, response: httpx.Response) -> Unreachable:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return Unreachable(
            f"What answers at {self._client.base_url} is not Sendgate's API, or of another version: status"
            f" {response.status_code} with {shown(kind) if kind else 'nothing'}, which cannot be read as its answer."
        )

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


def items_of(kind: type[Item]) -> Callable[[Any], list[Item]]:
    """Return what reads the items of a list."""
    return lambda answer: [kind.model_validate(item) for item in answer["items"]]


def page_of(kind: type[Item]) -> Callable[[Any], tuple[list[Item], Any]]:
    """Return what reads a page: its items, and what to give as `after` for the next."""
    return lambda answer: (items_of(kind)(answer), answer["next"])


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
