"""The real application on a test's own database, spoken to without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from client.api.app import create_app
from client.api.idempotency import Answers
from client.keys import Keys
from models.api_keys import Role
from tests.harness import Harness

ADMIN_KEY = "the-administrators-key"


class Api:
    """The application, and a client for each role. `call` speaks as the administrator unless told otherwise."""

    def __init__(self, harness: Harness, **settings: Any) -> None:
        self.harness = harness
        self.stopping = asyncio.Event()
        self.keys = Keys(harness.pool, ADMIN_KEY)
        self.app = create_app(
            harness.use_cases,
            self.keys,
            Answers(harness.pool),
            harness.settings(**settings),
            stopping=self.stopping,
        )
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://api.test")

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        key: str | None = ADMIN_KEY,
        headers: dict[str, str] | None = None,
        **given: Any,
    ) -> httpx.Response:
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
        return await self._client.request(method, path, headers=headers, **given)

    async def ok(self, method: str, path: str, **given: Any) -> Any:
        """Call, expect success, and return the JSON."""
        response = await self(method, path, **given)
        assert response.is_success, response.text
        return response.json() if response.content else None

    async def refused(self, status: int, method: str, path: str, **given: Any) -> dict[str, Any]:
        """Call, expect the status and the one shape of errors, and return it."""
        response = await self(method, path, **given)
        assert response.status_code == status, response.text
        problem: dict[str, Any] = response.json()
        assert set(problem) == {"code", "message", "details"}
        return problem

    async def key(self, role: Role) -> str:
        """Make a key named for its role, and return it."""
        return (await self.harness.use_cases.create_key(f"the {role}", role)).key

    async def aclose(self) -> None:
        await self._client.aclose()
