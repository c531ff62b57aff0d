"""API keys: what a key looks like, the roles, and which role each action needs. Pure."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from models.contact import is_storable, shown
from models.errors import InvalidInput

LONGEST_KEY_NAME = 100  # characters
_PREFIX = "sg_"  # so that a key that was leaked is recognised as one
_SHOWN_CHARACTERS = 8


class Role(StrEnum):
    """What the owner of a key may do; each may also do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Action(StrEnum):
    """What a key is used for."""

    LOOK = "look"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    UNSCHEDULE = "unschedule"
    HOLD = "hold"
    RELEASE = "release"
    SUPPRESS = "suppress"
    ACCEPT = "in-doubt accept"
    RESEND = "in-doubt resend"
    WRITE = "write"
    SEND = "send"
    SEND_TEST = "sendtest"
    EDIT_CONTACTS = "edit contacts"
    UNSUPPRESS = "unsuppress"
    MANAGE_KEYS = "manage keys"


#: An operator stops, and lets go on what somebody else had decided to send; an editor decides what is sent to whom.
_NEEDED: dict[Action, Role] = {
    Action.LOOK: Role.VIEWER,
    Action.PAUSE: Role.OPERATOR,
    Action.RESUME: Role.OPERATOR,
    Action.CANCEL: Role.OPERATOR,
    Action.UNSCHEDULE: Role.OPERATOR,
    Action.HOLD: Role.OPERATOR,
    Action.RELEASE: Role.OPERATOR,
    Action.SUPPRESS: Role.OPERATOR,
    Action.ACCEPT: Role.OPERATOR,
    Action.RESEND: Role.OPERATOR,
    Action.WRITE: Role.EDITOR,
    Action.SEND: Role.EDITOR,
    Action.SEND_TEST: Role.EDITOR,
    Action.EDIT_CONTACTS: Role.EDITOR,
    Action.UNSUPPRESS: Role.EDITOR,
    Action.MANAGE_KEYS: Role.ADMIN,
}


def needed_for(action: Action) -> Role:
    """Return the least role that may do this."""
    return _NEEDED[action]


def may(role: Role, action: Action) -> bool:
    """Whether a key of this role may do this."""
    return role.includes(needed_for(action))


class ApiKey(BaseModel):
    """A key as the doors show it: never the key itself, of which only a hash is kept."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str = Field(description="The actor in the receipts of what was done with it.")
    role: Role
    begins_with: str = Field(description="The first characters of the key, to recognise it by.")
    created_at: datetime
    revoked_at: datetime | None = Field(None, description="From then on it opens nothing.")


class NewApiKey(ApiKey):
    """A key at the one moment at which it can be read."""

    key: str


class Principal(BaseModel):
    """Whoever asks with a good key. `id` 0: the administrator's key of the settings."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    role: Role


def new_key() -> str:
    """Return a new key: 256 random bits, printable, without a character that a shell would read."""
    return _PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> bytes:
    """Return what is kept of a key. A plain SHA-256 will do: nobody guesses 256 random bits, however fast."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def beginning_of(key: str) -> str:
    return key[:_SHOWN_CHARACTERS]


def check_key_name(text: str) -> str:
    """Return the name of a key without the spaces around it. Raises InvalidInput."""
    name = text.strip()
    if not name or not name.isprintable() or not is_storable(name) or len(name) > LONGEST_KEY_NAME:
        raise InvalidInput(
            f"A key's name is one line of 1 to {LONGEST_KEY_NAME} characters, not {shown(name)}.", field="name"
        )
    return name
