"""Calls of the hold, the kill switch over all messages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from client.api import examples
from client.api.calls import Call, call
from client.api.door import asked_by, use_cases
from client.api.shapes import HoldRequest, Page
from client.interface import UseCases
from models.api_keys import Action
from models.hold import Hold, HoldEntry

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
async def release_hold(
    use: Use, request: Request, reason: Annotated[str, Query(description="Kept in the history.")] = ""
) -> Hold:
    """Take the hold away, and wake what waited, oldest first. Messages that were paused stay paused."""
    return await use.release_hold(asked_by(request, reason))


@call(
    router, "GET", "/history", needs=Action.LOOK, example=Page[HoldEntry, int](items=[examples.HOLD_ENTRY], next=None)
)
async def hold_history(
    use: Use,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    after: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before.")] = None,
) -> Page[HoldEntry, int]:
    """List who put and released the hold, when, why and through what; the latest first."""
    items, following = await use.hold_history(limit=limit, after=after)
    return Page(items=items, next=following)
