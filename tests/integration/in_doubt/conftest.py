"""A message that is sending, without a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.commands import Verb
from storage.ledger import Ledger
from storage.sending import Sending
from tests.harness import Harness
from tests.integration.in_doubt.begun import Begun, command


@pytest.fixture
async def begun(harness: Harness) -> Begun:
    """Three recipients."""
    await harness.add_contacts(3)
    message_id = await harness.draft()
    await harness.send(message_id)
    sending = Sending(harness.pool, max_late=timedelta(hours=12))
    await sending.adopt(message_id, 1)
    await sending.begin(message_id, 1, as_of=datetime.now(UTC), late=command(Verb.PAUSE))
    return Begun(harness, message_id, Ledger(harness.pool), sending)
