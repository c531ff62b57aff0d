"""The batch message: what a user writes and sends to an audience, and the counts of its recipients."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.audience import Audience
from models.commands import Receipt
from models.recipient import RecipientStatus
from models.schedule import Schedule


class MessageStatus(StrEnum):
    """`draft → scheduled → sending ⇄ paused → sent`, and `canceled`."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        return self in (MessageStatus.SENT, MessageStatus.CANCELED)

    @property
    def has_workflow(self) -> bool:
        """Whether a workflow of the message's generation should exist."""
        return self in (MessageStatus.SCHEDULED, MessageStatus.SENDING, MessageStatus.PAUSED)


class Counts(BaseModel):
    """How many recipients are where. The parts add up to `total`: everybody who was ever a recipient."""

    model_config = ConfigDict(frozen=True)

    total: int = 0
    pending: int = 0
    claimed: int = 0
    sent: int = 0
    deferred: int = 0
    bounced: int = 0
    failed: int = 0
    in_doubt: int = 0
    suppressed: int = 0
    withdrawn: int = 0
    expired: int = 0
    canceled: int = 0

    def of(self, status: RecipientStatus) -> int:
        return int(getattr(self, status.value))

    @property
    def unfinished(self) -> int:
        """Recipients for whom something is still to be done."""
        return self.pending + self.claimed + self.deferred

    @property
    def parts(self) -> int:
        """The sum of every count but `total`; equal to it at every moment."""
        return sum(self.of(status) for status in RecipientStatus)


class MessageContent(BaseModel):
    """What a draft says and to whom. Checked by `models.content.check_content` before it is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="What operators call the message; recipients never see it.")
    from_address: str
    from_name: str = ""
    reply_to: str | None = None
    subject: str = Field(description="Jinja2 template, one line.")
    html: str | None = Field(None, description="Jinja2 template; values are escaped.")
    text: str | None = Field(None, description="Jinja2 template.")
    audience: Audience = Audience()


class ContentChanges(BaseModel):
    """What to change of a draft's content; a field that was not given stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    from_address: str = ""
    from_name: str = ""
    reply_to: str | None = None
    subject: str = ""
    html: str | None = Field(None, description="null takes it away.")
    text: str | None = Field(None, description="null takes it away.")
    audience: Audience = Field(Audience(), description="The whole new audience.")


class Message(MessageContent):
    """A message as every door shows it."""

    id: str
    status: MessageStatus
    schedule: Schedule | None = None
    generation: int = 0
    workflow_id: str | None = None
    counts: Counts = Counts()
    audience_estimate: int | None = Field(None, description="The audience's size; while there are no recipients yet.")
    pending_command: str | None = Field(None, description="A command that was accepted and has not taken hold yet.")
    in_flight: int = Field(0, description="Emails that may be on their way to the next hop right now.")
    held: bool = Field(False, description="Whether the hold keeps this message from sending.")
    next_slot_at: AwareDatetime | None = None
    receipt: Receipt | None = Field(None, description="What the latest answered command did.")
    copied_from: str | None = None
    created_at: datetime
    updated_at: datetime


def workflow_id(message_id: str, generation: int) -> str:
    """The workflow of one scheduling of a message. The generation keeps a late terminate from the next one."""
    return f"batch-send/{message_id}/{generation}"
