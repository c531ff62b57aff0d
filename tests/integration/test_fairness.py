"""Many messages share a worker: a small one is not stuck behind a big one."""

from __future__ import annotations

from models.message import MessageStatus
from tests.harness import Harness


async def test_a_small_message_is_done_while_big_ones_go_on(harness: Harness) -> None:
    await harness.add_contacts(6_000)
    await harness.add_contacts(30, list_name="few", prefix="f")
    harness.smtp.set(delay_ms=5)
    async with harness.worker(smtp_connections=8):
        big = [await harness.draft() for _ in range(7)]  # more lanes than one message may have
        for message_id in big:
            await harness.send(message_id)
        await harness.until_left(300)
        small = await harness.draft(lists=("few",))
        await harness.send(small)
        await harness.until(small, MessageStatus.SENT)
        counts = [await harness.counts(message_id) for message_id in big]
        assert all(each.pending > 3_000 for each in counts)
        assert all(each.sent + each.claimed > 0 for each in counts)  # they all take turns
        harness.smtp.set(delay_ms=0)
        for message_id in big:
            await harness.until(message_id, MessageStatus.SENT, within=120)
    assert len(harness.smtp.accepted()) == 7 * 6_000 + 30
