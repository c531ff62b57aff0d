"""What can be done with a message now, as links: legal in its status, allowed by the key, and there to be done here."""

from __future__ import annotations

from dataclasses import dataclass

from client.web.visit import Visit
from models.api_keys import Action
from models.commands import Verb
from models.message import Message, MessageStatus
from models.transitions import allowed_commands

_ACTIONS: dict[Verb, Action] = {
    Verb.SEND: Action.SEND,
    Verb.PAUSE: Action.PAUSE,
    Verb.RESUME: Action.RESUME,
    Verb.CANCEL: Action.CANCEL,
    Verb.UNSCHEDULE: Action.UNSCHEDULE,
    Verb.COPY: Action.WRITE,
    Verb.EDIT: Action.WRITE,
    Verb.DELETE: Action.WRITE,
    Verb.ACCEPT: Action.ACCEPT,
    Verb.RESEND: Action.RESEND,
}
#: The commands with a page of their own, as they stand in the menu; `/messages/ID/PATH` asks what is to be known.
_PAGES: dict[Verb, tuple[str, str]] = {
    Verb.SEND: ("Send or Schedule", "send"),
    Verb.EDIT: ("Edit", "edit"),
    Verb.PAUSE: ("Pause", "pause"),
    Verb.RESUME: ("Resume", "resume"),
    Verb.CANCEL: ("Cancel", "cancel"),
    Verb.UNSCHEDULE: ("Unschedule", "unschedule"),
    Verb.COPY: ("Copy as Draft", "copy"),
    Verb.DELETE: ("Delete", "delete"),
}
_GRAVE = (Verb.CANCEL, Verb.DELETE)
_MAIN = (Verb.SEND, Verb.PAUSE, Verb.RESUME)


@dataclass(frozen=True)
class Item:
    """One line of a menu."""

    label: str
    path: str
    is_grave: bool = False  # it cannot be undone
    is_main: bool = False  # what one most likely came for


def action_of(verb: Verb) -> Action:
    """Return what a key must be allowed for a command."""
    return _ACTIONS[verb]


def menu_of(message: Message, visit: Visit) -> list[Item]:
    """Return the menu of a message, in the order of the commands."""
    return menu_in(message.status, message.id, visit)


def menu_in(status: MessageStatus, message_id: str, visit: Visit) -> list[Item]:
    """Return the menu of a message in some status."""
    items: list[Item] = []
    for verb in allowed_commands(status):
        if verb in _PAGES and visit.may(action_of(verb)):
            label, path = _PAGES[verb]
            items.append(Item(label, f"/messages/{message_id}/{path}", is_grave=verb in _GRAVE, is_main=verb in _MAIN))
        if verb is Verb.EDIT and visit.may(action_of(verb)):
            items.append(Item("Preview", f"/messages/{message_id}/preview"))
        if verb is Verb.UNSCHEDULE and _may_edit(visit):
            # Not legal before it is a draft again, which the page that this leads to says and does.
            items.append(Item("Edit", f"/messages/{message_id}/unschedule"))
    return items


def _may_edit(visit: Visit) -> bool:
    return visit.may(action_of(Verb.EDIT)) and visit.may(action_of(Verb.UNSCHEDULE))


def tab_of(status: MessageStatus) -> str:
    """Return the tab of the messages on which a message of this status stands."""
    return next(tab.code for tab in TABS if status in tab.statuses)


@dataclass(frozen=True)
class Tab:
    """A tab of the messages."""

    code: str
    label: str
    statuses: tuple[MessageStatus, ...]
    nothing: str


TABS = (
    Tab("drafts", "Drafts", (MessageStatus.DRAFT,), "There are no drafts."),
    Tab("scheduled", "Scheduled", (MessageStatus.SCHEDULED,), "Nothing is scheduled."),
    Tab(
        "sent",
        "Email Sent",
        (MessageStatus.SENDING, MessageStatus.PAUSED, MessageStatus.SENT, MessageStatus.CANCELED),
        "Nothing has been sent yet.",
    ),
)
