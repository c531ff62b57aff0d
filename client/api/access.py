"""Who asks: the API key of a request, by Bearer or Basic, and a limit on wrong ones."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
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
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
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
        """Return whose key this is. Raises NoKey, or TooManyFailures when too many wrong ones came from `address`.

        A key that was not good before may be wrong, and counts as that while it is looked at: keys that come at once
        are not looked at at once, beyond what the limit leaves.
        """
        digest = key_hash(key)
        await self._in_turn(digest, address)
        tries, is_known = self._tries_of(address), digest in self._good
        tries.under_way += not is_known
        try:
            principal = await self._keys.principal_of(key)
            if principal is None:
                self._good.pop(digest, None)
                tries.failures.append(self._clock())
            else:
                self._good[digest] = None
        finally:
            tries.under_way -= not is_known
            self._look_again(address, tries)
        if principal is None:
            raise NoKey("The API key opens nothing: it is wrong, or was revoked.")
        if len(self._good) > _GOOD_KEYS_KEPT:
            self._good.popitem(last=False)
        return principal

    async def _in_turn(self, digest: bytes, address: str) -> None:
        """Return once the key may be looked at. Raises TooManyFailures."""
        while digest not in self._good:
            tries = self._tries_of(address)
            if wait := tries.seconds_to_wait(self._clock()):
                raise TooManyFailures(f"Too many wrong API keys; try again in {wait} s.", retry_after_seconds=wait)
            if tries.may_begin(self._clock()):
                return
            await tries.ended.wait()

    def _tries_of(self, address: str) -> _Tries:
        tries = self._tries.setdefault(address, _Tries())
        self._tries.move_to_end(address)
        if len(self._tries) > _ADDRESSES_KEPT:
            self._tries.popitem(last=False)
        return tries

    def _look_again(self, address: str, tries: _Tries) -> None:
        """Have those who wait ask whether it is their turn; and forget an address of which there is nothing to say."""
        tries.ended.set()
        tries.ended = asyncio.Event()
        if not tries.failures and not tries.under_way and self._tries.get(address) is tries:
            del self._tries[address]


@dataclass
class _Tries:
    """Of one address: when its latest wrong keys came, and how many are looked at that may be wrong."""

    failures: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_FAILURES))
    under_way: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # one of them

    def seconds_to_wait(self, now: float) -> int:
        if len(self.failures) < MOST_FAILURES:
            return 0
        left = self.failures[0] + WITHIN.total_seconds() - now
        return int(left) + 1 if left > 0 else 0

    def may_begin(self, now: float) -> bool:
        """Whether one more may be wrong without being one too many."""
        recent = sum(at + WITHIN.total_seconds() > now for at in self.failures)
        return recent + self.under_way < MOST_FAILURES


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
