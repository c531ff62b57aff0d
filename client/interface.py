"""What every door may ask for, as a protocol: `client.batch_messages` does it in process.

All methods raise the errors of `models.errors`. Methods that change something take `asked_by`; repeating one with
the same `command_id` acts once.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from models.api_keys import ApiKey, NewApiKey, Role
from models.commands import HistoryEntry, Receipt
from models.contact import Contact, ContactChanges, ImportResult, ListSummary, Suppression
from models.hold import Hold, HoldEntry
from models.message import ContentChanges, Counts, Message, MessageContent, MessageStatus
from models.plan import SendPlan
from models.progress import SlotProgress, ThrottleProgress
from models.recipient import Recipient, RecipientStatus, Verdict
from models.schedule import Schedule

#: How long a pause, resume or cancel waits for its receipt.
DEFAULT_WAIT = timedelta(seconds=10)


class AskedBy(BaseModel):
    """Who asks, through what, and why. `command_id` makes asking twice harmless."""

    model_config = ConfigDict(frozen=True)

    actor: str
    source: str = "cli"
    reason: str = ""
    command_id: str = Field(default_factory=lambda: secrets.token_urlsafe(12))


class CommandResult(BaseModel):
    """The message after a command. Without `receipt` the command was accepted and is not confirmed yet (exit 6)."""

    model_config = ConfigDict(frozen=True)

    message: Message
    receipt: Receipt | None


class AudiencePreview(BaseModel):
    """Whom a draft would reach if it were sent now."""

    model_config = ConfigDict(frozen=True)

    count: int = Field(description="Contacts in the audience, suppressed ones included.")
    suppressed: int = Field(description="Of these, how many are suppressed and get nothing.")
    excluded: int = Field(description="Contacts of the lists and conditions whom the exclusions keep out.")
    sample: list[Contact] = Field(description="The first few.")
    lacking: dict[str, int] = Field(
        default_factory=dict,
        description="Attribute named in a template → how many of the audience lack it (renders empty).",
    )


class SendTestOutcome(BaseModel):
    """What became of one test email."""

    model_config = ConfigDict(frozen=True)

    address: str
    verdict: Verdict
    smtp_code: int | None = Field(description="The next hop's reply code; null: there was no reply.")
    reply: str | None = Field(description="The next hop's text, or what went wrong.")


class SendPreview(BaseModel):
    """What a send would do now: nothing is stored."""

    model_config = ConfigDict(frozen=True)

    schedule: Schedule
    plan: SendPlan
    audience: AudiencePreview


class SlotAtOnce(BaseModel):
    """A slot whose instant has passed and whose rest a resume lets go."""

    model_config = ConfigDict(frozen=True)

    due_at: datetime
    label: str
    recipients: int


class ResumePreview(BaseModel):
    """What a resume would do now."""

    model_config = ConfigDict(frozen=True)

    to_send: int = Field(description="Recipients who would still be mailed, joiners included.")
    joiners: int = Field(description="Contacts who came into the audience since the last reading.")
    leavers: int = Field(description="Unsent recipients who are no longer in the audience.")
    suppressed: int = Field(description="Unsent recipients who have been suppressed since.")
    returning: int = Field(description="Withdrawn or suppressed recipients whose cause is gone.")
    moved: int = Field(0, description="Unsent recipients whose zone was edited and whose instant is another one now.")
    at_once: int = Field(
        0, description="Recipients who would be mailed at once; with a throttle, the interrupted batch."
    )
    slots_at_once: list[SlotAtOnce] = Field(
        default_factory=list, description="The zones whose time passed; with a throttle they go batch by batch."
    )
    batch_rest: int = Field(0, description="Of these, the unsent rest of the interrupted throttle batch.")
    turns_missed: int = Field(0, description="Turns of the throttle that passed in the pause and are dropped.")
    next_begins_at: datetime | None = Field(None, description="When the next slot or throttle batch begins.")
    batches_to_come: int = Field(0, description="Throttle batches to come, besides the interrupted one.")
    ends_at: datetime | None = Field(None, description="The end date that would hold.")
    expired: int = Field(0, description="Recipients who would expire at once, because the end date has passed.")
    will_expire: int = Field(0, description="Recipients whose turn would come at or after the end date.")
    finishes_at: datetime | None = Field(
        None, description="When the last slot or throttle batch begins; null: everything goes at once."
    )


class Progress(BaseModel):
    """Counts and pace of a message."""

    model_config = ConfigDict(frozen=True)

    id: str
    status: MessageStatus
    counts: Counts
    pending_command: str | None
    in_flight: int
    rate_per_second: float | None = Field(
        description="Emails a second on average since the slot began or the send went on; null: nothing is leaving."
    )
    eta: datetime | None = Field(
        description="When the last email leaves: at this rate, and not before the last slot or throttle batch begins."
    )
    began_at: datetime | None
    finished_at: datetime | None
    next_slot_at: datetime | None = Field(description="When the next slot or throttle batch begins.")
    slots: list[SlotProgress] = Field(
        default_factory=list, description="By the contacts' zones; none: everybody is due at one instant."
    )
    throttle: ThrottleProgress | None = None


class RecipientInDoubt(Recipient):
    """Somebody in doubt: `handed_over_at` is null where nobody saw the hand-over; `settled_at` is since when."""

    email_message_id: str = Field(description="The Message-ID of the email, which the next hop's log knows it by.")


class UseCases(Protocol):
    """The use cases of Sendgate."""

    # contacts
    async def import_contacts(
        self, path: str, *, list_name: str | None, on_progress: Callable[[int, int], None] | None = None
    ) -> ImportResult:
        """Import a CSV, all good lines or (on a crash) none. `on_progress(bytes_done, bytes_total)`."""

    async def contacts(
        self, *, list_name: str | None = None, search: str = "", limit: int = 100, after: int = 0
    ) -> list[Contact]:
        """By id, behind the one with the id `after`; `search` is how their address begins."""

    async def contact(self, contact_id: int) -> Contact:
        """One contact, with its lists. Raises NotFound."""

    async def create_contact(
        self,
        address: str,
        *,
        time_zone: str | None = None,
        attributes: Mapping[str, str | None] = {},
        lists: Sequence[str] = (),
    ) -> Contact:
        """Add a contact, on lists that exist. Raises Refused when the address is a contact already."""

    async def change_contact(self, contact_id: int, changes: ContactChanges) -> Contact:
        """Change what is given, and return the contact. Raises NotFound, InvalidInput, Refused when the new address is
        another contact's. Sends that have begun keep the address they began with."""

    async def delete_contact(self, contact_id: int) -> None:
        """Delete a contact, also from its lists; a send that runs mails it no more. Raises NotFound."""

    async def lists(self) -> list[ListSummary]:
        """Every list with its size, by name."""

    async def contact_list(self, name: str) -> ListSummary:
        """One list with its size. Raises NotFound."""

    async def create_list(self, name: str) -> ListSummary:
        """Make sure that there is a list of this name."""

    async def add_to_list(self, name: str, contact_id: int) -> None:
        """Make sure that the contact is on the list."""

    async def remove_from_list(self, name: str, contact_id: int) -> None:
        """Make sure that the contact is not on the list."""

    async def suppressions(self, *, search: str = "", limit: int = 100, after: int = 0) -> list[Suppression]:
        """By id, behind the one with the id `after`; `search` is how their address begins."""

    async def suppress(self, addresses: Sequence[str], *, reason: str) -> int:
        """Mail these addresses no more, from the next claim on; return how many were not suppressed before.

        They need not be contacts. All of them or, when one cannot be an address (InvalidInput), none.
        """

    async def unsuppress(self, addresses: Sequence[str]) -> int:
        """Let these addresses be mailed again, and return how many were suppressed. Raises InvalidInput.

        A send that runs takes them up at its next resume.
        """

    async def lift_suppression(self, suppression_id: int) -> None:
        """Let one address be mailed again. Raises NotFound."""

    # links in emails
    async def check_unsubscribe(self, token: str) -> None:
        """Return if the token of an unsubscribe link is good; changes nothing. Raises NotFound."""

    async def unsubscribe(self, token: str) -> None:
        """Suppress the address that the email went to, from the next claim on. Again is harmless. Raises NotFound."""

    # messages
    async def create(self, content: MessageContent) -> Message:
        """Store a draft and return it; asked twice, there are two. Raises InvalidInput for what could not be sent."""

    async def change(self, message_id: str, changes: ContentChanges) -> Message:
        """Change some fields of a draft; two who change different ones at once both succeed."""

    async def edit(self, message_id: str, content: MessageContent) -> Message:
        """Replace the content of a draft. Raises IllegalTransition unless it is one."""

    async def delete(self, message_id: str) -> None:
        """Delete a draft. Raises NotFound, and IllegalTransition unless it is one."""

    async def message(self, message_id: str) -> Message:
        """One message with its counts; before it begins, with the size of its audience. Raises NotFound."""

    async def messages(
        self,
        *,
        statuses: Sequence[MessageStatus] = (),
        search: str = "",
        containing: str = "",
        limit: int = 50,
        after: str | None = None,
    ) -> tuple[list[Message], str | None]:
        """Newest first, and what to give as `after` for the next page (None: no more). Bodies are left out.

        `search` is part of the name or subject, in any case; `containing` of the subject or a body, as written.
        """

    async def messages_containing(self, text: str, *, statuses: Sequence[MessageStatus]) -> list[str]:
        """Ids of the messages in one of `statuses` whose subject or body contains `text` as written, oldest first."""

    async def audience_preview(self, message_id: str, *, sample: int = 5) -> AudiencePreview:
        """Whom it would reach if it were sent now. Raises NotFound, and InvalidInput when a list of it is gone."""

    async def rendered(self, message_id: str, contact_id: int | None = None) -> bytes:
        """The email one contact would get, as RFC 5322 bytes; None: the first of the audience."""

    async def send_test(self, message_id: str, addresses: Sequence[str]) -> list[SendTestOutcome]:
        """Send the message to these addresses at once, and return what became of each, in their order."""

    # commands
    async def send(
        self,
        message_id: str,
        schedule: Schedule,
        asked_by: AskedBy,
        *,
        allow_empty: bool = False,
        seen: datetime | None = None,
    ) -> CommandResult:
        """Schedule a draft under a new generation, and start its workflow; return it with the receipt.

        With `seen`, an `updated_at`, only that version of it. Raises ChangedMeanwhile for another one, also when
        somebody edits it while it is checked, IllegalTransition unless it is a draft, InvalidInput and
        ExclusionNotFinal for what cannot be sent so, and Unreachable before anything is changed. A crash in the middle
        leaves a draft, or a scheduled message whose workflow the sweep starts.
        """

    async def plan(self, message_id: str, schedule: Schedule, *, allow_empty: bool = False) -> SendPreview:
        """Work out what `send` would do; what it would refuse is refused. Nothing is stored."""

    async def pause(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        """Stop a send; a resume goes on with it. Nothing leaves after its receipt; None: not confirmed within `wait`.

        Raises IllegalTransition when it is refused, and Unreachable, before it is recorded, when there is no connection
        to Temporal. Once it is recorded it stays asked for: the sweep repeats a signal that a crash, or a Temporal that
        went away, has swallowed.
        """

    async def resume(
        self,
        message_id: str,
        asked_by: AskedBy,
        *,
        ends_at: datetime | None = None,
        wait: timedelta = DEFAULT_WAIT,
    ) -> CommandResult:
        """Go on with a paused send, to the audience as it is now. Otherwise as `pause`.

        `ends_at` moves the end date of a throttled send: an instant, or wall-clock time in its one zone. Raises
        InvalidInput when it cannot be one.
        """

    async def cancel(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        """Stop a message for good, whether it has begun or not: who is unsent gets nothing. Otherwise as `pause`."""

    async def unschedule(self, message_id: str, asked_by: AskedBy) -> CommandResult:
        """Make a scheduled message a draft again, and end its workflow; decided at once, and returned with the receipt.

        Raises IllegalTransition once the send has begun, and Unreachable before anything is changed. A crash in the
        middle leaves it scheduled, or a draft and a workflow that does nothing, which the sweep ends.
        """

    async def copy(self, message_id: str, *, exclude_recipients: bool = False, name: str | None = None) -> Message:
        """Make a draft of the same content, and return it; on demand without everybody whom the original reached or
        may have reached. Raises NotFound, and InvalidInput for a wrong name. Asked twice, there are two."""

    async def resume_preview(self, message_id: str, *, ends_at: datetime | None = None) -> ResumePreview:
        """Work out what a resume would do; nothing is changed. Raises IllegalTransition unless it is paused."""

    # in doubt
    def in_doubt(self, message_id: str, *, after: int = 0) -> AsyncGenerator[RecipientInDoubt, None]:
        """Everybody in doubt by contact id, streamed as `recipients` are: whoever may leave it early closes it."""

    async def accept_in_doubt(
        self, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None = None
    ) -> CommandResult:
        """Take those in doubt as sent: `whom` by address or contact id, or (None) everybody; all of them or nobody.

        Raises NotFound for somebody who is no recipient, Refused for somebody who is not in doubt, or when nobody is.
        """

    async def resend_in_doubt(
        self, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None = None
    ) -> CommandResult:
        """Take them as not sent, so that they are mailed again; as `accept_in_doubt`. A sent message goes on sending.

        Also Refused: a message that is not over excludes the recipients of the sent one, or has its recipients
        excluded by it (ExclusionNotFinal), and could mail the same people, too.
        """

    # looking
    async def progress(self, message_id: str) -> Progress:
        """Counts, slots, pace and estimate, from the ledger as it is now. Raises NotFound."""

    def recipients(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = ()
    ) -> AsyncGenerator[Recipient, None]:
        """Every recipient in the order of the send, streamed: memory does not grow with their number.

        It holds a connection to the database: whoever may leave it early closes it (`contextlib.aclosing`).
        """

    async def recipients_page(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = (), limit: int = 100, after: int = 0
    ) -> tuple[list[Recipient], int | None]:
        """By contact id, and what to give as `after` for the next page (None: no more)."""

    async def history(self, message_id: str) -> list[HistoryEntry]:
        """Every command that was given, with its answer if there is one, oldest first. Raises NotFound."""

    # the hold, over all messages
    async def hold(self) -> Hold:
        """Whether the hold is on, by whom, why and since when, and how many emails may be in flight."""

    async def put_hold(self, asked_by: AskedBy) -> Hold:
        """Let nothing begin and nothing be claimed, with a reason. When it returns no claim is under way; what was
        claimed before may still leave, and `in_flight` counts it. A hold that is on already is kept as it is."""

    async def release_hold(self, asked_by: AskedBy) -> Hold:
        """Take the hold away, and wake what waited, oldest first. A reason is welcome. Again is harmless."""

    async def hold_history(self, *, limit: int = 100, after: int | None = None) -> tuple[list[HoldEntry], int | None]:
        """Who put and released it, the latest first, and what to give as `after` for the next page (None: no more)."""

    # keys of the API
    async def create_key(self, name: str, role: Role) -> NewApiKey:
        """Make a key and return it, the one time that it can be read. Raises Refused when the name is in use."""

    async def keys(self) -> list[ApiKey]:
        """Every key that was ever made, oldest first; revoked ones too."""

    async def revoke_key(self, key_id: int) -> ApiKey:
        """Have a key open nothing from now on. Again is harmless."""

    # servers
    async def check_servers(self) -> None:
        """Return if PostgreSQL and Temporal answer. Raises Unreachable, and names the one that does not."""
