"""The use cases of Sendgate, once: every door (command line, API, pages, runbooks) asks here.

Each checks what was given, asks `models.transitions` whether it is legal, changes the database in one conditional
statement, and tells the workflow. Whoever needs Temporal connects before anything is changed: a server that was down
from the first leaves nothing half done. What a crash between the two leaves, or a server that went away since it was
connected to, is put right by the sweep.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from activities.ports import Transport
from client.drafts import Drafts, content_of
from client.holding import Holding
from client.in_doubt import message_ids_of, named_recipients
from client.interface import DEFAULT_WAIT, AskedBy, CommandResult, RecipientInDoubt, ResumePreview, SendPreview
from client.keys import KeyKeeping
from client.looking import Looking
from client.outlook import describe_resume
from client.people import People
from client.temporal import Workflows
from client.unsubscribing import Unsubscribing
from models.commands import Command, Receipt, ReceiptOutcome, Verb, check_reason
from models.errors import ChangedMeanwhile, IllegalTransition, InvalidInput, NotFound, Refused, Unreachable
from models.message import Message, MessageStatus
from models.plan import describe_plan
from models.schedule import Schedule, check_new_end, check_schedule, end_of
from models.slots import Plan, check_plan, make_plan
from models.transitions import Ruling, require, rule
from storage import audience as audiences
from storage import commands, in_doubt, messages, unheard
from storage.database import Connection, Pool
from storage.sending import Sending

_FIRST_LOOK_SECONDS = 0.005
_SLOWEST_LOOK_SECONDS = 0.1
_LONGEST_ID = 200  # characters
_ANSWER_WITHIN_SECONDS = 5.0


class BatchMessages(Drafts, Looking, People, Holding, Unsubscribing, KeyKeeping):
    """The use cases in process, on the database and Temporal. See `client.interface.UseCases` for each."""

    def __init__(
        self,
        pool: Pool,
        workflows: Callable[[], Awaitable[Workflows]],
        transport: Callable[[], Transport],
        *,
        default_time_zone: str = "UTC",
        secret_key: str | None = None,
        public_url: str | None = None,
        clock: Callable[[], Awaitable[datetime]] | None = None,
    ) -> None:
        """`clock` says what time it is for schedules; by default it is the database's. Without `secret_key` no
        unsubscribe link is good, and without `public_url` too a rendered email has none.
        """
        super().__init__(pool, transport)
        self._workflows = workflows  # connects at the first call; raises Unreachable
        self._sending = Sending(pool, max_late=timedelta.max)
        self._default_time_zone = default_time_zone
        self._secret_key = secret_key
        self._public_url = public_url
        self._clock = clock or partial(database_clock, pool)

    # -- commands -----------------------------------------------------------------------------------------------

    async def plan(self, message_id: str, schedule: Schedule, *, allow_empty: bool = False) -> SendPreview:
        schedule = self._with_fallback(schedule)
        now = await self._clock()
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            require(message.status, Verb.SEND)
            plan, zones = await self._check_send(connection, message, schedule, now=now, allow_empty=allow_empty)
        return SendPreview(
            schedule=schedule,
            plan=describe_plan(schedule, plan, zones, accepted_at=now),
            audience=await self.audience_preview(message_id),
        )

    async def send(
        self,
        message_id: str,
        schedule: Schedule,
        asked_by: AskedBy,
        *,
        allow_empty: bool = False,
        seen: datetime | None = None,
    ) -> CommandResult:
        """Move the draft to scheduled under a new generation, and start its workflow.

        Who edits it between the checks and the change takes what was checked away: nothing is scheduled then.
        When the start fails after that, the message stays scheduled and a worker's sweep starts it.
        """
        schedule = self._with_fallback(schedule)
        command = _command(Verb.SEND, asked_by)
        now = await self._clock()
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            same = message.schedule == schedule
            if (answered := await self._answered_already(connection, message, command, same=same)) is not None:
                return answered
            plan, zones = await self._check_send(connection, message, schedule, now=now, allow_empty=allow_empty)
            workflows = await self._workflows()  # before anything changes
            async with connection.transaction():
                await messages.lock_with_excluded(connection, message_id, message.audience)
                await messages.require_excluded_over(connection, message.audience)  # again: one may be reopened
                is_other = seen is not None and seen != message.updated_at
                generation = (
                    None
                    if is_other
                    else await messages.schedule(
                        connection,
                        message_id,
                        schedule,
                        seen=message.updated_at,
                        accepted_at=now,
                        next_slot_at=plan.first_due_of(zones) or plan.first_due_at,
                        ends_at=end_of(schedule),
                    )
                )
                if generation is not None:
                    await commands.record(
                        connection,
                        message_id,
                        generation,
                        command,
                        ReceiptOutcome.DONE,
                        before=MessageStatus.DRAFT,
                        after=MessageStatus.SCHEDULED,
                        effective_at=now,
                        details=schedule.model_dump(mode="json"),
                    )
            if generation is None:  # somebody was faster
                now_stored = await messages.get(connection, message_id)
                if now_stored.status is MessageStatus.DRAFT:
                    raise ChangedMeanwhile(now_stored.updated_at)
                await self._refuse(connection, now_stored, command)
                raise AssertionError("refusing raises")
        with suppress(Unreachable):  # scheduled all the same: a worker's sweep starts what nobody has adopted
            await workflows.start(message_id, generation, message.name)
        return await self._result(message_id, command)

    async def unschedule(self, message_id: str, asked_by: AskedBy) -> CommandResult:
        """Make the scheduled message a draft again, then terminate its workflow.

        First the conditional change in the database, then the terminate: whoever changes the row first wins, this or
        the beginning of the send. A terminate that fails is repeated by the sweep; the workflow does nothing by then.
        """
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            command = _command(Verb.UNSCHEDULE, asked_by)
            if (answered := await self._answered_already(connection, message, command)) is not None:
                return answered
            workflows = await self._workflows()
            async with connection.transaction():
                is_draft = await messages.back_to_draft(connection, message_id, message.generation, command)
            if not is_draft:  # the send has begun meanwhile
                await self._refuse(connection, await messages.get(connection, message_id), command)
        with suppress(Unreachable):  # a draft all the same: the sweep repeats the terminate
            await workflows.terminate(message_id, message.generation, f"unscheduled by {asked_by.actor}")
            await messages.forget_terminate(self._pool, message_id, message.generation)
        return await self._result(message_id, command)

    async def pause(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        return await self._ask_workflow(Verb.PAUSE, message_id, asked_by, wait)

    async def resume(
        self, message_id: str, asked_by: AskedBy, *, ends_at: datetime | None = None, wait: timedelta = DEFAULT_WAIT
    ) -> CommandResult:
        if ends_at is not None:
            message = await self.message(message_id)
            if message.status is MessageStatus.PAUSED:  # otherwise it is not the end date that is wrong
                ends_at = check_new_end(ends_at, message.schedule, now=await self._clock())
        return await self._ask_workflow(Verb.RESUME, message_id, asked_by, wait, ends_at)

    async def cancel(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        return await self._ask_workflow(Verb.CANCEL, message_id, asked_by, wait)

    async def resume_preview(self, message_id: str, *, ends_at: datetime | None = None) -> ResumePreview:
        message = await self.message(message_id)
        require(message.status, Verb.RESUME)
        now = await self._clock()
        end = check_new_end(ends_at, message.schedule, now=now) if ends_at is not None else None
        preview = await self._sending.preview_resume(message_id, message.generation, as_of=now, ends_at=end)
        if preview is None:
            raise NotFound(f"There is no message {message_id}.", id=message_id)
        changes, table = preview
        return describe_resume(message, changes, table, now=now)

    # -- in doubt -----------------------------------------------------------------------------------------------

    async def in_doubt(self, message_id: str, *, after: int = 0) -> AsyncGenerator[RecipientInDoubt, None]:
        async with self._pool.acquire() as connection:
            with_message_id = message_ids_of(await messages.get(connection, message_id))
            async with aclosing(in_doubt.listed(connection, message_id, after)) as rows:
                async for recipient in rows:
                    yield with_message_id(recipient)

    async def accept_in_doubt(
        self, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None = None
    ) -> CommandResult:
        return await self._decide(Verb.ACCEPT, message_id, asked_by, whom)

    async def resend_in_doubt(
        self, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None = None
    ) -> CommandResult:
        """Return them to the send; one that was over goes on under the next generation, with a workflow of its own.

        When the start fails after that, a worker's sweep starts it.
        """
        return await self._decide(Verb.RESEND, message_id, asked_by, whom)

    async def _decide(
        self, verb: Verb, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None
    ) -> CommandResult:
        command, named = _command(verb, asked_by), named_recipients(whom)
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            if (answered := await self._answered_already(connection, message, command)) is not None:
                return answered
            # Before anything changes. Accepting needs none: nobody who is in doubt keeps a send from its end.
            workflows = await self._workflows() if verb is Verb.RESEND else None
            try:
                async with connection.transaction():
                    decision = await in_doubt.decide(connection, message_id, command, named)
            except Refused as refused:
                message = await messages.get(connection, message_id)
                await self._record_refusal(connection, message, command, refused.message)
                raise
        if workflows is not None:
            with suppress(Unreachable):
                if decision.reopened:
                    await workflows.start(message_id, decision.generation, decision.name, decision.status)
                elif decision.status is MessageStatus.SENDING:
                    await workflows.wake(message_id, decision.generation)  # it may sleep until a later slot
        return await self._result(message_id, command)

    # -- servers ------------------------------------------------------------------------------------------------

    async def check_servers(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_SECONDS):
                await self._pool.fetchval("select 1")
        except TimeoutError as error:
            raise Unreachable(f"The database did not answer within {_ANSWER_WITHIN_SECONDS:g} s.") from error
        await (await self._workflows()).ping()

    # -- how a command is asked ---------------------------------------------------------------------------------

    async def _ask_workflow(
        self, verb: Verb, message_id: str, asked_by: AskedBy, wait: timedelta, ends_at: datetime | None = None
    ) -> CommandResult:
        """Record the command, signal it, and wait for its receipt. Raises IllegalTransition when it was refused."""
        command = _command(verb, asked_by)
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            # A resume to another end date than the one that holds is not the same again.
            same = ends_at is None or (message.schedule is not None and end_of(message.schedule) == ends_at)
            if (answered := await self._answered_already(connection, message, command, same=same)) is not None:
                return answered
            workflows = await self._workflows()  # before anything is recorded
            details = {"ends_at": ends_at.isoformat()} if ends_at else None
            await commands.ask(connection, message_id, message.generation, command, details)
        with suppress(Unreachable):  # asked all the same: the sweep signals again what is not answered
            if not await workflows.signal(message_id, message.generation, command):
                await unheard.answer(self._pool, message_id, command)
        receipt = await self._receipt_within(message_id, command, wait)
        after = await self.message(message_id)
        if receipt is not None and receipt.outcome is ReceiptOutcome.REFUSED:
            ruling = rule(MessageStatus(receipt.status_after), verb)
            why = receipt.explanation or ruling.why
            raise IllegalTransition(why, status=receipt.status_after, allowed=ruling.allowed)
        return CommandResult(message=after, receipt=receipt)

    async def _answered_already(
        self, connection: Connection, message: Message, command: Command, *, same: bool = True
    ) -> CommandResult | None:
        """Answer a command that needs no doing: asked before, fulfilled already, or (IllegalTransition) refused.

        `same` is whether a repeated command asks for what was done (`models.transitions.rule`). An id that
        another command has is refused: it is a mistake, and who asks here hears of it.
        """
        if await commands.is_taken(connection, message.id, command):
            raise InvalidInput(
                f"Another command has the id {command.command_id}; give this {command.verb} one of its own.",
                field="command_id",
            )
        receipt = await commands.receipt(connection, message.id, command)
        if receipt is None:
            last = await commands.last_effective(connection, message.id)
            ruling = rule(message.status, command.verb, last.verb if last else None, same=same)
            if ruling.kind == "legal" or self._is_for_the_workflow(message, command, ruling):
                return None
            if ruling.kind == "refused" or last is None:
                await self._refuse(connection, message, command, ruling)
                return None
            await commands.ask(connection, message.id, message.generation, command)
            await commands.answer_again(connection, message.id, command, last)
            receipt = await commands.receipt(connection, message.id, command)
        return CommandResult(message=message, receipt=receipt)

    @staticmethod
    def _is_for_the_workflow(message: Message, command: Command, ruling: Ruling) -> bool:
        """Whether only the workflow may answer, behind what it was asked before.

        What is fulfilled now need not stay so: a resume may be under way that a pause, answered here with the old
        receipt, would let pass. And what is refused now may be right once the pending command is obeyed.
        """
        signaled = command.verb in (Verb.PAUSE, Verb.RESUME, Verb.CANCEL) and message.status.has_workflow
        return signaled and (ruling.kind == "fulfilled" or message.pending_command is not None)

    async def _refuse(
        self, connection: Connection, message: Message, command: Command, ruling: Ruling | None = None
    ) -> None:
        """Record the refusal and raise it."""
        ruling = ruling or rule(message.status, command.verb)
        await self._record_refusal(connection, message, command, ruling.why)
        raise IllegalTransition(ruling.why, status=message.status, allowed=ruling.allowed)

    @staticmethod
    async def _record_refusal(connection: Connection, message: Message, command: Command, why: str) -> None:
        await commands.record(
            connection,
            message.id,
            message.generation,
            command,
            ReceiptOutcome.REFUSED,
            before=message.status,
            after=message.status,
            explanation=why,
        )

    async def _result(self, message_id: str, command: Command) -> CommandResult:
        message = await self.message(message_id)
        return CommandResult(message=message, receipt=await commands.receipt(self._pool, message_id, command))

    async def _receipt_within(self, message_id: str, command: Command, wait: timedelta) -> Receipt | None:
        deadline = time.monotonic() + wait.total_seconds()
        look_again_after = _FIRST_LOOK_SECONDS
        while True:
            receipt = await commands.receipt(self._pool, message_id, command)
            if receipt is not None or time.monotonic() >= deadline:
                return receipt
            await asyncio.sleep(look_again_after)
            look_again_after = min(look_again_after * 1.1, _SLOWEST_LOOK_SECONDS)

    # -- checks -------------------------------------------------------------------------------------------------

    async def _check_send(
        self, connection: Connection, message: Message, schedule: Schedule, *, now: datetime, allow_empty: bool
    ) -> tuple[Plan, dict[str | None, int]]:
        """Refuse what cannot be sent so; nothing has changed then. Return the plan, and the zones of the audience."""
        check_schedule(schedule, now=now)
        content = content_of(message)
        await self.check_content(connection, content)
        self.check_links(content)
        await messages.require_excluded_over(connection, message.audience)
        if not allow_empty and not await audiences.size(connection, message.audience):
            raise InvalidInput(
                "The audience is empty: nobody would be mailed. Change it, or allow an empty send (--allow-empty).",
                field="audience",
                code="empty_audience",
            )
        plan = make_plan(schedule, accepted_at=now)
        zones = await audiences.zones(connection, message.audience, plan)
        check_plan(schedule, plan, zones, accepted_at=now)
        return plan, zones

    def _with_fallback(self, schedule: Schedule) -> Schedule:
        """Return the schedule with the fallback zone that holds now: a setting that changes later changes no send."""
        if not schedule.is_by_contact_zone or schedule.fallback_time_zone is not None:
            return schedule
        return schedule.model_copy(update={"fallback_time_zone": self._default_time_zone})


async def database_clock(pool: Pool) -> datetime:
    """Return the database's time: one clock for all who ask."""
    now: datetime = await pool.fetchval("select clock_timestamp()")
    return now


def _command(verb: Verb, asked_by: AskedBy) -> Command:
    """Return the command as it is recorded. Raises InvalidInput when its reason cannot be kept."""
    check_reason(asked_by.reason)
    # Printable: it is a part of addresses, and of what is printed on terminals.
    if not 1 <= len(asked_by.command_id) <= _LONGEST_ID or not asked_by.command_id.isprintable():
        raise InvalidInput(f"The id of a command is one line of 1 to {_LONGEST_ID} characters.", field="command_id")
    return Command(
        command_id=asked_by.command_id,
        verb=verb,
        actor=asked_by.actor,
        reason=asked_by.reason,
        source=asked_by.source,
        requested_at=datetime.now(UTC),
    )
