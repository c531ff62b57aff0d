"""Where one signs in, and where one goes from there. Never to another site, whatever a link says."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request

SIGN_IN = "/sign-in"
HOME = "/messages"


def sign_in_path(request: Request) -> str:
    """Return the address at which one signs in to come back to what was asked for."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return SIGN_IN if here in ("/", HOME) else f"{SIGN_IN}?{urlencode({'next': here})}"


def safe_next(path: str) -> str:
    """Return the path of this site that a link names, or the first page for anything else."""
    is_ours = path.startswith("/") and path.isprintable() and not path.startswith("//") and "\\" not in path
    return path if is_ours else HOME
