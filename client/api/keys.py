"""Calls over API keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel

from client.api import examples
from client.api.calls import Call, call
from client.api.door import use_cases
from client.api.shapes import KeyRequest
from client.interface import UseCases
from models.api_keys import Action, ApiKey, NewApiKey

router = APIRouter(route_class=Call, prefix="/v1/keys", tags=["Keys"])
Use = Annotated[UseCases, Depends(use_cases)]


class ApiKeys(BaseModel):
    """Every key that was ever made, oldest first."""

    items: list[ApiKey]


@call(router, "GET", "", needs=Action.MANAGE_KEYS, example=ApiKeys(items=[examples.KEY]))
async def keys(use: Use) -> ApiKeys:
    """List the keys, revoked ones too; of a key itself only the beginning can be told."""
    return ApiKeys(items=await use.keys())


@call(
    router,
    "POST",
    "",
    needs=Action.MANAGE_KEYS,
    status=201,
    example=examples.NEW_KEY,
    problems=(409,),
    keeps_answer=False,
)
async def create_key(use: Use, new: KeyRequest) -> NewApiKey:
    """Make a key. Its answer is the only place where it can be read.

    So that answer is not kept for an `Idempotency-Key`: a repeated call is refused, since the name is in use.
    """
    return await use.create_key(new.name, new.role)


@call(router, "DELETE", "/{key_id:digits}", needs=Action.MANAGE_KEYS, example=examples.KEY, problems=(404,))
async def revoke_key(use: Use, key_id: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> ApiKey:
    """Have a key open nothing from now on. Again is harmless."""
    return await use.revoke_key(key_id)
