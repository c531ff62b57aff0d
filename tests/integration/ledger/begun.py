"""A message that is sending, on PostgreSQL alone: what moves is moved by the test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from models.audience import Audience
from models.commands import Command, Verb
from models.ledger import BeginOutcome, LaneEnd
from models.message import Counts, MessageContent
from models.recipient import ClaimedRecipient, Outcome, Place, Verdict
from models.schedule import Schedule
from storage import messages
from storage.database import Pool
from storage.ledger import Ledger
from storage.sending import Sending

LEASE = timedelta(seconds=30)
OVER = timedelta(milliseconds=1)
RECIPIENTS = 500


def command(verb: Verb, command_id: str | None = None) -> Command:
    return Command(
        command_id=command_id or str(uuid4()), verb=verb, actor="test", source="test", requested_at=datetime.now(UTC)
    )


@dataclass
class Begun:
    """A message that is sending, and its ledger."""

    pool: Pool
    id: str
    ledger: Ledger
    sending: Sending
    generation: int = 1

    async def claim(
        self,
        most: int = 64,
        *,
        token: UUID | None = None,
        lane: str = "1.0",
        lease: timedelta = LEASE,
        after: Place | None = None,
    ) -> list[ClaimedRecipient] | LaneEnd:
        claimed = await self.ledger.claim(
            self.id,
            self.generation,
            lane,
            as_of=datetime.now(UTC) + timedelta(seconds=1),
            most=most,
            token=token or uuid4(),
            lease=lease,
            after=after,
        )
        assert not isinstance(claimed, timedelta)
        return claimed

    async def settle(self, token: UUID, contact_id: int, verdict: Verdict = Verdict.SENT) -> int:
        outcome = Outcome(verdict, datetime.now(UTC), 250, "2.0.0", "ok")
        return await self.ledger.settle(self.id, "1.0", token, [(contact_id, outcome, None)])

    async def close(self, number: int = 1, verb: Verb = Verb.PAUSE) -> Command:
        stop = command(verb)
        await self.sending.close_gate(self.id, self.generation, stop, number)
        return stop

    async def counts(self) -> Counts:
        return Counts(**await self.pool.fetchval("select counts_of($1)", self.id))

    async def status_of(self, contact_id: int) -> str:
        return str(
            await self.pool.fetchval(
                "select status from recipients where message_id = $1 and contact_id = $2", self.id, contact_id
            )
        )


async def begin(pool: Pool, recipients: int) -> Begun:
    await pool.execute(
        "insert into contacts (address, address_key) select a, a"
        " from (select 'c' || n || '@example.com' as a from generate_series(1, $1::int) as n) as made",
        recipients,
    )
    await pool.execute("insert into lists (name) values ('all')")
    await pool.execute("insert into list_members select l.id, c.id from lists l, contacts c")
    content = MessageContent(
        name="News", from_address="n@example.com", subject="Hi", text="Hi", audience=Audience(lists=("all",))
    )
    sending = Sending(pool, max_late=timedelta(hours=12))
    async with pool.acquire() as connection:
        message_id = await messages.insert(connection, content)
        now = datetime.now(UTC)
        await messages.schedule(connection, message_id, Schedule(), accepted_at=now, next_slot_at=now, ends_at=None)
    await sending.adopt(message_id, 1)
    beginning = await sending.begin(message_id, 1, as_of=datetime.now(UTC), late=command(Verb.PAUSE))
    assert beginning.outcome is BeginOutcome.NEW
    return Begun(pool, message_id, Ledger(pool), sending)


def taken(claimed: list[ClaimedRecipient] | LaneEnd) -> list[int]:
    assert isinstance(claimed, list)
    return [recipient.contact_id for recipient in claimed]
