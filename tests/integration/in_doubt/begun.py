"""Messages of whom somebody is in doubt: moved by a test, or sent by a worker to a server that hangs up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from client.interface import CommandResult, RecipientInDoubt
from models.commands import Command, Verb
from models.message import MessageStatus
from models.recipient import ClaimedRecipient, Outcome, Recipient, Verdict
from storage.ledger import Ledger
from storage.sending import Sending
from tests.eventually import eventually
from tests.harness import Harness, asked_by

LEASE = timedelta(minutes=5)
WITHIN_SECONDS = 20


def address(number: int) -> str:
    return f"c{number}@example.com"


def command(verb: Verb) -> Command:
    return Command(command_id=str(uuid4()), verb=verb, actor="test", source="test", requested_at=datetime.now(UTC))


async def rows_of(harness: Harness, message_id: str) -> dict[str, Recipient]:
    """The ledger by address; the counts are compared with it on the way."""
    counts = await harness.counts(message_id)
    assert counts == await harness.counted(message_id)
    assert counts.parts == counts.total
    return {row.address: row async for row in harness.use_cases.recipients(message_id)}


async def listed(harness: Harness, message_id: str) -> list[RecipientInDoubt]:
    return [row async for row in harness.use_cases.in_doubt(message_id)]


async def sent_and_in_doubt(harness: Harness, number: int, message_id: str | None = None) -> str:
    """A message that is sent, and of whose emails the server took each without a word. Needs a worker."""
    message_id = message_id or await harness.draft()
    harness.smtp.set(drop="dot")
    await harness.send(message_id)
    await harness.until(message_id, MessageStatus.SENT)
    harness.smtp.set(drop="")
    assert (await harness.counts(message_id)).in_doubt == number
    return message_id


async def asleep_with_two_in_doubt(harness: Harness) -> str:
    """A message that is sending, and sleeps until its third recipient is tried again. Needs a worker."""
    await harness.add_contacts(3)
    harness.smtp.set(drop="dot", refuse=[{"at": "rcpt", "pattern": "^c3@", "reply": "450 4.2.0 later"}])
    message_id = await harness.draft()
    await harness.send(message_id)

    async def two_in_doubt() -> bool:
        counts = await harness.counts(message_id)
        return (counts.in_doubt, counts.deferred) == (2, 1)

    await eventually(two_in_doubt, WITHIN_SECONDS)
    await harness.until_asleep(message_id)
    harness.smtp.set(drop="")
    return message_id


@dataclass
class Begun:
    """A message that is sending, without a worker: what moves is moved by the test."""

    harness: Harness
    id: str
    ledger: Ledger
    sending: Sending

    async def claim(self, most: int, token: UUID, lease: timedelta = LEASE) -> list[ClaimedRecipient]:
        as_of = datetime.now(UTC) + timedelta(seconds=1)
        claimed = await self.ledger.claim(self.id, 1, "1.0", as_of=as_of, most=most, token=token, lease=lease)
        assert isinstance(claimed, list)
        assert len(claimed) == most
        return claimed

    async def settle(self, token: UUID, verdict: Verdict, *recipients: ClaimedRecipient) -> int:
        outcome = Outcome(verdict, datetime.now(UTC), reply="what was heard")
        return await self.ledger.settle(self.id, "1.0", token, [(r.contact_id, outcome, None) for r in recipients])

    async def put_in_doubt(self, number: int) -> tuple[UUID, list[ClaimedRecipient]]:
        token = uuid4()
        claimed = await self.claim(number, token)
        assert await self.settle(token, Verdict.IN_DOUBT, *claimed) == number
        return token, claimed

    async def accept(self, *whom: str | int) -> CommandResult:
        return await self.harness.use_cases.accept_in_doubt(self.id, asked_by(), whom or None)

    async def resend(self, *whom: str | int) -> CommandResult:
        return await self.harness.use_cases.resend_in_doubt(self.id, asked_by(), whom or None)

    async def rows(self) -> dict[str, Recipient]:
        return await rows_of(self.harness, self.id)

    async def statuses(self) -> list[str]:
        """In the order of the contacts."""
        return [row.status.value for row in (await self.rows()).values()]

    async def somebody_waits(self) -> bool:
        """Whether somebody waits for a lock in this database."""
        waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return bool(await self.harness.pool.fetchval(waits))


async def assert_recognised_downstream(harness: Harness, *, copies: int) -> None:
    """Every recipient got so many copies, all with the one Message-ID."""
    found: dict[str, list[str]] = {}
    for email in harness.smtp.accepted():
        found.setdefault(email.recipient, []).append(email.message_id)
    assert all(len(ids) == copies and len(set(ids)) == 1 for ids in found.values()), found
    assert len({ids[0] for ids in found.values()}) == len(found)
