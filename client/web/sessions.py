"""Who is signed in: a random cookie, the API key it stands for, and the token that every form carries.

The session is kept in the database by hashes; it opens nothing once it is over, signed out, or its key is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from fastapi import Request, Response

from client.api.door import door_of
from client.keys import Keys
from models.api_keys import Principal, key_hash
from models.errors import NotAllowed
from storage import web_sessions
from storage.database import Pool

LIFETIME = timedelta(days=7)
_COOKIE = "sendgate"
_LONGEST_TOKEN = 100  # characters


class Sessions:
    """The sessions of the database."""

    def __init__(self, pool: Pool, keys: Keys) -> None:
        self._pool = pool
        self._keys = keys

    async def open(self, key: str) -> str:
        """Open a session for a key that is known to be good, and return its token."""
        await web_sessions.delete_expired(self._pool)
        token = new_token()
        await web_sessions.insert(self._pool, _hash(token), key_hash(key), LIFETIME)
        return token

    async def principal_of(self, token: str) -> Principal | None:
        """Return who is signed in; None: nobody. The key is asked about each time, so a revocation holds at once."""
        digest = await web_sessions.key_hash_of(self._pool, _hash(token))
        return None if digest is None else await self._keys.principal_of_hash(digest)

    async def close(self, token: str) -> None:
        """End a session; again is harmless."""
        await web_sessions.delete(self._pool, _hash(token))


def new_token() -> str:
    """Return 256 random bits; before somebody signs in they only tie the form to the browser."""
    return secrets.token_urlsafe(32)


def cookie_of(request: Request) -> str | None:
    token = request.cookies.get(_cookie_name(request))
    return token if token and len(token) <= _LONGEST_TOKEN else None


def give_cookie(request: Request, response: Response, token: str) -> None:
    """Set the cookie. It is Lax, not Strict: a link to a message in somebody's mail opens it signed in.

    It is for TLS alone where the page came so, or where that is how everybody is told to come.
    """
    public_url = door_of(request).settings.public_url or ""
    response.set_cookie(
        _cookie_name(request),
        token,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        secure=request.url.scheme == "https" or public_url.startswith("https:"),
        httponly=True,
        samesite="lax",
    )


def _cookie_name(request: Request) -> str:
    """Return the name of the cookie. Browsers keep one jar for all ports of a host, and two stacks run side by side."""
    return _COOKIE if request.url.port is None else f"{_COOKIE}-{request.url.port}"


def csrf_token(token: str) -> str:
    """Return what forms carry: only who knows the cookie can make it, and it does not give the cookie away."""
    return hmac.new(token.encode(), b"forms", hashlib.sha256).hexdigest()


def require_own_form(request: Request, token: str | None, given: str) -> None:
    """Raise NotAllowed unless a form came from a page of ours that was made for this browser."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise NotAllowed("This form was sent by a page of another site; nothing was changed.")
    if token is None or not hmac.compare_digest(csrf_token(token), given.encode("ascii", "replace").decode()):
        raise NotAllowed(
            "This form was not made for this session, so nothing was changed. Load the page again, and send it anew."
        )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
