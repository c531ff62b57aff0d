"""Unsubscribe links (RFC 8058): a token for each recipient that says who it is for and that nobody else can make.

The token holds ids and no address, so a link that is forwarded or logged names nobody. It is good for ever: an email
is read years later, too.

Previews and test emails are seen by others than their recipient: their links look the same, and act on nobody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from functools import partial

_MAC_BYTES = 16  # 128 bits: to guess one is hopeless, and the link stays short
_ID_BYTES = 8
PATH = "/unsubscribe/"
_ACTS, _SHOWS = b"unsubscribe", b"preview"  # what a token is signed for


def unsubscribe_url(
    public_url: str, secret_key: str, message_id: str, contact_id: int, *, preview: bool = False
) -> str:
    """Return the link of one recipient; `public_url` is where the API is reached from outside."""
    return public_url.rstrip("/") + PATH + make_token(secret_key, message_id, contact_id, preview=preview)


def links_of(
    message_id: str, public_url: str | None, secret_key: str | None, *, preview: bool = False
) -> Callable[[int], str] | None:
    """Return contact id → link for the emails of a message; None unless there is an address and a key.

    With `preview`, for emails that others than the recipient see: links of the same length that act on nobody.
    """
    if not (public_url and secret_key):
        return None
    return partial(unsubscribe_url, public_url, secret_key, message_id, preview=preview)


def missing_settings(public_url: str | None, secret_key: str | None) -> list[str]:
    """Return the names of the settings without which there are no links."""
    given = {"SENDGATE_PUBLIC_URL": public_url, "SENDGATE_SECRET_KEY": secret_key}
    return [name for name, value in given.items() if not value]


def make_token(secret_key: str, message_id: str, contact_id: int, *, preview: bool = False) -> str:
    """Return the token of one recipient of one message, in letters, digits, `-` and `_`; or the one of its preview."""
    content = contact_id.to_bytes(_ID_BYTES, "big") + message_id.encode()
    mac = _mac(secret_key, content, _SHOWS if preview else _ACTS)
    return base64.urlsafe_b64encode(mac + content).rstrip(b"=").decode()


def read_token(secret_key: str, token: str) -> tuple[str, int] | None:
    """Return the message id and contact id of a token; None if it was not made with this key, or for a preview."""
    return _read(secret_key, token, _ACTS)


def is_of_preview(secret_key: str, token: str) -> bool:
    """Whether this is the token of a preview or a test email, made with this key."""
    return _read(secret_key, token, _SHOWS) is not None


def _read(secret_key: str, token: str, purpose: bytes) -> tuple[str, int] | None:
    try:
        given = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, content = given[:_MAC_BYTES], given[_MAC_BYTES:]
    if len(content) <= _ID_BYTES or not hmac.compare_digest(mac, _mac(secret_key, content, purpose)):
        return None
    return content[_ID_BYTES:].decode(), int.from_bytes(content[:_ID_BYTES], "big")


def _mac(secret_key: str, content: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret_key.encode(), purpose + b"\x00" + content, hashlib.sha256)[:_MAC_BYTES]
