"""One site a test, with the administrator signed in; and what counts an audience meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from storage import audience
from tests.harness import Harness
from tests.web.site import Site


@pytest.fixture
async def site(harness: Harness) -> AsyncIterator[Site]:
    made = Site(harness)
    await made.sign_in()
    yield made
    await made.aclose()


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of the queries that look at everybody of an audience were asked, in their order."""
    asked: list[str] = []

    async def noting(name: str, count: Any, *given: Any, **named: Any) -> Any:
        asked.append(name)
        return await count(*given, **named)

    for name in ("size", "preview", "zones", "count_lacking"):
        monkeypatch.setattr(audience, name, partial(noting, name, getattr(audience, name)))
    return asked
