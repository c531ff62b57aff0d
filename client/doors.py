"""Which door a command goes through: the API, or the database and Temporal directly."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from client.interface import UseCases
from client.local.stack_file import read_stack
from models.contact import id_shown, shown
from models.errors import InvalidInput

URL_VARIABLE = "SENDGATE_URL"
KEY_VARIABLE = "SENDGATE_API_KEY"
_LONGEST_URL = 2_000  # characters


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
    directly. Raises InvalidInput when address or key can be none, Unreachable when a named folder has no stack.
    """
    environment = os.environ if environment is None else environment
    if place.direct:
        return None
    if place.url is not None:
        return _named(place.url, "--url", place, environment)
    if place.data is None and (url := environment.get(URL_VARIABLE)):
        return _named(url, URL_VARIABLE, place, environment)
    stack = read_stack(place.data, environment)
    if stack is None or stack.api_url is None or stack.api_key is None:
        return None
    return Api(stack.api_url, place.api_key or stack.api_key)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets, or a port that is none
        return False
    return is_one and url.isprintable() and " " not in url and len(url) <= _LONGEST_URL


def _named(url: str, by: str, place: Place, environment: Mapping[str, str]) -> Api:
    if not _is_address(url):
        sentence = f"{by}: {shown(url)} is not the address of an API, such as http://127.0.0.1:8080."
        raise InvalidInput(sentence, field="url")
    key = environment.get(KEY_VARIABLE, "") if place.api_key is None else place.api_key
    if not key.strip():
        raise InvalidInput(f"The API at {id_shown(url)} needs a key: --api-key, or {KEY_VARIABLE}.", field="api_key")
    if not key.isascii() or not key.isprintable():
        raise InvalidInput(
            f"The API key (--api-key, or {KEY_VARIABLE}) has a character that no key has.", field="api_key"
        )
    return Api(url, key)


def open_use_cases(place: Place) -> AbstractAsyncContextManager[UseCases]:
    """Open the use cases through the door that `place` and the environment name."""
    api = api_of(place)
    # Imported here: a command over HTTP need not wait for Temporal's and PostgreSQL's clients to load.
    if api is None:
        from client.direct import open_use_cases as open_direct

        return open_direct(place.data)
    from client.remote import open_remote

    return open_remote(*api)
