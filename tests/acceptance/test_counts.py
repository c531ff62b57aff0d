"""The counts add up at every moment of a run: sampled through SQL and through the command line."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from client.cli.app import run
from models.message import Counts, MessageStatus
from models.recipient import RecipientStatus
from models.retry import RetryRule
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.smtp_log_server import SmtpLogServer

RECIPIENTS, JOINERS = 5_000, 500
SAMPLES = 100

#: One statement and so one snapshot: the counts as they are kept, and by counting the rows.
BOTH = """
select counts_of($1) as kept, (select count(*) from recipients where message_id = $1) as total,
       (select coalesce(jsonb_object_agg(status, number), '{}')
          from (select status, count(*) as number from recipients where message_id = $1 group by status) as real)
       as counted
"""


class Samples:
    """What both ways of looking saw, by turns, from now on until `looking` is canceled."""

    def __init__(self, harness: Harness, message_id: str) -> None:
        self._harness = harness
        self._message_id = message_id
        self.by_sql: list[Counts] = []
        self.by_command_line: list[Counts] = []
        self.looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            row = await self._harness.pool.fetchrow(BOTH, self._message_id)
            assert row is not None
            kept = Counts(**row["kept"])
            assert kept == Counts(**row["counted"], total=row["total"])
            self.by_sql.append(kept)
            answer = await asyncio.to_thread(_answer_of, "progress", self._message_id, "--json")
            self.by_command_line.append(Counts(**answer["counts"]))

    async def more(self, number: int) -> None:
        """Wait until it has been looked so many times more."""
        enough = len(self.by_command_line) + number

        def is_enough() -> bool:
            if self.looking.done():
                self.looking.result()  # it has failed: say how, at once
            return len(self.by_command_line) >= enough

        await eventually(is_enough, within=60)


def _answer_of(*arguments: str) -> dict[str, Any]:
    """Run one command line in this thread, as the process `sendgate` would; return its JSON document."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert run(arguments) == 0
    answer = json.loads(printed.getvalue())
    assert isinstance(answer, dict)
    return answer


async def contacts_on_the_list(harness: Harness) -> int:
    number: int = await harness.pool.fetchval(
        "select count(*) from contacts c where exists (select from list_members m where m.contact_id = c.id)"
    )
    return number


def refuse_some(smtp: SmtpLogServer, *, for_good: str, for_now: str) -> None:
    smtp.set(
        refuse=[
            {"at": "rcpt", "pattern": for_good, "reply": "550 5.1.1 no such user"},
            {"at": "dot", "pattern": for_now, "reply": "451 4.7.1 greylisted"},
        ]
    )


async def test_the_counts_add_up_at_every_moment(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no stack here: the command line goes by the environment
    monkeypatch.delenv("SENDGATE_DATA", raising=False)
    monkeypatch.setenv("SENDGATE_DATABASE_URL", harness.database_url)
    monkeypatch.setattr("worker.WINDOW", 16)  # so that more happens between two looks
    await harness.add_contacts(RECIPIENTS)
    message_id = await harness.draft()
    refuse_some(harness.smtp, for_good="7@", for_now="3@")
    harness.smtp.set(delay_ms=15)  # so that the run lasts as long as the looking
    samples = Samples(harness, message_id)
    try:
        async with harness.worker(lanes=4, smtp_connections=8):
            await samples.more(2)  # before it begins
            await harness.send(message_id, retry=RetryRule(first_wait=timedelta(seconds=1)))
            await harness.until_left(1)
            first_total = await contacts_on_the_list(harness)
            await samples.more(SAMPLES // 2)
            await harness.use_cases.pause(message_id, asked_by())
            assert (await harness.counts(message_id)).total == first_total

            await harness.add_contacts(JOINERS, prefix="joiner")
            await harness.pool.execute(
                "delete from list_members where contact_id in (select id from contacts where address ~ '^c[0-9]*00@')"
            )
            await harness.use_cases.suppress([f"c{n}@example.com" for n in range(1, 5_000, 49)], reason="unsubscribed")
            await samples.more(5)
            await harness.use_cases.resume(message_id, asked_by())
            await samples.more(SAMPLES // 2)
            assert await harness.status(message_id) is MessageStatus.SENDING, "the run was over before the looking"
            refuse_some(harness.smtp, for_good="7@", for_now="^nobody$")
            harness.smtp.set(delay_ms=0)
            await harness.until(message_id, MessageStatus.SENT, within=60)
            await samples.more(2)  # after it has ended
    finally:
        samples.looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await samples.looking

    last_total = await harness.pool.fetchval("select count(*) from contacts")
    assert (first_total, last_total) == (RECIPIENTS, RECIPIENTS + JOINERS)
    for seen in (samples.by_sql, samples.by_command_line):
        assert len(seen) >= SAMPLES
        assert all(counts.parts == counts.total for counts in seen)
        totals = [counts.total for counts in seen]
        assert totals == sorted(totals), "the total has shrunk"
        assert set(totals) == {0, first_total, last_total}
        assert len(set(map(str, seen))) > SAMPLES / 2, "hardly anything moved while it was looked at"
        states = {status for status in RecipientStatus if any(counts.of(status) for counts in seen)}
        assert states >= {
            RecipientStatus.PENDING,
            RecipientStatus.CLAIMED,
            RecipientStatus.SENT,
            RecipientStatus.DEFERRED,
            RecipientStatus.BOUNCED,
            RecipientStatus.WITHDRAWN,
            RecipientStatus.SUPPRESSED,
        }
        assert seen[-1].unfinished == 0
    await harness.assert_once_each(message_id)
