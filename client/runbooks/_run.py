"""One run of a runbook: the steps it can take, each of which tells what it did.

A dry run tells each step and takes none. A run that ends in the middle leaves what its last step told, and the same
command goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from client.cli.output import one_line
from client.cli.receipts import counts_sentence, not_confirmed_sentence, receipt_sentence
from client.cli.schedule_words import in_words
from client.interface import AskedBy, AudiencePreview, CommandResult, ResumePreview, UseCases
from models.commands import HistoryEntry, Receipt, ReceiptOutcome, Verb
from models.errors import Refused, SendgateError
from models.message import Message, MessageContent, MessageStatus
from models.schedule import Schedule

SOURCE = "runbook"
#: The id that stands for a copy that a dry run has not made.
COPY_TO_BE = "COPY"


class Step(BaseModel):
    """A step that was taken, or in a dry run would be."""

    model_config = ConfigDict(frozen=True)

    step: str = Field(description="A verb, or what was looked at: preview, note, ask.")
    message_id: str | None = None
    says: str
    receipt: Receipt | None = None


class NotConfirmed(Exception):
    """A command was accepted and has no receipt yet, so nobody may go on as though it had taken hold."""

    def __init__(self, verb: Verb, messages: Sequence[Message]) -> None:
        ids = ", ".join(message.id for message in messages)
        super().__init__(
            f"The {verb} of {ids} is NOT confirmed, so this goes no further; run it again to go on from here."
        )
        self.verb = verb
        self.ids = [message.id for message in messages]


class Declined(Exception):
    """The operator answered no. What the steps before did stays done."""


class Operator(Protocol):
    """Whoever runs it: is told every step, and asked where a person should decide."""

    def tell(self, step: Step) -> None: ...
    async def wait(self, request: str) -> None:
        """Return when the operator has done what is asked for. May raise Declined, or InvalidInput: nobody answers."""

    async def confirm(self, question: str) -> None:
        """Return if the answer is yes, else raise Declined. May raise InvalidInput: nobody answers."""


class Looking(Protocol):
    """The use cases that change nothing: see `client.interface.UseCases`."""

    async def message(self, message_id: str) -> Message: ...
    async def messages(
        self, *, statuses: Sequence[MessageStatus] = (), limit: int = 50, after: str | None = None
    ) -> tuple[list[Message], str | None]: ...
    async def messages_containing(self, text: str, *, statuses: Sequence[MessageStatus]) -> list[str]: ...
    async def audience_preview(self, message_id: str, *, sample: int = 5) -> AudiencePreview: ...
    async def resume_preview(self, message_id: str) -> ResumePreview: ...
    async def history(self, message_id: str) -> list[HistoryEntry]: ...


class Run:
    """What the steps of a runbook work with. Errors of the use cases end the run, unless a step says otherwise."""

    def __init__(
        self,
        name: str,
        use: UseCases,
        operator: Operator,
        *,
        asked_by: Callable[[str], AskedBy],
        wait: timedelta,
        dry_run: bool = False,
    ) -> None:
        self.name = name
        self.look: Looking = use
        self.dry_run = dry_run
        self._use = use
        self._operator = operator
        self._asked_by = asked_by
        self._wait = wait  # for each receipt

    # -- telling and asking ---------------------------------------------------------------------------------------

    def reason(self, text: str) -> str:
        """The reason that stands in the history, by which a later run knows what this one did."""
        return f"runbook {self.name}: {text}"

    def tell(self, step: str, says: str, message: Message | None = None, receipt: Receipt | None = None) -> None:
        self._operator.tell(Step(step=step, message_id=message.id if message else None, says=says, receipt=receipt))

    async def wait(self, request: str) -> None:
        if self.dry_run:
            self.tell("ask", f"Would wait: {request}")
        else:
            await self._operator.wait(request)

    async def confirm(self, question: str) -> None:
        if self.dry_run:
            self.tell("ask", f"Would ask: {question}")
        else:
            await self._operator.confirm(question)

    async def last_effective(self, message: Message) -> HistoryEntry | None:
        """Return the last command that took effect on a message."""
        entries = await self.look.history(message.id)
        return next((entry for entry in reversed(entries) if took_effect(entry)), None)

    # -- steps ----------------------------------------------------------------------------------------------------

    async def pause(self, messages: Sequence[Message], why: str) -> None:
        """Pause all of them at the same moment.

        One that can no longer be paused is told and passed over: it is over or paused, so nothing of it leaves.
        Raises NotConfirmed, or whatever kept one from being asked, when all the others have answered.
        """
        await self._command(Verb.PAUSE, self._use.pause, messages, why)

    async def resume(self, messages: Sequence[Message], why: str) -> None:
        """Resume all of them. Raises for the first that was refused or not confirmed when all have answered."""
        refused = await self._command(Verb.RESUME, self._use.resume, messages, why)
        if refused:
            raise refused[0]

    async def cancel(self, message: Message, why: str) -> Message:
        """Cancel, and return the message as it is then: `sent` if the last email was faster."""
        refused = await self._command(Verb.CANCEL, self._use.cancel, [message], why)
        if refused:
            raise refused[0]
        return await self.look.message(message.id)

    async def unschedule(self, message: Message, why: str) -> None:
        if self._only_told(Verb.UNSCHEDULE, message, "unschedule it: a draft until the next step"):
            return
        self._tell_receipt(message, await self._use.unschedule(message.id, self._asked_by(why)))

    async def copy_without_recipients(self, message: Message, name: str) -> Message:
        """Copy as a draft that leaves out whomever the original reached or may have reached.

        In a dry run the copy's id is COPY_TO_BE.
        """
        if self._only_told(Verb.COPY, message, f"copy it for those whom it has not reached, as “{one_line(name)}”"):
            return message.model_copy(update={"id": COPY_TO_BE, "name": name})
        copied = await self._use.copy(message.id, exclude_recipients=True, name=name)
        says = f"{label(copied)} is a draft for those whom {message.id} has not reached."
        self.tell(Verb.COPY, says, copied)
        return copied

    async def edit(self, draft: Message, content: MessageContent, what: str) -> Message:
        if self._only_told(Verb.EDIT, draft, f"put in: {what}"):
            return draft
        changed = await self._use.edit(draft.id, content)
        self.tell(Verb.EDIT, f"{label(changed)} has a new {what}.", changed)
        return changed

    async def send(self, draft: Message, schedule: Schedule, why: str, *, allow_empty: bool = False) -> None:
        """Send or schedule a draft. Raises Refused when somebody else was faster, with another time."""
        when = in_words(schedule)
        if self._only_told(Verb.SEND, draft, f"send it {when}"):
            return
        result = await self._use.send(draft.id, schedule, self._asked_by(why), allow_empty=allow_empty)
        if result.message.schedule != schedule:
            raise Refused(f"{label(draft)} was sent by somebody else meanwhile, at another time.", id=draft.id)
        self._tell_receipt(result.message, result, f"It is sent {when}; `sendgate watch {draft.id}` shows it.")

    # -- how a step is taken --------------------------------------------------------------------------------------

    async def _command(
        self, verb: Verb, ask: Callable[..., Awaitable[CommandResult]], messages: Sequence[Message], why: str
    ) -> list[Refused]:
        """Ask for `verb` on all of them at once, and tell each answer. Return the refusals."""
        asked = [m for m in messages if not self._only_told(verb, m, f"{verb} it: {counts_sentence(m.counts)}")]
        answers = await asyncio.gather(
            *(ask(message.id, self._asked_by(why), wait=self._wait) for message in asked), return_exceptions=True
        )
        refused: list[Refused] = []
        failed: list[BaseException] = []
        unconfirmed: list[Message] = []
        for message, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Refused):
                refused.append(answer)
                self.tell(verb, f"{label(message)}: {answer.message}", message)
            elif isinstance(answer, BaseException):
                failed.append(answer)
                why_not = answer.message if isinstance(answer, SendgateError) else type(answer).__name__
                self.tell(verb, f"{label(message)}: NOT known to have taken hold: {why_not}", message)
            elif answer.receipt is None:
                unconfirmed.append(message)
                warning = not_confirmed_sentence(verb, answer.message, self._wait)
                self.tell(verb, f"{label(message)}: {warning}", message)
            else:
                self._tell_receipt(message, answer)
                if answer.receipt.outcome is not ReceiptOutcome.DONE:
                    sentence = f"{label(message)}: {receipt_sentence(answer.receipt)}"
                    refused.append(Refused(sentence, status=answer.receipt.status_after))
        if failed:
            raise failed[0]
        if unconfirmed:
            raise NotConfirmed(verb, unconfirmed)
        return refused

    def _only_told(self, verb: Verb, message: Message, what: str) -> bool:
        if self.dry_run:
            self.tell(verb, f"{label(message)}: would {what}.", message)
        return self.dry_run

    def _tell_receipt(self, message: Message, result: CommandResult, more: str = "") -> None:
        assert result.receipt is not None  # whoever may have to wait for one has looked
        says = f"{label(message)}: {receipt_sentence(result.receipt)} {more}".rstrip()
        self.tell(result.receipt.command, says, message, result.receipt)


def label(message: Message) -> str:
    return f"{message.id} ({one_line(message.name)})"


def took_effect(entry: HistoryEntry) -> bool:
    return entry.receipt is not None and entry.receipt.outcome is ReceiptOutcome.DONE
