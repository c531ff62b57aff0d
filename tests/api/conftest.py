"""One application a test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.api import Api
from tests.harness import Harness


@pytest.fixture
async def api(harness: Harness) -> AsyncIterator[Api]:
    made = Api(harness)
    yield made
    await made.aclose()
