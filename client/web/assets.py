"""The style sheet, the script and the icon, at addresses that change with the content: they are kept for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

_FOLDER = Path(__file__).with_name("static")
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A file as it is served."""

    address: str
    kind: str
    content: bytes


def _read(file: Path) -> Asset:
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Asset(f"/assets/{file.stem}.{digest}{file.suffix}", _KINDS[file.suffix], content)


_ASSETS = {file.name: _read(file) for file in sorted(_FOLDER.iterdir()) if file.suffix in _KINDS}
_BY_ADDRESS = {asset.address: asset for asset in _ASSETS.values()}


def address_of(name: str) -> str:
    """Return where a file of `static/` is served."""
    return _ASSETS[name].address


router = APIRouter()


@router.get("/assets/{name}", include_in_schema=False)
async def asset(name: str) -> Response:
    """One file, to everybody: the page on which one signs in needs it, too."""
    found = _BY_ADDRESS.get(f"/assets/{name}")
    if found is None:
        raise HTTPException(404)
    headers = {"Cache-Control": FOR_GOOD, "X-Content-Type-Options": "nosniff"}
    return Response(found.content, media_type=found.kind, headers=headers)
