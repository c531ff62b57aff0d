"""What tests on the time-skipping server begin with: one server a test, so that each begins at a time of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from temporalio.testing import WorkflowEnvironment

from storage.database import Pool
from tests.smtp_log_server import SmtpLogServer
from tests.workflow.story import Story
from tests.workflow.virtual import VirtualHarness, time_skipping_server


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with time_skipping_server() as environment:
        yield environment


@pytest.fixture
def virtual(pool: Pool, database_url: str, skipping: WorkflowEnvironment, smtp_server: SmtpLogServer) -> VirtualHarness:
    return VirtualHarness(pool, database_url, skipping, smtp_server)


@pytest.fixture
async def story(virtual: VirtualHarness) -> AsyncIterator[Story]:
    async with AsyncExitStack() as workers:
        yield Story(virtual, workers)
