"""The application behind a real socket, for what cannot be seen without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from client.serve import listening_on, serving
from tests.api.api import ADMIN_KEY, Api


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Serve on a free port of 127.0.0.1, and yield a client with the administrator's key."""
    with listening_on("127.0.0.1", 0) as listener:
        async with (
            serving(api.app, listener, api.stopping, trusted_proxies=api.app.state.door.settings.trusted_proxies),
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
                headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            ) as client,
        ):
            yield client
