"""Who asks: the API key of a request, by Bearer or Basic, and a limit on wrong ones."""

from __future__ import annotations

import base64
import binascii
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from fastapi import Request

from models.api_keys import Action, Principal, key_hash, may, needed_for
from models.errors import NoKey, NotAllowed, TooManyFailures

#: So many wrong keys from one address within the time; then its wrong keys are not looked at any more for a while.
MOST_FAILURES = 10
WITHIN = timedelta(minutes=1)
_ADDRESSES_KEPT = 10_000
_GOOD_KEYS_KEPT = 10_000


class KnowsKeys(Protocol):
    """Whoever can tell whose key this is; None: nobody's."""

    async def principal_of(self, key: str) -> Principal | None: ...


class Gatekeeper:
    """Lets in whoever shows a good key.

    Wrong keys are limited by the address they come from. A key that was good before passes all the same, so that one
    misled program does not lock out everybody behind the same router.
    """

    def __init__(self, keys: KnowsKeys, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._good: OrderedDict[bytes, None] = OrderedDict()

    async def admit(self, request: Request, action: Action) -> Principal:
        """Return whose key the request has. Raises NoKey, TooManyFailures, or NotAllowed by its role."""
        _refuse_another_site(request)
        key = key_of(request.headers.get("Authorization"))
        if key is None:
            raise NoKey("An API key is needed: Authorization: Bearer KEY, or Basic with the key as user name.")
        principal = await self.principal(key, request.client.host if request.client else "")
        if not may(principal.role, action):
            raise NotAllowed(
                f"The key {principal.name} is of the role {principal.role}; this needs {needed_for(action)}.",
                role=principal.role,
                needed=needed_for(action),
            )
        return principal

    async def principal(self, key: str, address: str) -> Principal:
        """Return whose key this is. Raises NoKey, or TooManyFailures when too many wrong ones came from `address`."""
        digest = key_hash(key)
        if digest not in self._good and (wait := self._seconds_to_wait(address)):
            raise TooManyFailures(
                f"Too many wrong API keys; try again in {wait} s.",
                retry_after_seconds=wait,
            )
        principal = await self._keys.principal_of(key)
        if principal is None:
            self._good.pop(digest, None)
            self._note_failure(address)
            raise NoKey("The API key opens nothing: it is wrong, or was revoked.")
        self._good[digest] = None
        if len(self._good) > _GOOD_KEYS_KEPT:
            self._good.popitem(last=False)
        return principal

    def _seconds_to_wait(self, address: str) -> int:
        failures = self._failures.get(address)
        if failures is None or len(failures) < MOST_FAILURES:
            return 0
        left = failures[0] + WITHIN.total_seconds() - self._clock()
        return int(left) + 1 if left > 0 else 0

    def _note_failure(self, address: str) -> None:
        failures = self._failures.setdefault(address, deque(maxlen=MOST_FAILURES))
        failures.append(self._clock())
        self._failures.move_to_end(address)
        if len(self._failures) > _ADDRESSES_KEPT:
            self._failures.popitem(last=False)


def _refuse_another_site(request: Request) -> None:
    """Raise NotAllowed when a page of another site has the browser ask.

    A browser keeps the user name and password of HTTP Basic, and sends them along whoever's page asks.
    """
    asking = request.headers.get("Sec-Fetch-Site", "none")
    if request.method != "GET" and asking not in ("none", "same-origin"):
        raise NotAllowed("A page of another site may not ask this.", site=asking)


def key_of(authorization: str | None) -> str | None:
    """Return the key of an Authorization header (RFC 6750, RFC 7617); None if it has none that can be read."""
    scheme, _, given = (authorization or "").strip().partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer":
        return given or None
    if scheme.lower() == "basic":
        try:
            user, _, _ = base64.b64decode(given, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user or None
    return None
