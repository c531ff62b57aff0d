"""The use cases of Sendgate, once: every door (command line, API, pages, runbooks) asks here.

Each checks what was given, asks `models.transitions` whether it is legal, changes the database in one conditional
statement, and tells the workflow. Whoever needs Temporal connects before anything is changed: a server that is down
leaves nothing half done. What a crash between the two leaves is put right by the sweep.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta

from activities.ports import RenderingFailed, Transport
from activities.rendering import attributes_named, check_templates, compile_message
from client.interface import (
    DEFAULT_WAIT,
    AskedBy,
    AudiencePreview,
    CommandResult,
    Progress,
    ResumePreview,
    SendTestOutcome,
)
from client.temporal import Workflows
from models.audience import Audience
from models.commands import Command, HistoryEntry, Receipt, ReceiptOutcome, Verb
from models.contact import Contact, ImportResult, ListSummary, check_address, is_storable
from models.content import check_content
from models.errors import ExclusionNotFinal, IllegalTransition, InvalidInput, NotFound, Unreachable
from models.message import Message, MessageContent, MessageStatus
from models.recipient import ClaimedRecipient, Outcome, Recipient, RecipientStatus, Verdict
from models.schedule import Schedule, check_schedule
from models.transitions import Ruling, require, rule
from storage import audience as audiences
from storage import commands, contacts, ledger, messages
from storage.contact_import import import_csv
from storage.database import Connection, Pool
from storage.sending import Sending

_FIRST_LOOK_SECONDS = 0.005
_SLOWEST_LOOK_SECONDS = 0.1
_PACE_OVER = timedelta(seconds=10)
_LONGEST_REASON = 500


class BatchMessages:
    """The use cases in process, on the database and Temporal. See `client.interface.UseCases` for each."""

    def __init__(
        self, pool: Pool, workflows: Callable[[], Awaitable[Workflows]], transport: Callable[[], Transport]
    ) -> None:
        self._pool = pool
        self._workflows = workflows  # connects at the first call; raises Unreachable
        self._transport = transport  # for test emails alone
        self._sending = Sending(pool, max_late=timedelta.max)

    # -- contacts -----------------------------------------------------------------------------------------------

    async def import_contacts(
        self, path: str, *, list_name: str | None, on_progress: Callable[[int, int], None] | None = None
    ) -> ImportResult:
        return await import_csv(self._pool, path, list_name=list_name, on_progress=on_progress)

    async def contacts(self, *, list_name: str | None = None, limit: int = 100, after: int = 0) -> list[Contact]:
        async with self._pool.acquire() as connection:
            return await contacts.list_contacts(connection, list_name=list_name, limit=limit, after=after)

    async def lists(self) -> list[ListSummary]:
        async with self._pool.acquire() as connection:
            return await contacts.list_lists(connection)

    async def suppress(self, addresses: Sequence[str], *, reason: str) -> int:
        async with self._pool.acquire() as connection:
            return await contacts.suppress(connection, addresses, reason=reason)

    async def unsuppress(self, addresses: Sequence[str]) -> int:
        async with self._pool.acquire() as connection:
            return await contacts.unsuppress(connection, addresses)

    # -- drafts -------------------------------------------------------------------------------------------------

    async def create(self, content: MessageContent) -> Message:
        async with self._pool.acquire() as connection:
            await self._check(connection, content)
            message_id = await messages.insert(connection, content)
        return await self.message(message_id)

    async def edit(self, message_id: str, content: MessageContent) -> Message:
        async with self._pool.acquire() as connection:
            require((await messages.get(connection, message_id)).status, Verb.EDIT)
            await self._check(connection, content)
            if not await messages.replace_content(connection, message_id, content):
                require((await messages.get(connection, message_id)).status, Verb.EDIT)
        return await self.message(message_id)

    async def delete(self, message_id: str) -> None:
        async with self._pool.acquire() as connection:
            require((await messages.get(connection, message_id)).status, Verb.DELETE)
            if not await messages.delete(connection, message_id):
                require((await messages.get(connection, message_id)).status, Verb.DELETE)

    async def copy(self, message_id: str, *, exclude_recipients: bool = False, name: str | None = None) -> Message:
        """Copy as a draft; on demand without everybody whom the original reached or may have reached."""
        async with self._pool.acquire() as connection:
            original = await messages.get(connection, message_id)
            content = _content_of(original)
            changes: dict[str, object] = {"name": name or f"Copy of {original.name}"[:200]}
            if exclude_recipients:
                excluded = dict.fromkeys((*original.audience.exclude_recipients_of, message_id))
                changes["audience"] = original.audience.model_copy(update={"exclude_recipients_of": tuple(excluded)})
            content = content.model_copy(update=changes)
            check_content(content)  # the name is new; a list that is gone by now is told when the copy is sent
            copied = await messages.insert(connection, content, copied_from=message_id)
        return await self.message(copied)

    async def message(self, message_id: str) -> Message:
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            if message.status in (MessageStatus.DRAFT, MessageStatus.SCHEDULED):
                preview = await audiences.preview(connection, message.audience, sample=0)
                message = message.model_copy(update={"audience_estimate": preview.count})
        return message

    async def messages(
        self, *, statuses: Sequence[MessageStatus] = (), limit: int = 50, after: str | None = None
    ) -> tuple[list[Message], str | None]:
        async with self._pool.acquire() as connection:
            if after is not None and await messages.missing(connection, [after]):
                raise NotFound(f"There is no message {after} to go on after.", id=after)
            page = await messages.page(connection, statuses=statuses, limit=limit + 1, after=after)
        return page[:limit], page[limit - 1].id if len(page) > limit else None

    async def messages_containing(self, text: str, *, statuses: Sequence[MessageStatus]) -> list[str]:
        async with self._pool.acquire() as connection:
            return await messages.containing(connection, text, statuses)

    async def audience_preview(self, message_id: str, *, sample: int = 5) -> AudiencePreview:
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            await audiences.check_lists_exist(connection, message.audience)
            preview = await audiences.preview(connection, message.audience, sample=sample)
            names = sorted(attributes_named(message))
            lacking = await audiences.count_lacking(connection, message.audience, names)
        return AudiencePreview(
            count=preview.count,
            suppressed=preview.suppressed,
            excluded=preview.excluded,
            sample=preview.sample,
            lacking={name: count for name, count in lacking.items() if count},
        )

    async def rendered(self, message_id: str, contact_id: int | None = None) -> bytes:
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            recipient = await self._someone(connection, message.audience, contact_id)
        try:
            return compile_message(message_id, message).render(recipient).content
        except RenderingFailed as error:
            raise InvalidInput(f"The email for contact {recipient.contact_id} cannot be made: {error}") from error

    async def send_test(self, message_id: str, addresses: Sequence[str]) -> list[SendTestOutcome]:
        checked = [check_address(address) for address in addresses]
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            example = await self._someone(connection, message.audience, None)
        compiled = compile_message(message_id, message)
        transport = self._transport()
        outcomes = []
        for address in checked:
            recipient = ClaimedRecipient(0, address, 1, example.time_zone, example.attributes)
            try:
                outcome = await transport.hand_over(compiled.render(recipient), _Always())
            except RenderingFailed as error:
                outcome = Outcome(Verdict.FAILED, reply=str(error))
            outcomes.append(
                SendTestOutcome(
                    address=address, verdict=outcome.verdict, smtp_code=outcome.smtp_code, reply=outcome.reply
                )
            )
        return outcomes

    # -- commands -----------------------------------------------------------------------------------------------

    async def plan(self, message_id: str, schedule: Schedule, *, allow_empty: bool = False) -> AudiencePreview:
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            require(message.status, Verb.SEND)
            await self._check_send(connection, message, schedule, allow_empty=allow_empty)
        return await self.audience_preview(message_id)

    async def send(
        self, message_id: str, schedule: Schedule, asked_by: AskedBy, *, allow_empty: bool = False
    ) -> CommandResult:
        """Move the draft to scheduled under a new generation, and start its workflow.

        When the start fails after that, the message stays scheduled and a worker's sweep starts it.
        """
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            command = _command(Verb.SEND, asked_by)
            same = message.schedule == schedule
            if (answered := await self._answered_already(connection, message, command, same=same)) is not None:
                return answered
            await self._check_send(connection, message, schedule, allow_empty=allow_empty)
            workflows = await self._workflows()  # before anything changes
            async with connection.transaction():
                scheduled = await messages.schedule(connection, message_id, schedule)
                if scheduled is not None:
                    generation, accepted_at = scheduled
                    await commands.ask(connection, message_id, generation, command, schedule.model_dump(mode="json"))
                    await commands.answer(
                        connection,
                        command.command_id,
                        message_id,
                        ReceiptOutcome.DONE,
                        before=MessageStatus.DRAFT,
                        after=MessageStatus.SCHEDULED,
                        effective_at=accepted_at,
                    )
            if scheduled is None:  # somebody was faster
                await self._refuse(connection, await messages.get(connection, message_id), command)
        with suppress(Unreachable):  # scheduled all the same: a worker's sweep starts what nobody has adopted
            await workflows.start(message_id, generation, message.name)
        return CommandResult(
            message=await self.message(message_id), receipt=await commands.receipt(self._pool, command.command_id)
        )

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
                unscheduled_at = await messages.unschedule(connection, message_id, message.generation)
                if unscheduled_at is not None:
                    await commands.ask(connection, message_id, message.generation, command)
                    await commands.answer(
                        connection,
                        command.command_id,
                        message_id,
                        ReceiptOutcome.DONE,
                        before=MessageStatus.SCHEDULED,
                        after=MessageStatus.DRAFT,
                        effective_at=unscheduled_at,
                    )
            if unscheduled_at is None:  # the send has begun meanwhile
                await self._refuse(connection, await messages.get(connection, message_id), command)
        with suppress(Unreachable):  # a draft all the same: the sweep repeats the terminate
            await workflows.terminate(message_id, message.generation, f"unscheduled by {asked_by.actor}")
            await messages.forget_terminate(self._pool, message_id, message.generation)
        return CommandResult(
            message=await self.message(message_id), receipt=await commands.receipt(self._pool, command.command_id)
        )

    async def pause(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        return await self._ask_workflow(Verb.PAUSE, message_id, asked_by, wait)

    async def resume(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        return await self._ask_workflow(Verb.RESUME, message_id, asked_by, wait)

    async def cancel(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        return await self._ask_workflow(Verb.CANCEL, message_id, asked_by, wait)

    async def resume_preview(self, message_id: str) -> ResumePreview:
        message = await self.message(message_id)
        require(message.status, Verb.RESUME)
        preview = await self._sending.preview_resume(message_id, message.generation)
        if preview is None:
            raise NotFound(f"There is no message {message_id}.", id=message_id)
        changes, counts = preview
        return ResumePreview(
            to_send=counts.pending + counts.deferred,
            joiners=changes.joiners,
            leavers=changes.leavers,
            suppressed=changes.suppressed,
            returning=changes.returning,
        )

    # -- looking ------------------------------------------------------------------------------------------------

    async def progress(self, message_id: str) -> Progress:
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            times = await messages.times(connection, message_id)
            rate = None
            if message.status is MessageStatus.SENDING:
                rate = await ledger.pace(connection, message_id, _PACE_OVER)
        to_go = message.counts.pending + message.counts.claimed
        return Progress(
            id=message_id,
            status=message.status,
            counts=message.counts,
            pending_command=message.pending_command,
            in_flight=message.in_flight,
            rate_per_second=rate,
            eta=datetime.now(UTC) + timedelta(seconds=to_go / rate) if rate and to_go else None,
            began_at=times.began_at,
            finished_at=times.finished_at,
            next_slot_at=message.next_slot_at,
        )

    async def recipients(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = ()
    ) -> AsyncGenerator[Recipient, None]:
        async with self._pool.acquire() as connection:
            await messages.get(connection, message_id)
            # Left early, the cursor is closed before its connection goes back to the pool.
            async with aclosing(ledger.recipients(connection, message_id, statuses)) as rows:
                async for recipient in rows:
                    yield recipient

    async def history(self, message_id: str) -> list[HistoryEntry]:
        async with self._pool.acquire() as connection:
            await messages.get(connection, message_id)
            return await commands.history(connection, message_id)

    # -- how a command is asked ---------------------------------------------------------------------------------

    async def _ask_workflow(self, verb: Verb, message_id: str, asked_by: AskedBy, wait: timedelta) -> CommandResult:
        """Record the command, signal it, and wait for its receipt. Raises IllegalTransition when it was refused."""
        command = _command(verb, asked_by)
        async with self._pool.acquire() as connection:
            message = await messages.get(connection, message_id)
            if (answered := await self._answered_already(connection, message, command)) is not None:
                return answered
            workflows = await self._workflows()  # before anything is recorded
            await commands.ask(connection, message_id, message.generation, command)
        with suppress(Unreachable):  # asked all the same: the sweep signals again what is not answered
            if not await workflows.signal(message_id, message.generation, command):
                await self._sending.answer_unheard(message_id, command)
        receipt = await self._receipt_within(command.command_id, wait)
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

        `same` is whether a repeated command asks for what was done (`models.transitions.rule`).
        """
        receipt = await commands.receipt(connection, command.command_id)
        if receipt is None:
            last = await commands.last_effective(connection, message.id)
            ruling = rule(message.status, command.verb, last[1] if last else None, same=same)
            if ruling.kind == "legal":
                return None
            if ruling.kind == "refused" or last is None:
                await self._refuse(connection, message, command, ruling)
                return None
            await commands.ask(connection, message.id, message.generation, command)
            await commands.answer_again(connection, command.command_id, last[0])
            receipt = await commands.receipt(connection, command.command_id)
        return CommandResult(message=message, receipt=receipt)

    async def _refuse(
        self, connection: Connection, message: Message, command: Command, ruling: Ruling | None = None
    ) -> None:
        """Record the refusal and raise it."""
        ruling = ruling or rule(message.status, command.verb)
        await commands.ask(connection, message.id, message.generation, command)
        await commands.answer(
            connection,
            command.command_id,
            message.id,
            ReceiptOutcome.REFUSED,
            before=message.status,
            after=message.status,
            explanation=ruling.why,
        )
        raise IllegalTransition(ruling.why, status=message.status, allowed=ruling.allowed)

    async def _receipt_within(self, command_id: str, wait: timedelta) -> Receipt | None:
        deadline = time.monotonic() + wait.total_seconds()
        look_again_after = _FIRST_LOOK_SECONDS
        while True:
            receipt = await commands.receipt(self._pool, command_id)
            if receipt is not None or time.monotonic() >= deadline:
                return receipt
            await asyncio.sleep(look_again_after)
            look_again_after = min(look_again_after * 1.3, _SLOWEST_LOOK_SECONDS)

    # -- checks -------------------------------------------------------------------------------------------------

    async def _check(self, connection: Connection, content: MessageContent) -> None:
        """Refuse content that could not be sent, before it is stored."""
        check_content(content)
        check_templates(content)
        await audiences.check_lists_exist(connection, content.audience)
        missing = await messages.missing(connection, content.audience.exclude_recipients_of)
        if missing:
            raise InvalidInput(
                f"There is no message {missing[0]} whose recipients could be excluded.",
                field="audience.exclude_recipients_of",
            )

    async def _check_send(
        self, connection: Connection, message: Message, schedule: Schedule, *, allow_empty: bool
    ) -> None:
        """Refuse what cannot be sent so; nothing has changed then."""
        check_schedule(schedule, now=datetime.now(UTC))
        await self._check(connection, _content_of(message))
        unfinished = await messages.unfinished_exclusion(connection, message.audience)
        if unfinished is not None:
            raise ExclusionNotFinal(
                f"The audience excludes the recipients of {unfinished['name']} ({unfinished['id']}), which is"
                f" {unfinished['status']} and could still mail them; cancel it first, or wait until it is sent.",
                excluded=unfinished["id"],
                status=unfinished["status"],
            )
        if not allow_empty and not (await audiences.preview(connection, message.audience, sample=0)).count:
            raise InvalidInput(
                "The audience is empty: nobody would be mailed. Change it, or allow an empty send (--allow-empty).",
                field="audience",
                code="empty_audience",
            )

    async def _someone(self, connection: Connection, audience: Audience, contact_id: int | None) -> ClaimedRecipient:
        """Return a contact as a recipient: the one asked for, or the first of the audience, or nobody in particular."""
        if contact_id is not None:
            contact: Contact | None = await contacts.get_contact(connection, contact_id)
        else:
            sample = (await audiences.preview(connection, audience, sample=1)).sample
            contact = sample[0] if sample else None
        if contact is None:
            return ClaimedRecipient(0, "somebody@example.com", 1, None, {})
        return ClaimedRecipient(contact.id, contact.address, 1, contact.time_zone, contact.attributes)


class _Always:
    """The permit of a test email: nobody can stop it."""

    def may_start(self) -> bool:
        return True

    def may_write_body(self) -> bool:
        return True


def _content_of(message: Message) -> MessageContent:
    return MessageContent(**{field: getattr(message, field) for field in MessageContent.model_fields})


def _command(verb: Verb, asked_by: AskedBy) -> Command:
    """Return the command as it is recorded. Raises InvalidInput when its reason cannot be kept."""
    if len(asked_by.reason) > _LONGEST_REASON or not is_storable(asked_by.reason):
        raise InvalidInput(f"The reason is one text of at most {_LONGEST_REASON} characters.", field="reason")
    return Command(
        command_id=asked_by.command_id,
        verb=verb,
        actor=asked_by.actor,
        reason=asked_by.reason,
        source=asked_by.source,
        requested_at=datetime.now(UTC),
    )
