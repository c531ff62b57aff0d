"""What every call is given: the use cases, who may ask, and the answers that are kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastapi import Request

from client.api.access import Gatekeeper
from client.api.idempotency import Answers
from client.interface import AskedBy, UseCases
from client.keys import Keys
from models.api_keys import Principal
from models.errors import InvalidInput
from settings import Settings

SOURCE = "api"
#: What a program of ours may say that it is; anything else is "api".
SOURCE_HEADER = "Sendgate-Source"
SOURCES = (SOURCE, "cli", "runbook")


@dataclass
class Door:
    """Made once by `client.api.app.create_app`, and found by each request."""

    use: UseCases
    keys: Keys
    gatekeeper: Gatekeeper
    answers: Answers
    settings: Settings
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # set: streams end


def door_of(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


def use_cases(request: Request) -> UseCases:
    """Return the use cases; a dependency of calls."""
    return door_of(request).use


def principal_of(request: Request) -> Principal:
    """Return who asks. Every call but the public ones has admitted somebody before its body is read."""
    principal: Principal = request.state.principal
    return principal


def asked_by(request: Request, reason: str = "", command_id: str | None = None) -> AskedBy:
    """Say who asks: the name of the key. Raises InvalidInput when it comes from a source that there is not.

    The id of the command is the one that was given, or comes from the Idempotency-Key: a call that is repeated after
    a crash in its middle asks for the same command again, and acts once.
    """
    given = command_id if command_id is not None else request.state.command_id
    chosen = {} if given is None else {"command_id": given}
    source = request.headers.get(SOURCE_HEADER, SOURCE)
    if source not in SOURCES:
        raise InvalidInput(f"{SOURCE_HEADER} is one of {', '.join(SOURCES)}.", field=SOURCE_HEADER)
    return AskedBy(actor=principal_of(request).name, source=source, reason=reason, **chosen)
