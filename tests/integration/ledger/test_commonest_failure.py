"""Why so many fail is asked of the latest failures, however many there are and however large the message is."""

from __future__ import annotations

from storage.database import Pool
from storage.named_sql import load
from tests.integration.ledger.begun import Begun, begin


async def fail(begun: Begun, share: str) -> None:
    """Let everybody to whom `share` applies bounce one after the other, the first half of them for another reason."""
    await begun.pool.execute(
        "update recipients set status = 'bounced', smtp_code = 550, settled_at = now() + contact_id * interval '1 ms',"
        f" reply = case when contact_id <= 6500 then 'before' else 'now' end where {share}"
    )


async def test_of_many_failures_the_latest_ten_thousand_are_looked_at_and_it_says_so(pool: Pool) -> None:
    begun = await begin(pool, 12_000)
    await fail(begun, "true")
    assert await begun.sending.commonest_failure(begun.id) == "5,500 times 550 now (among the latest 10,000)"


async def test_of_fewer_all_are_looked_at(pool: Pool) -> None:
    begun = await begin(pool, 12_000)
    await fail(begun, "contact_id % 2 = 0")
    assert await begun.sending.commonest_failure(begun.id) == "3,250 times 550 before"


async def test_nobody_who_has_not_failed_is_read(pool: Pool) -> None:
    begun = await begin(pool, 12_000)
    await fail(begun, "contact_id > 11900")
    plan = await pool.fetch(f"explain {load('sending').commonest_failure.sql}", begun.id)
    assert any("recipients_failed" in line[0] for line in plan), plan
