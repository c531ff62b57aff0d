"""One site a test, with the administrator signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness import Harness
from tests.web.site import Site


@pytest.fixture
async def site(harness: Harness) -> AsyncIterator[Site]:
    made = Site(harness)
    await made.sign_in()
    yield made
    await made.aclose()
