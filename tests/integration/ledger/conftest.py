"""A message to many."""

from __future__ import annotations

import pytest

from storage.database import Pool
from tests.integration.ledger.begun import RECIPIENTS, Begun, begin


@pytest.fixture
async def begun(pool: Pool) -> Begun:
    return await begin(pool, RECIPIENTS)
