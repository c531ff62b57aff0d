"""Which door a command goes through: the API, or the database and Temporal directly."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from client.interface import UseCases
from client.local.stack_file import read_stack
from models.errors import InvalidInput

URL_VARIABLE = "SENDGATE_URL"
KEY_VARIABLE = "SENDGATE_API_KEY"


@dataclass(frozen=True)
class Place:
    """Where a command is to work, as far as its options say."""

    data: Path | None = None
    url: str | None = None
    api_key: str | None = None
    direct: bool = False


class Api(NamedTuple):
    """An API, and the key to it."""

    url: str
    key: str


def api_of(place: Place, environment: Mapping[str, str] | None = None) -> Api | None:
    """Return the API to ask, or None: work directly.

    What an option names goes before what the environment names: --url; --data, the stack's own API; SENDGATE_URL; the
    stack of SENDGATE_DATA or of this folder. Where there is none of these, the environment's servers are worked on
    directly. Raises InvalidInput when there is an address and no key, Unreachable when a named folder has no stack.
    """
    environment = os.environ if environment is None else environment
    if place.direct:
        return None
    url = place.url or (environment.get(URL_VARIABLE) if place.data is None else None)
    if url:
        key = place.api_key or environment.get(KEY_VARIABLE)
        if not key:
            raise InvalidInput(f"The API at {url} needs a key: --api-key, or {KEY_VARIABLE}.", field="api_key")
        return Api(url, key)
    stack = read_stack(place.data, environment)
    if stack is None or stack.api_url is None or stack.api_key is None:
        return None
    return Api(stack.api_url, place.api_key or stack.api_key)


def open_use_cases(place: Place) -> AbstractAsyncContextManager[UseCases]:
    """Open the use cases through the door that `place` and the environment name."""
    api = api_of(place)
    # Imported here: a command over HTTP need not wait for Temporal's and PostgreSQL's clients to load.
    if api is None:
        from client.direct import open_use_cases as open_direct

        return open_direct(place.data)
    from client.remote import open_remote

    return open_remote(*api)
