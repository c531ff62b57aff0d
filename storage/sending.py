"""A message while it is sent: adopt, begin, survey, the gate, resume, finish. Lanes' part is in `storage.ledger`.

Every method may be repeated: each is one transaction whose conditional statements find out that it has been done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from models.audience import Audience
from models.commands import Command, ReceiptOutcome, told
from models.ledger import (
    Adoption,
    Beginning,
    BeginOutcome,
    OpenOutcome,
    ResumeOutcome,
    Survey,
)
from models.message import Counts, MessageStatus
from models.progress import LINES_BEFORE, UNBATCHED, SlotTable, slot_lines
from models.recipient import without_addresses
from models.schedule import Schedule
from models.slots import Plan, make_plan
from models.throttle import ThrottleRule
from storage import audience, audience_now, commands, ledger, slots
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("sending")


#: The rate limit of all messages together.
ALL_MESSAGES = "*"


class _Superseded(Exception):
    """Roll the transaction of a resume back: a stop came first."""


class _NotBegun(Exception):
    """Roll the transaction of a beginning back: a hold, a command or another attempt came first."""

    def __init__(self, beginning: Beginning) -> None:
        super().__init__()
        self.beginning = beginning


class Sending:
    """What the workflow's bookkeeping does to the database."""

    def __init__(self, pool: Pool, *, max_late: timedelta) -> None:
        self._pool = pool
        self._max_late = max_late

    async def adopt(self, message_id: str, generation: int) -> Adoption:
        """Note that the workflow of this generation is there, and store the plan (the first time)."""
        async with self._pool.acquire() as connection, connection.transaction():
            accepted = await _sql.accepted(connection, message_id=message_id, generation=generation)
            if accepted is None or accepted["schedule"] is None:
                return Adoption(status=None)
            schedule = Schedule.model_validate(accepted["schedule"])
            plan = make_plan(schedule, accepted_at=accepted["accepted_at"])
            row = await _sql.adopt(
                connection, message_id=message_id, generation=generation, plan=plan.model_dump(mode="json")
            )
            if row is None:
                return Adoption(status=None)
            last = await commands.last_effective(connection, message_id)
            return Adoption(
                status=MessageStatus(row["status"]),
                name=row["name"],
                first_due_at=Plan.model_validate(row["plan"]).first_due_at,
                next_slot_at=row["next_slot_at"],
                throttle=schedule.throttle,
                retry=schedule.retry,
                last_effective=last.verb if last else None,
                stopped_by=told(last.actor, last.reason) if last and last.verb.is_stop else "",
            )

    async def begin(self, message_id: str, generation: int, *, as_of: datetime, late: Command) -> Beginning:
        """Begin the send: recipients, throttle batch 0, status and gate in one transaction.

        Not before somebody of the audience is due. A message that is later than `max_late` begins paused, by the
        command `late`. However large the audience, a hold or an unschedule never waits for it: which of them was
        first is decided by the last statements of the transaction.
        """
        async with self._pool.acquire() as connection:
            state = await _sql.state(connection, message_id=message_id, generation=generation)
            if state is None:
                return Beginning(outcome=BeginOutcome.SUPERSEDED)
            status = MessageStatus(state["status"])
            if status is not MessageStatus.SCHEDULED:
                return _begun_already(status)
            if await _sql.is_held(connection):
                return Beginning(outcome=BeginOutcome.HELD, status=status)
            plan, whom = Plan.model_validate(state["plan"]), Audience.model_validate(state["audience"])
            if (later := plan.next_instant(as_of)) is not None:
                zones = await audience.zones(connection, whom, plan)
                first = plan.first_due_of(zones)
                if first is None or first > as_of:
                    await _sql.not_yet(
                        connection, message_id=message_id, generation=generation, next_slot_at=first, as_of=as_of
                    )
                    return Beginning(
                        outcome=BeginOutcome.NOT_YET, status=status, look_again_at=later, next_slot_at=first
                    )
            try:
                async with connection.transaction():
                    status = await self._begin(connection, message_id, generation, state, as_of, late)
            except _NotBegun as error:
                return error.beginning
        return Beginning(outcome=BeginOutcome.NEW, status=status)

    async def _begin(
        self,
        connection: Connection,
        message_id: str,
        generation: int,
        state: Mapping[str, Any],
        as_of: datetime,
        late: Command,
    ) -> MessageStatus:
        plan, schedule = Plan.model_validate(state["plan"]), Schedule.model_validate(state["schedule"])
        throttle = schedule.throttle
        await audience_now.read(connection, Audience.model_validate(state["audience"]), plan)
        first = await audience_now.first_due_at(connection) or max(plan.first_due_at, as_of)
        await audience_now.insert(connection, message_id, plan, batch=_first_batch(schedule))
        if throttle is not None and (state["ends_at"] is None or as_of < state["ends_at"]):
            turn = throttle.grid(first).latest(as_of)
            await slots.fill_batch(connection, message_id, turn=turn, throttle=throttle, as_of=as_of)
        # A look that found nobody due was in time: who joins in a zone that passed long ago makes nothing late.
        is_late = as_of - max(first, state["looked_at"] or first) > self._max_late
        status = MessageStatus.PAUSED if is_late else MessageStatus.SENDING
        await _sql.lock_hold(connection)
        if await _sql.is_held(connection):
            raise _NotBegun(Beginning(outcome=BeginOutcome.HELD, status=MessageStatus.SCHEDULED))
        await limit_rate(connection, message_id, schedule.emails_per_second)
        begun = await _sql.begin(
            connection,
            message_id=message_id,
            generation=generation,
            status=status.value,
            first_turn_at=first if throttle else None,
        )
        if begun is None:  # unscheduled or canceled meanwhile, or begun by another attempt
            raise _NotBegun(_begun_already(await self._status(connection, message_id, generation)))
        if is_late:
            await commands.record(
                connection,
                message_id,
                generation,
                late,
                ReceiptOutcome.DONE,
                before=MessageStatus.SCHEDULED,
                after=status,
                effective_at=await connection.fetchval("select clock_timestamp()"),
            )
        return status

    async def open_batch(
        self,
        message_id: str,
        generation: int,
        *,
        gate_number: int,
        turn: int,
        throttle: ThrottleRule,
        as_of: datetime,
    ) -> OpenOutcome:
        """Open the throttle batch of a turn, or expire the rest when the end date has passed."""
        return await slots.open_batch(
            self._pool,
            message_id,
            generation,
            gate_number=gate_number,
            turn=turn,
            throttle=throttle,
            as_of=as_of,
        )

    async def survey(self, message_id: str, generation: int, *, as_of: datetime, most: int) -> Survey:
        """Look at the ledger, after leases that are over have lapsed. `due` is counted up to `most`."""
        async with self._pool.acquire() as connection:
            await ledger.lapse_leases(connection, message_id)
            row = await _sql.survey(connection, message_id=message_id, generation=generation, as_of=as_of, most=most)
            if row is None:
                return Survey(status=None)
            last = await commands.last_effective(connection, message_id)
            turns = await slots.turns(connection, message_id)
            table = await slots.slot_table(connection, message_id, last_batches=LINES_BEFORE if turns else None)
            throttle = Schedule.model_validate(row["schedule"]).throttle if row["schedule"] else None
        return Survey(
            status=MessageStatus(row["status"]),
            gate_open=row["gate_open"],
            gate_number=row["gate_number"],
            held=row["held"],
            due=row["due"],
            next_at=row["next_at"],
            counts=Counts(**row["counts"]),
            last_effective=last.verb if last else None,
            turns=turns,
            slots=slot_lines(table, throttle, as_of=as_of),
        )

    async def close_gate(self, message_id: str, generation: int, command: Command, number: int) -> MessageStatus | None:
        """Close the gate for a stop and note the command. When it returns, no row is claimed any more.

        A stop that was answered before, in this generation or another, is not obeyed again.
        """
        async with self._pool.acquire() as connection:
            if await commands.ask(connection, message_id, generation, command):
                return await self._status(connection, message_id, generation)
            status = await _sql.close_gate(connection, message_id=message_id, generation=generation, number=number)
        return MessageStatus(status) if status else None

    async def confirm_stop(
        self, message_id: str, generation: int, command: Command, number: int
    ) -> MessageStatus | None:
        """Write the new status and the receipt if the message is quiet; None while emails are in flight.

        The status is the one after it. A generation that is over answers CANCELED: there is nothing left to stop.
        """
        status = await _sql.confirm_stop(
            self._pool, **commands.given(message_id, command), generation=generation, number=number
        )
        if status == "in_flight":
            return None
        return MessageStatus.CANCELED if status == "superseded" else MessageStatus(status)

    async def resume(
        self, message_id: str, generation: int, command: Command, number: int, *, as_of: datetime
    ) -> ResumeOutcome:
        """Read the audience again, open the gate and write the receipt, in one transaction; nobody is added twice.

        A stop with a higher number supersedes it: then nothing at all changes, and the receipt says so.
        """
        async with self._pool.acquire() as connection:
            await commands.ask(connection, message_id, generation, command)
            if answered := await self._resumed_already(connection, message_id, generation, command):
                return answered
            try:
                async with connection.transaction():
                    return await self._resume(connection, message_id, generation, command, number, as_of)
            except _Superseded:
                # By a stop; or by another attempt at the same command, which was at work beside this one.
                if answered := await self._resumed_already(connection, message_id, generation, command):
                    return answered
                status = await self._status(connection, message_id, generation)
                if status is not None:
                    await commands.record(
                        connection,
                        message_id,
                        generation,
                        command,
                        ReceiptOutcome.SUPERSEDED,
                        before=status,
                        after=status,
                        explanation="A stop came after it: stop beats go.",
                    )
                return ResumeOutcome(status=status, superseded=True)

    async def _resumed_already(
        self, connection: Connection, message_id: str, generation: int, command: Command
    ) -> ResumeOutcome | None:
        answered = await commands.receipt(connection, message_id, command)
        if answered is None:
            return None
        return ResumeOutcome(
            status=await self._status(connection, message_id, generation),
            superseded=answered.outcome is ReceiptOutcome.SUPERSEDED,
        )

    async def _resume(
        self, connection: Connection, message_id: str, generation: int, command: Command, number: int, as_of: datetime
    ) -> ResumeOutcome:
        state = await _sql.state(connection, message_id=message_id, generation=generation)
        if state is None or state["status"] != MessageStatus.PAUSED:
            raise _Superseded
        changes = await self._read_again(connection, message_id, state, as_of=as_of)
        ends_at = await _sql.move_end(connection, **commands.given(message_id, command))
        expired = await self._expire_at_resume(connection, message_id, ends_at or state["ends_at"], as_of)
        opened = await _sql.open_gate(
            connection, **commands.given(message_id, command), generation=generation, number=number
        )
        if opened is None:
            raise _Superseded
        await commands.record(
            connection,
            message_id,
            generation,
            command,
            ReceiptOutcome.DONE,
            before=MessageStatus.PAUSED,
            after=MessageStatus.SENDING,
            effective_at=opened["updated_at"],
        )
        return ResumeOutcome(status=MessageStatus.SENDING, expired=expired, **asdict(changes))

    async def preview_resume(
        self, message_id: str, generation: int, *, as_of: datetime, ends_at: datetime | None = None
    ) -> tuple[ResumeOutcome, SlotTable] | None:
        """Do what a resume would do to the recipients, look at it, and roll it back. None if the message is gone."""
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                state = await _sql.state(connection, message_id=message_id, generation=generation)
                if state is None:
                    return None
                changes = await self._read_again(connection, message_id, state, as_of=as_of)
                end = ends_at or state["ends_at"]
                expired = await self._expire_at_resume(connection, message_id, end, as_of)
                table = replace(await slots.slot_table(connection, message_id), ends_at=end)
                return ResumeOutcome(status=MessageStatus.PAUSED, expired=expired, **asdict(changes)), table
            finally:
                await transaction.rollback()

    async def _expire_at_resume(
        self, connection: Connection, message_id: str, ends_at: datetime | None, as_of: datetime
    ) -> int:
        """Expire who is in no batch if the end date has passed; not under a hold, whose release sees to it."""
        if ends_at is None or ends_at > as_of or await _sql.is_held(connection):
            return 0
        return await slots.expire_unbatched(connection, message_id)

    async def _read_again(
        self, connection: Connection, message_id: str, state: Mapping[str, Any], *, as_of: datetime
    ) -> audience_now.Changes:
        """Read the audience as it is now, and change the unsent recipients to it."""
        plan, schedule = Plan.model_validate(state["plan"]), Schedule.model_validate(state["schedule"])
        await audience_now.read(connection, Audience.model_validate(state["audience"]), plan, not_before=as_of)
        return await audience_now.apply(connection, message_id, plan, batch=_first_batch(schedule), as_of=as_of)

    async def commonest_failure(self, message_id: str) -> str:
        """Return the reply with which most recipients have bounced or failed; addresses in it are taken out."""
        row = await _sql.commonest_failure(self._pool, message_id=message_id)
        if row is None:
            return "nobody"
        code = f"{row['smtp_code']} " if row["smtp_code"] else ""
        return f"{row['number']:,} times {code}{without_addresses(row['reply'] or 'without a text')}"

    async def finish(self, message_id: str, generation: int) -> MessageStatus | None:
        """End the send if nobody is left and the gate is open; return the status."""
        status = await _sql.finish(self._pool, message_id=message_id, generation=generation)
        return MessageStatus(status) if status else None

    async def answer(
        self, message_id: str, generation: int, command: Command, outcome: ReceiptOutcome, explanation: str | None
    ) -> MessageStatus | None:
        """Answer a command that changes nothing: refused, superseded, or (DONE) fulfilled already."""
        async with self._pool.acquire() as connection, connection.transaction():
            await commands.ask(connection, message_id, generation, command)
            status = await self._status(connection, message_id, generation)
            if status is None:
                return None
            if outcome is ReceiptOutcome.REFUSED and command.verb.is_stop:
                await _sql.forget_refused_stop(connection, message_id=message_id, generation=generation)
            last = await commands.last_effective(connection, message_id)
            done_by = last if outcome is ReceiptOutcome.DONE and last and last.verb is command.verb else None
            if done_by is not None and await commands.asks_for_another_end(connection, message_id, command):
                done_by, outcome = None, ReceiptOutcome.REFUSED
                explanation = "It has been resumed already; pause it to move its end date, and resume it then."
            if done_by is not None:
                await commands.answer_again(connection, message_id, command, done_by)
            else:
                await commands.record(
                    connection,
                    message_id,
                    generation,
                    command,
                    outcome,
                    before=status,
                    after=status,
                    explanation=explanation,
                )
            return status

    async def _status(self, connection: Connection, message_id: str, generation: int) -> MessageStatus | None:
        row = await _sql.state(connection, message_id=message_id, generation=generation)
        return MessageStatus(row["status"]) if row else None


def _begun_already(status: MessageStatus | None) -> Beginning:
    live = status in (MessageStatus.SENDING, MessageStatus.PAUSED)
    return Beginning(outcome=BeginOutcome.ALREADY if live else BeginOutcome.SUPERSEDED, status=status)


def _first_batch(schedule: Schedule) -> int:
    """Return the batch of new recipients: none yet under a throttle, else the one that everybody is in."""
    return UNBATCHED if schedule.throttle else 0


async def limit_rate(connection: Connection | Pool, name: str, emails_per_second: float | None) -> None:
    """Set the rate limit of a message, or of ALL_MESSAGES together; None takes it away."""
    if emails_per_second is None:
        await _sql.unlimit_rate(connection, name=name)
    else:
        await _sql.limit_rate(connection, name=name, emails_per_second=emails_per_second)
