"""The keys of a local stack: the administrator's of its API, and the one that signs unsubscribe links."""

from __future__ import annotations

import secrets
from pathlib import Path

from client.local.stack_file import write_privately
from models.api_keys import new_key
from settings import Settings

_SECRET_FILE = "secret-key"  # noqa: S105  # the name of a file


def admin_key_of(settings: Settings) -> str:
    """Return the administrator's key: the configured one, or one for this run alone, which `stack.json` tells."""
    return settings.admin_key.get_secret_value() if settings.admin_key else new_key()


def secret_key_of(settings: Settings, data: Path) -> str:
    """Return the key that signs unsubscribe links: the configured one, or the folder's own, made once and kept."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    file = data / _SECRET_FILE
    try:
        kept = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        kept = ""
    if not kept:
        kept = secrets.token_urlsafe(32)
        write_privately(file, kept + "\n")
    return kept
