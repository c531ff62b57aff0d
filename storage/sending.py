"""A message while it is sent: adopt, begin, survey, the gate, resume, finish. Lanes' part is in `storage.ledger`.

Every method may be repeated: each is one transaction whose conditional statements find out that it has been done.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from models.audience import Audience
from models.commands import Command, ReceiptOutcome
from models.ledger import Adoption, Beginning, BeginOutcome, PendingStart, ResumeOutcome, Survey
from models.message import Counts, MessageStatus
from models.schedule import Plan, Schedule, make_plan
from models.transitions import rule
from storage import commands, ledger
from storage.audience import audience_sql
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("sending")


class _Superseded(Exception):
    """Roll the transaction of a resume back: a stop came first."""


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
            plan = make_plan(Schedule.model_validate(accepted["schedule"]), accepted_at=accepted["accepted_at"])
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
                last_effective=last[1] if last else None,
            )

    async def begin(self, message_id: str, generation: int, *, as_of: datetime, late: Command) -> Beginning:
        """Begin the send: status, recipients and gate in one transaction.

        A message that is later than `max_late` begins paused, by the command `late`.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await _sql.lock_hold(connection)
            if await _sql.is_held(connection):
                return Beginning(
                    outcome=BeginOutcome.HELD, status=await self._status(connection, message_id, generation)
                )
            state = await _sql.state(connection, message_id=message_id, generation=generation)
            if state is None:
                return Beginning(outcome=BeginOutcome.SUPERSEDED)
            plan = Plan.model_validate(state["plan"]) if state["plan"] else None
            is_late = plan is not None and as_of - plan.first_due_at > self._max_late
            begun = await _sql.begin(
                connection,
                message_id=message_id,
                generation=generation,
                status=(MessageStatus.PAUSED if is_late else MessageStatus.SENDING).value,
            )
            if begun is None:
                status = await self._status(connection, message_id, generation)
                live = status in (MessageStatus.SENDING, MessageStatus.PAUSED)
                return Beginning(outcome=BeginOutcome.ALREADY if live else BeginOutcome.SUPERSEDED, status=status)
            due_at = Plan.model_validate(begun["plan"]).first_due_at
            await self._read_audience(connection, Audience.model_validate(begun["audience"]))
            await _sql.add_joiners(connection, message_id=message_id, due_at=due_at)
            await _sql.drop_audience_now(connection)
            if is_late:
                await commands.record(
                    connection,
                    message_id,
                    generation,
                    late,
                    ReceiptOutcome.DONE,
                    before=MessageStatus.SCHEDULED,
                    after=MessageStatus.PAUSED,
                    effective_at=await connection.fetchval("select clock_timestamp()"),
                )
        return Beginning(outcome=BeginOutcome.NEW, status=MessageStatus.PAUSED if is_late else MessageStatus.SENDING)

    async def survey(self, message_id: str, generation: int, *, as_of: datetime, most: int) -> Survey:
        """Look at the ledger, after leases that are over have lapsed. `due` is counted up to `most`."""
        async with self._pool.acquire() as connection:
            await ledger.lapse_leases(connection, message_id)
            row = await _sql.survey(connection, message_id=message_id, generation=generation, as_of=as_of, most=most)
            last = await commands.last_effective(connection, message_id)
        if row is None:
            return Survey(status=None)
        return Survey(
            status=MessageStatus(row["status"]),
            gate_open=row["gate_open"],
            held=row["held"],
            due=row["due"],
            next_at=row["next_at"],
            counts=Counts(**row["counts"]),
            last_effective=last[1] if last else None,
        )

    async def close_gate(self, message_id: str, generation: int, command: Command, number: int) -> MessageStatus | None:
        """Close the gate for a stop and note the command. When it returns, no row is claimed any more.

        A stop that was answered before, in this generation or another, is not obeyed again.
        """
        async with self._pool.acquire() as connection:
            await commands.ask(connection, message_id, generation, command)
            if await commands.receipt(connection, command.command_id) is not None:
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
            self._pool,
            message_id=message_id,
            generation=generation,
            number=number,
            command_id=command.command_id,
            verb=command.verb.value,
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
            if answered := await commands.receipt(connection, command.command_id):
                return ResumeOutcome(
                    status=await self._status(connection, message_id, generation),
                    superseded=answered.outcome is ReceiptOutcome.SUPERSEDED,
                )
            try:
                async with connection.transaction():
                    return await self._resume(connection, message_id, generation, command, number, as_of)
            except _Superseded:
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

    async def _resume(
        self, connection: Connection, message_id: str, generation: int, command: Command, number: int, as_of: datetime
    ) -> ResumeOutcome:
        state = await _sql.state(connection, message_id=message_id, generation=generation)
        if state is None or state["status"] != MessageStatus.PAUSED:
            raise _Superseded
        await self._read_audience(connection, Audience.model_validate(state["audience"]))
        changes = await self._apply_audience(connection, message_id, due_at=as_of)
        opened = await _sql.open_gate(
            connection, message_id=message_id, generation=generation, number=number, command_id=command.command_id
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
        return changes.model_copy(update={"status": MessageStatus.SENDING})

    async def preview_resume(self, message_id: str, generation: int) -> tuple[ResumeOutcome, Counts] | None:
        """Do what a resume would do to the recipients, count it, and roll it back. None if the message is gone."""
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                state = await _sql.state(connection, message_id=message_id, generation=generation)
                if state is None:
                    return None
                await self._read_audience(connection, Audience.model_validate(state["audience"]))
                now = await connection.fetchval("select clock_timestamp()")
                changes = await self._apply_audience(connection, message_id, due_at=now)
                counts = Counts(**await connection.fetchval("select counts_of($1)", message_id))
                return changes, counts
            finally:
                await transaction.rollback()

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
            last = await commands.last_effective(connection, message_id)
            if outcome is ReceiptOutcome.DONE and last is not None and last[1] is command.verb:
                await commands.answer_again(connection, command.command_id, last[0])
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

    async def answer_unheard(self, message_id: str, command: Command) -> bool:
        """Answer a command that no workflow can hear, because the send is over; return whether it was.

        A stop overtaken by the last email is done, since nothing more leaves; anything else is refused. While the
        message should have a workflow nothing is answered: the sweep sees to the workflow, and asks it again.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await _sql.status_now(connection, message_id=message_id)
            if row is None or MessageStatus(row["status"]).has_workflow:
                return False
            status, generation = MessageStatus(row["status"]), row["generation"]
            overtaken = command.verb.is_stop and status is MessageStatus.SENT
            await commands.record(
                connection,
                message_id,
                generation,
                command,
                ReceiptOutcome.DONE if overtaken else ReceiptOutcome.REFUSED,
                before=MessageStatus.SENDING if overtaken else status,
                after=status,
                effective_at=row["now"] if overtaken else None,
                explanation=None if overtaken else rule(status, command.verb).why,
            )
        return True

    async def _status(self, connection: Connection, message_id: str, generation: int) -> MessageStatus | None:
        row = await _sql.state(connection, message_id=message_id, generation=generation)
        return MessageStatus(row["status"]) if row else None

    async def _read_audience(self, connection: Connection, audience: Audience) -> None:
        """Materialise the audience, as it is now, as the temporary table `audience_now` of this transaction."""
        await _sql.drop_audience_now(connection)
        query, arguments = audience_sql(audience)
        await connection.execute(
            "create temporary table audience_now (contact_id bigint, address text, address_key text, time_zone text,"
            " suppressed boolean) on commit drop"
        )
        columns = "contact_id, address, address_key, time_zone, suppressed"
        await connection.execute(
            f"insert into audience_now select {columns} from ({query}) as a",  # noqa: S608  # only our own text
            *arguments,
        )
        await connection.execute("create index on audience_now (contact_id)")
        await connection.execute("create index on audience_now (address_key)")
        await connection.execute("analyze audience_now")

    async def _apply_audience(self, connection: Connection, message_id: str, *, due_at: datetime) -> ResumeOutcome:
        """Change the unsent recipients to what `audience_now` says. Rows that were handed over never move."""
        await _sql.pass_on(connection, message_id=message_id)
        leavers = await _sql.withdraw_leavers(connection, message_id=message_id)
        suppressed = await _sql.suppress_unsent(connection, message_id=message_id)
        returning = await _sql.bring_back(connection, message_id=message_id)
        joiners = await _sql.add_joiners(connection, message_id=message_id, due_at=due_at)
        return ResumeOutcome(
            status=MessageStatus.PAUSED, joiners=joiners, leavers=leavers, suppressed=suppressed, returning=returning
        )


async def not_adopted(pool: Pool, older_than: timedelta) -> list[PendingStart]:
    """Return messages that no workflow has adopted for a while."""
    return [
        PendingStart(
            message_id=row["id"], generation=row["generation"], name=row["name"], status=MessageStatus(row["status"])
        )
        async for row in _sql.not_adopted(pool, older_than=older_than)
    ]


async def to_terminate(pool: Pool) -> list[tuple[str, int]]:
    """Return (message id, generation) of unscheduled messages whose workflow may still be there."""
    return [(row["id"], row["generation"]) async for row in _sql.to_terminate(pool)]


async def adopted(pool: Pool, *, after: str, most: int) -> list[tuple[str, int, MessageStatus]]:
    """Return (id, generation, status) of messages whose workflow should be running, by id."""
    rows = _sql.adopted(pool, after=after, most=most)
    return [(row["id"], row["generation"], MessageStatus(row["status"])) async for row in rows]


async def forget_adoption(pool: Pool, message_id: str, generation: int) -> None:
    """Have a scheduled message started again."""
    await _sql.forget_adoption(pool, message_id=message_id, generation=generation)


async def is_held(pool: Pool) -> bool:
    """Whether the hold is on."""
    held: bool = await _sql.is_held(pool)
    return held


async def waiting(pool: Pool) -> list[tuple[str, int]]:
    """Return (id, generation) of messages that a hold may have kept waiting, oldest first."""
    return [(row["id"], row["generation"]) async for row in _sql.waiting(pool)]
