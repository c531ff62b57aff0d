"""The bodies of requests and answers that are no model of their own. Fields are only ever added."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from client.interface import SendTestOutcome
from models.api_keys import Role
from models.commands import HistoryEntry
from models.contact import ListSummary
from models.schedule import Time

Item = TypeVar("Item")
Cursor = TypeVar("Cursor")

#: Addresses of one request, and test emails.
MOST_ADDRESSES = 10_000
MOST_TEST_ADDRESSES = 20


class Page(BaseModel, Generic[Item, Cursor]):
    """A part of a list that is read page by page."""

    items: list[Item]
    next: Cursor | None = Field(description="What to give as `after` for the next page; null: this is the last.")


class Lists(BaseModel):
    """All lists, by name."""

    items: list[ListSummary]


class History(BaseModel):
    """Every command of a message, in the order asked."""

    items: list[HistoryEntry]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CommandRequest(_Request):
    """Why a command is given."""

    reason: str = Field("", description="Kept in the history, and shown with the receipt.")
    command_id: str | None = Field(
        None, description="Chosen by whoever asks: asking again with the same one acts once, and gives its receipt."
    )


class ResumeRequest(CommandRequest):
    """Why it is resumed, and until when."""

    ends_at: Time | None = Field(
        None,
        description="Moves the end date of a throttled send; with an offset, or wall-clock in the one `time_zone`.",
    )


class InDoubtRequest(CommandRequest):
    """What to do about whom of those in doubt: all that are named, or nobody."""

    action: Literal["accept", "resend"] = Field(description="accept: take them as sent. resend: mail them again.")
    contact_ids: list[StrictInt] | None = Field(
        None, description="null, with `addresses` null too: everybody in doubt."
    )
    addresses: list[str] | None = Field(None, description="Further ones, by address.")


class CopyRequest(_Request):
    """How to copy."""

    exclude_recipients: bool = Field(
        False, strict=True, description="Without everybody whom the original reached or may have."
    )
    name: str | None = Field(None, description="The copy's name; null: `Copy of …`.")


class SendTestRequest(_Request):
    """Where to send a test email."""

    to: Annotated[list[str], Field(min_length=1, max_length=MOST_TEST_ADDRESSES)]


class ContactRequest(_Request):
    """A new contact."""

    address: str
    time_zone: str | None = Field(None, description="IANA name.")
    attributes: dict[str, str | None] = Field(default_factory=dict, description="Texts, for templates and `where`.")
    lists: list[str] = Field(default_factory=list, description="Names of lists that exist.")


class SuppressRequest(_Request):
    """Addresses that are never to be mailed; they need not be contacts."""

    addresses: Annotated[list[str], Field(min_length=1, max_length=MOST_ADDRESSES)]
    reason: str = ""


class AddressesRequest(_Request):
    """Addresses that may be mailed again."""

    addresses: Annotated[list[str], Field(min_length=1, max_length=MOST_ADDRESSES)]


class Changed(BaseModel):
    """How many were changed; the others were so already."""

    changed: int


class HoldRequest(_Request):
    """Why nothing may leave."""

    reason: str


class KeyRequest(_Request):
    """A new API key."""

    name: str = Field(description="The actor in the receipts of what is done with it.")
    role: Role


class SendTestOutcomes(BaseModel):
    """What became of each test email."""

    outcomes: list[SendTestOutcome]
