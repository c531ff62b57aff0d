"""`Idempotency-Key`: the same key gives the same answer and acts once, also when two ask at the same moment.

Keys are each API key's own, and kept for a day. What counts as the same request is its method, address and body.
While the first call is at work others of its key wait for its answer. When the process dies in its midst, the key is
free again once its lease is over: a command then is the same command (`command_id`), and acts once all the same; a
draft or a contact may have been made already.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from fastapi import Request, Response

from models.api_keys import Principal
from models.errors import InvalidInput, Unreachable
from storage import api_answers
from storage.database import Pool

KEPT_FOR = timedelta(hours=24)
LONGEST_KEY = 255  # characters
_KEY = re.compile("[!-~]+")
_LEASE = timedelta(seconds=30)
_LOOK_AGAIN_AFTER_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 330.0  # a little more than the longest `wait`
_SWEEP_EVERY_SECONDS = 600.0
_KEPT_HEADERS = ("content-type", "location")
#: Answers that say that nothing was begun: the key may be used again, with the mistake corrected.
_NOT_BEGUN = frozenset({400, 401, 403, 413, 422, 429})


class Answers:
    """The answers that are kept, in the database: every process of the API knows them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._swept_at = float("-inf")

    async def once(
        self, principal: Principal, key: str, request_hash: bytes, act: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return the answer that is kept under the key, or else that of `act`, which is kept from now on.

        Raises InvalidInput when the key belongs to another request. What `act` raises is not kept.
        """
        await self._sweep_sometimes()
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        while True:
            if await api_answers.begin(self._pool, principal.id, key, request_hash, lease=_LEASE, kept_for=KEPT_FOR):
                return await self._act(principal, key, act)
            answer = await api_answers.kept(self._pool, principal.id, key)
            if answer is not None and answer.request_hash != request_hash:
                raise InvalidInput(
                    "The Idempotency-Key was used for another request; take a new one for each.",
                    field="Idempotency-Key",
                    code="idempotency_key_reused",
                )
            if answer is not None and answer.status is not None:
                return Response(answer.body, answer.status, {**answer.headers, "Idempotent-Replayed": "true"})
            if time.monotonic() > deadline:
                raise Unreachable("The first request of this Idempotency-Key is still at work; ask again later.")
            await asyncio.sleep(_LOOK_AGAIN_AFTER_SECONDS)

    async def _act(self, principal: Principal, key: str, act: Callable[[], Awaitable[Response]]) -> Response:
        keeping = asyncio.create_task(self._keep_leased(principal, key))
        try:
            response = await act()
        except BaseException:
            await asyncio.shield(api_answers.forget(self._pool, principal.id, key))
            raise
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
        if response.status_code >= 500 or response.status_code in _NOT_BEGUN:
            await api_answers.forget(self._pool, principal.id, key)
        else:
            headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            body = bytes(response.body)
            await api_answers.keep(self._pool, principal.id, key, response.status_code, headers, body)
        return response

    async def _keep_leased(self, principal: Principal, key: str) -> None:
        while True:
            await asyncio.sleep(_LEASE.total_seconds() / 3)
            await api_answers.renew(self._pool, principal.id, key, lease=_LEASE)

    async def _sweep_sometimes(self) -> None:
        if time.monotonic() - self._swept_at > _SWEEP_EVERY_SECONDS:
            self._swept_at = time.monotonic()
            await api_answers.sweep(self._pool, kept_for=KEPT_FOR)


def idempotency_key(request: Request) -> str | None:
    """Return the request's Idempotency-Key, if it is of a kind that takes one. Raises InvalidInput."""
    key = request.headers.get("Idempotency-Key")
    if key is None or request.method not in ("POST", "PUT"):
        return None
    if not _KEY.fullmatch(key) or len(key) > LONGEST_KEY:
        raise InvalidInput(
            f"An Idempotency-Key is 1 to {LONGEST_KEY} letters, digits and signs of ASCII.", field="Idempotency-Key"
        )
    return key


def hash_of(request: Request, body_hash: bytes) -> bytes:
    """Return what makes two requests the same: method, address and body."""
    address = f"{request.method} {request.url.path}?{request.url.query}"
    return hashlib.sha256(address.encode("utf-8", "surrogatepass") + b"\x00" + body_hash).digest()


def command_id_of(principal: Principal, key: str) -> str:
    """Return the id of the command that a request with this key gives."""
    return "ik-" + hashlib.sha256(f"{principal.id}\x00{key}".encode()).hexdigest()[:32]
