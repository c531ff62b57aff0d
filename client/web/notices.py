"""What a page says once, above everything else, after something was done. The address carries only the code."""

from __future__ import annotations

from enum import StrEnum


class Notice(StrEnum):
    """The codes; each has its sentence."""

    SIGNED_OUT = "signed-out"
    DELETED = "deleted"
    COPIED = "copied"
    UNSCHEDULED = "unscheduled"
    SAVED = "saved"
    CONTACT_SAVED = "contact-saved"
    CONTACT_DELETED = "contact-deleted"
    SUPPRESSED = "suppressed"
    LIFTED = "lifted"
    HELD = "held"
    RELEASED = "released"
    REVOKED = "revoked"
    SENDING = "sending"
    SCHEDULED = "scheduled"


SENTENCES: dict[Notice, str] = {
    Notice.SIGNED_OUT: "You are signed out.",
    Notice.DELETED: "The draft is deleted.",
    Notice.COPIED: "This is the copy: a draft of its own. The original is as it was.",
    Notice.UNSCHEDULED: "The message is a draft again, and nothing has left.",
    Notice.SAVED: "The draft is saved.",
    Notice.CONTACT_SAVED: "The contact is saved.",
    Notice.CONTACT_DELETED: "The contact is deleted.",
    Notice.SUPPRESSED: "Nothing is sent there any more.",
    Notice.LIFTED: "Mail may go there again.",
    Notice.HELD: "Everything is on hold: nothing begins, and nothing more is claimed.",
    Notice.RELEASED: "The hold is released; what waited goes on.",
    Notice.REVOKED: "The key opens nothing any more.",
    Notice.SENDING: "The message is on its way.",
    Notice.SCHEDULED: "The message is scheduled.",
}


def sentence_of(code: str | None) -> str | None:
    """Return the sentence of a code; None for what is no code."""
    return SENTENCES[Notice(code)] if code in set(Notice) else None
