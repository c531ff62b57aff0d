"""Calls of the hold, the kill switch over all messages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from client.api import examples
from client.api.calls import Call, call
from client.api.door import asked_by, use_cases
from client.api.shapes import HoldRequest
from client.interface import UseCases
from models.api_keys import Action
from models.hold import Hold

router = APIRouter(route_class=Call, prefix="/v1/hold", tags=["Hold"])
Use = Annotated[UseCases, Depends(use_cases)]


@call(router, "GET", "", needs=Action.LOOK, example=examples.RELEASED)
async def hold(use: Use) -> Hold:
    """Whether the hold is on, and if so by whom, why and since when."""
    return await use.hold()


@call(router, "PUT", "", needs=Action.HOLD, example=examples.HELD)
async def put_hold(use: Use, request: Request, why: HoldRequest) -> Hold:
    """Let nothing begin and nothing more be claimed, in any message. A hold that is on already is kept as it is.

    When it answers no claim is under way; `in_flight` counts what was claimed before and may still leave.
    """
    return await use.put_hold(asked_by(request, why.reason))


@call(router, "DELETE", "", needs=Action.RELEASE, example=examples.RELEASED)
async def release_hold(use: Use, request: Request) -> Hold:
    """Take the hold away, and wake what waited, oldest first. Messages that were paused stay paused."""
    return await use.release_hold(asked_by(request))
