"""`/healthz`: this process answers. `/readyz`: so do the servers it needs. Both without a key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from client.api.calls import Call, call
from client.api.door import use_cases
from client.interface import UseCases

router = APIRouter(route_class=Call, tags=["Health"])


class Health(BaseModel):
    """That somebody is there."""

    status: str


@call(router, "GET", "/healthz", needs=None, example=Health(status="ok"))
async def healthz() -> Health:
    """Whether this process answers. It asks nobody else."""
    return Health(status="ok")


@call(router, "GET", "/readyz", needs=None, example=Health(status="ready"))
async def readyz(use: Annotated[UseCases, Depends(use_cases)]) -> Health:
    """Whether calls would be served: PostgreSQL and Temporal answer. 503 names the one that does not."""
    await use.check_servers()
    return Health(status="ready")
