"""The headers of every page: nothing runs or is loaded that is not a file of ours, and nobody frames it."""

from __future__ import annotations

from fastapi import Response

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def secure(response: Response) -> None:
    """Set them, except where the page has set its own."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
