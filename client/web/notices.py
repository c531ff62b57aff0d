"""What a page says once, above everything else, after something was done. The address carries only the code."""

from __future__ import annotations

from enum import StrEnum


class Notice(StrEnum):
    """The codes; each has its sentence."""

    SIGNED_OUT = "signed-out"
    DELETED = "deleted"
    COPIED = "copied"
    UNSCHEDULED = "unscheduled"


SENTENCES: dict[Notice, str] = {
    Notice.SIGNED_OUT: "You are signed out.",
    Notice.DELETED: "The draft is deleted.",
    Notice.COPIED: "This is the copy: a draft of its own. The original is as it was.",
    Notice.UNSCHEDULED: "The message is a draft again, and nothing has left.",
}


def sentence_of(code: str | None) -> str | None:
    """Return the sentence of a code; None for what is no code."""
    return SENTENCES[Notice(code)] if code in set(Notice) else None
