"""One message of the random test: every step that may be taken with it, and what must be true of it at every moment.

Which steps are taken, in what order and how often, is drawn in tests/acceptance/test_random_commands.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from models.commands import ReceiptOutcome, Verb
from models.errors import ExclusionNotFinal, IllegalTransition
from models.message import Counts, MessageStatus, workflow_id
from models.schedule import Schedule
from storage import contacts
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.smtp_log_server import Accepted

RECIPIENTS = 60
WITHIN_SECONDS = 30.0

#: Every change of status is noted by the database itself; nothing is written if the change is rolled back.
NOTE_MOVES = """
create table moves (what text, before text, after text, message_status text);
create function note_move() returns trigger language plpgsql as $$
begin
    insert into moves select tg_argv[0], old.status, new.status, m.status from messages m
     where m.id = case when tg_argv[0] = 'message' then to_jsonb(new) ->> 'id' else to_jsonb(new) ->> 'message_id' end;
    return null;
end $$;
create trigger note_move after update on recipients for each row when (old.status <> new.status)
    execute function note_move('recipient');
create trigger note_move after update on messages for each row when (old.status <> new.status)
    execute function note_move('message');
"""
MOVES = {
    "message": "draft>scheduled scheduled>draft scheduled>sending scheduled>canceled sending>paused sending>sent"
    " sending>canceled paused>sending paused>canceled",
    "recipient": "pending>claimed deferred>claimed deferred>failed claimed>sent claimed>bounced claimed>failed"
    " claimed>in_doubt claimed>deferred claimed>pending in_doubt>sent in_doubt>bounced in_doubt>failed"
    " pending>suppressed deferred>suppressed pending>withdrawn deferred>withdrawn pending>canceled deferred>canceled"
    " withdrawn>pending suppressed>pending",
}
#: Only at a resume, which opens the gate at its end.
ONLY_WHILE_PAUSED = {"withdrawn>pending", "suppressed>pending"}


class Send:
    """One example: a message with contacts of its own, and what must be true of it."""

    def __init__(self, harness: Harness, number: int) -> None:
        self.harness = harness
        self.use = harness.use_cases
        self.name = f"e{number}"
        self.message_id = ""
        self.copies: list[str] = []
        self.copy_is_sent_at = datetime.max.replace(tzinfo=UTC)
        self.members: set[str] = set()  # contacts on the list
        self.strangers: list[str] = []  # contacts with older ids that are not on it
        self.gone: list[str] = []  # deleted contacts
        self.suppressed: set[str] = set()
        self.barred: dict[str, float] = {}  # who must not be mailed since when (unix time)
        self.is_surely_paused = False
        self.signals = 0
        self.may_bounce = self.may_be_in_doubt = False
        self.total = 0

    # -- commands

    async def begin(self, *, by_way_of_a_schedule: bool) -> None:
        await self.harness.pool.execute("truncate moves")
        await self.harness.add_contacts(10, list_name=f"not {self.name}", prefix=f"{self.name}old")
        await self.harness.add_contacts(RECIPIENTS, list_name=self.name, prefix=f"{self.name}x")
        self.strangers = [f"{self.name}old{n}@example.com" for n in range(1, 11)]
        self.members = {f"{self.name}x{n}@example.com" for n in range(1, RECIPIENTS + 1)}
        self.message_id = await self.harness.draft(lists=(self.name,))
        if by_way_of_a_schedule:
            await self.harness.send(self.message_id, at=datetime.now(UTC) + timedelta(days=1))
            await self.use.unschedule(self.message_id, asked_by())
        await self.harness.send(self.message_id)
        await self.let_it_send(1)

    async def command(self, verb: Verb, *, wait: float = WITHIN_SECONDS) -> None:
        """Ask through the front door; a refusal must be the one that the message's status calls for."""
        self.is_surely_paused = False
        ask = {Verb.PAUSE: self.use.pause, Verb.RESUME: self.use.resume, Verb.CANCEL: self.use.cancel}[verb]
        try:
            result = await ask(self.message_id, asked_by(), wait=timedelta(seconds=wait))
        except IllegalTransition as refused:
            if verb in refused.details["allowed"]:
                raise AssertionError(f"{verb} is refused and called legal") from refused
            return
        assert result.receipt is not None or wait == 0, f"{verb} was not answered"
        if verb is Verb.PAUSE and result.receipt is not None and result.message.status is MessageStatus.PAUSED:
            self.is_surely_paused = True
            for address in self.suppressed | set(self.gone) | set(self.strangers):
                self.barred.setdefault(address, time.time())

    async def all_at_once(self, verbs: Sequence[Verb]) -> None:
        await asyncio.gather(*(self.command(verb) for verb in verbs))
        self.is_surely_paused = False

    async def signal(self, signals: Sequence[tuple[Verb, Any]]) -> None:
        """Signal as `temporal workflow signal` does, without waiting for anything."""
        self.is_surely_paused = False
        handle = self.harness.client.get_workflow_handle(workflow_id(self.message_id, await self._generation()))
        for number, (verb, argument) in enumerate(signals):
            twice = isinstance(argument, dict) and "command_id" in argument
            if twice:
                argument = {"command_id": f"{self.message_id}-{self.signals}-{number}"}
            try:
                for _ in range(1 + twice):
                    await handle.signal(verb.value, args=[] if argument is None else [argument])
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:  # it has ended
                    raise
                self.signals += await self._has(argument) if twice else 0
                return
            self.signals += 1

    async def copy(self) -> None:
        """Copy without those already mailed; while the original may still mail them, the copy cannot be sent."""
        original = self.copies[-1] if self.copies else self.message_id
        self.copies.append((await self.use.copy(original, exclude_recipients=True)).id)
        try:
            at = Schedule(at=datetime.now(UTC) + timedelta(days=1))
            await self.use.send(self.copies[-1], at, asked_by(), allow_empty=True)  # everybody may be mailed already
        except ExclusionNotFinal:
            return
        assert (await self.harness.status(self.message_id)).is_final
        await self.use.unschedule(self.copies[-1], asked_by())

    # -- the audience

    async def join(self, number: int) -> None:
        """Put contacts on the list: some whose ids are older than everybody's, some new."""
        for _ in range(number):
            is_older = bool(self.strangers) and len(self.members) % 2 == 0
            address = self.strangers.pop() if is_older else f"{self.name}new{len(self.members)}@example.com"
            self.barred.pop(address, None)
            await self._add(address)

    async def leave(self, somebody: int) -> None:
        if address := await self._pick(somebody, self.members):
            async with self.harness.pool.acquire() as connection:
                contact = await contacts.find_contact(connection, address)
                assert contact is not None
                await contacts.remove_from_list(connection, self.name, contact.id)
            self.members.discard(address)
            self.strangers.append(address)
            if self.is_surely_paused:  # membership is read at a resume alone
                self.barred.setdefault(address, time.time())

    async def delete(self, somebody: int, *, mailed: bool) -> None:
        if address := await self._pick(somebody, self.members, mailed=mailed):
            async with self.harness.pool.acquire() as connection:
                contact = await contacts.find_contact(connection, address)
                assert contact is not None
                await contacts.delete_contact(connection, contact.id)
            self.members.discard(address)
            self.gone.append(address)
            await self._bar_unless_claimed(address)

    async def import_again(self) -> None:
        """The same mailbox in another spelling, under a new id; if nobody is gone, two go first."""
        if not self.gone:
            await self.delete(0, mailed=True)
            await self.delete(0, mailed=False)
        while self.gone:
            address = self.gone.pop()
            self.barred.pop(address, None)
            await self._add(address.upper())

    async def suppress(self, somebody: int) -> None:
        if address := await self._pick(somebody, self.members):
            await self.use.suppress([address], reason="unsubscribed")
            self.suppressed.add(address)
            await self._bar_unless_claimed(address)

    async def unsuppress(self) -> None:
        for address in self.suppressed:
            self.barred.pop(address, None)
        await self.use.unsuppress(sorted(self.suppressed) or [self.name + "@example.com"])
        self.suppressed.clear()

    async def _add(self, address: str) -> None:
        async with self.harness.pool.acquire() as connection:
            contact = await contacts.find_contact(connection, address)
            contact = contact or await contacts.create_contact(connection, address)
            await contacts.add_to_list(connection, self.name, contact.id)
        self.members.add(address.lower())

    async def _pick(self, somebody: int, among: set[str], *, mailed: bool = False) -> str | None:
        reached = {email.recipient.lower() for email in self.emails()}
        candidates = sorted(address for address in among if (address in reached) == mailed)
        return candidates[somebody % len(candidates)] if candidates else None

    async def _bar_unless_claimed(self, address: str) -> None:
        """Suppression and deletion are read at every claim: whoever is not claimed now must not be mailed any more."""
        is_claimed = await self.harness.pool.fetchval(
            "select exists (select from recipients where message_id = $1 and address_key = $2 and status = 'claimed')",
            self.message_id,
            address,
        )
        if not is_claimed:
            self.barred.setdefault(address, time.time())

    # -- waiting

    async def let_it_send(self, number: int) -> None:
        enough = len(self.emails()) + number

        async def has_or_cannot() -> bool:
            counts = await self.harness.counts(self.message_id)
            status = await self.harness.status(self.message_id)
            begun = status is not MessageStatus.SCHEDULED
            idle = status is not MessageStatus.SENDING or counts.pending + counts.claimed == 0
            return len(self.emails()) >= enough or (begun and idle)

        await eventually(has_or_cannot, WITHIN_SECONDS, every=0.03)

    async def time_passes(self) -> None:
        """Make those due who were refused for now, which would take a minute."""
        await self.harness.pool.execute(
            "update recipients set next_try_at = clock_timestamp() where message_id = $1 and status = 'deferred'",
            self.message_id,
        )

    # -- what must be true

    def emails(self) -> list[Accepted]:
        mine = (f"{self.name}x", f"{self.name}old", f"{self.name}new")
        return [email for email in self.harness.smtp.accepted() if email.recipient.lower().startswith(mine)]

    async def check(self) -> None:
        """Look at everything that must hold at every moment."""
        emails = self.emails()
        assert len({email.recipient.lower() for email in emails}) == len(emails), "somebody got it twice"
        assert len({email.message_id for email in emails}) == len(emails), "a Message-ID came twice"
        for email in emails:
            since = self.barred.get(email.recipient.lower(), email.at)
            assert email.at <= since, f"{email.recipient} was mailed, who has left or is suppressed"
        await self._check_counts()
        await self._check_moves()
        stopped_at: datetime | None = None
        for entry in await self.use.history(self.message_id):
            receipt = entry.receipt
            if receipt is None or receipt.outcome is not ReceiptOutcome.DONE or receipt.effective_at is None:
                continue
            if entry.command.is_stop:
                stopped_at = receipt.effective_at
            elif entry.command is Verb.RESUME and stopped_at is not None:
                self._check_silence(emails, stopped_at, receipt.effective_at)
                stopped_at = None
        if stopped_at is not None:
            self._check_silence(emails, stopped_at, self.copy_is_sent_at)

    def _check_silence(self, emails: Sequence[Accepted], begin: datetime, end: datetime) -> None:
        late = [email for email in emails if begin.timestamp() < email.at < end.timestamp()]
        assert not late, f"{len(late)} emails left after the receipt of {begin}"

    async def _check_counts(self) -> None:
        row = await self.harness.pool.fetchrow(
            "select counts_of($1) as kept, (select coalesce(jsonb_object_agg(status, number), '{}') as real from"
            " (select status, count(*) as number from recipients where message_id = $1 group by status) as real)",
            self.message_id,
        )
        assert row is not None
        kept = Counts(**row["kept"])
        assert kept == Counts(**row["real"], total=sum(row["real"].values()))
        assert kept.parts == kept.total >= self.total, "the parts do not add up, or the total has shrunk"
        self.total = kept.total

    async def _check_moves(self) -> None:
        for row in await self.harness.pool.fetch("select distinct * from moves"):
            move = f"{row['before']}>{row['after']}"
            assert move in MOVES[row["what"]].split(), f"a {row['what']} went {move}"
            if move in ONLY_WHILE_PAUSED:
                assert row["message_status"] == MessageStatus.PAUSED, f"{move} while {row['message_status']}"

    async def end(self, *, causes_are_lifted: bool) -> None:
        """Let it all go through, and judge by the SMTP server's log who got it.

        `causes_are_lifted`: whoever was suppressed, deleted or off the list is back, and so everybody must get it.
        """
        self.harness.smtp.set(refuse=[])
        await eventually(self._is_answered, WITHIN_SECONDS, every=0.03)
        read_last = False  # whether the audience was read after the last change to it
        if not (await self.harness.status(self.message_id)).is_final:
            await self.command(Verb.PAUSE)
            await self.time_passes()
            if causes_are_lifted:
                await self._lift_every_cause()
            read_last = await self.harness.status(self.message_id) is MessageStatus.PAUSED
            self.harness.smtp.set(delay_ms=0)
            if read_last:
                await self.command(Verb.RESUME)
            await self.harness.until(self.message_id, MessageStatus.SENT, WITHIN_SECONDS)
        await self.check()
        if self.copies:
            self.copy_is_sent_at = datetime.now(UTC)
            self.harness.smtp.set(delay_ms=0)
            await self.use.send(self.copies[-1], Schedule(), asked_by(), allow_empty=True)
            await self.harness.until(self.copies[-1], MessageStatus.SENT, WITHIN_SECONDS)
            read_last = True
            await self.check()
        await eventually(self._is_answered, WITHIN_SECONDS, every=0.03)
        counts = await self.harness.counts(self.message_id)
        assert counts.unfinished == counts.failed == counts.expired == 0
        if read_last:
            mailed = {email.recipient.lower() for email in self.emails()}
            lost = self.members - self.suppressed - mailed - await self._not_taken()
            assert not lost, f"{len(lost)} of the audience were never mailed, {sorted(lost)[:3]} among them"

    async def _lift_every_cause(self) -> None:
        """Let a resume see that some are suppressed and have left; then bring back everybody who ever was."""
        await self.suppress(1)
        await self.leave(2)
        await self.command(Verb.RESUME)
        await self.command(Verb.PAUSE)
        await self.unsuppress()
        await self.import_again()
        await self.join(2 * len(self.strangers))

    async def _not_taken(self) -> set[str]:
        """Return whom the next hop refused for good, and whose connection broke: only if it ever did so."""
        rows = await self.harness.pool.fetch(
            "select address_key, status from recipients"
            " where message_id = any($1) and status in ('bounced', 'in_doubt')",
            [self.message_id, *self.copies],
        )
        assert self.may_bounce or not any(row["status"] == "bounced" for row in rows)
        assert self.may_be_in_doubt or not any(row["status"] == "in_doubt" for row in rows)
        return {row["address_key"] for row in rows}

    async def _is_answered(self) -> bool:
        """Whether every command, signals included, has its one receipt; and a workflow that is done has ended."""
        history = await self.use.history(self.message_id)
        signalled = [entry for entry in history if entry.source == "temporal"]
        assert len(signalled) <= self.signals, "one signal became two commands"
        if len(signalled) < self.signals or any(entry.receipt is None for entry in history):
            return False
        if not (await self.harness.status(self.message_id)).is_final:
            return True
        handle = self.harness.client.get_workflow_handle(workflow_id(self.message_id, await self._generation()))
        return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

    async def _has(self, argument: dict[str, str]) -> bool:
        number = await self.harness.pool.fetchval(
            "select count(*) from commands where command_id = $1", argument["command_id"]
        )
        return bool(number)

    async def _generation(self) -> int:
        generation: int = await self.harness.pool.fetchval(
            "select generation from messages where id = $1", self.message_id
        )
        return generation
