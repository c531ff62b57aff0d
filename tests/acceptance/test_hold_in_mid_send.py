"""The hold in mid-send: lanes do not see the windows through that they have claimed, they give them back at once."""

from __future__ import annotations

from pathlib import Path

from tests.eventually import eventually
from tests.harness import Harness

_CONNECTIONS = 2
#: Two lanes have up to 256 emails claimed. Those whose conversation runs leave, and some before the news has arrived.
_MOST_THAT_LEAVE = 40


async def test_what_is_claimed_and_not_begun_is_given_back_at_once(harness: Harness, tmp_path: Path) -> None:
    await harness.prepare_server()
    await harness.add_contacts(400)
    harness.smtp.set(delay_ms=50)
    with harness.worker_process(
        tmp_path / "worker.log", SENDGATE_LANES="2", SENDGATE_SMTP_CONNECTIONS=str(_CONNECTIONS), SENDGATE_LEASE="30s"
    ):
        message_id = await harness.draft()
        await harness.send(message_id)
        await harness.until_left(5)
        await harness.pool.execute("insert into hold (actor, reason) values ('somebody', 'incident')")
        left = len(harness.smtp.accepted())

        async def nothing_is_claimed() -> bool:
            return not await harness.pool.fetchval("select exists (select from claims)")

        await eventually(nothing_is_claimed, within=60)
        assert len(harness.smtp.accepted()) - left <= _MOST_THAT_LEAVE
        assert (await harness.counts(message_id)).sent == len(harness.smtp.accepted())
