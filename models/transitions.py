"""Legality: which command may be given in which status. The one place that every door and the workflow ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.commands import Verb
from models.errors import IllegalTransition
from models.message import MessageStatus as S

_LEGAL: dict[Verb, frozenset[S]] = {
    Verb.SEND: frozenset({S.DRAFT}),
    Verb.UNSCHEDULE: frozenset({S.SCHEDULED}),
    Verb.PAUSE: frozenset({S.SENDING}),
    Verb.RESUME: frozenset({S.PAUSED}),
    Verb.CANCEL: frozenset({S.SCHEDULED, S.SENDING, S.PAUSED}),
    Verb.COPY: frozenset(S),
    Verb.EDIT: frozenset({S.DRAFT}),
    Verb.DELETE: frozenset({S.DRAFT}),
    Verb.ACCEPT: frozenset({S.SENDING, S.PAUSED, S.SENT, S.CANCELED}),
    Verb.RESEND: frozenset({S.SENDING, S.PAUSED, S.SENT}),
}

#: The status in which a command has nothing left to do, if it was the last one to take effect.
_FULFILLED: dict[Verb, frozenset[S]] = {
    Verb.SEND: frozenset({S.SCHEDULED, S.SENDING}),
    Verb.UNSCHEDULE: frozenset({S.DRAFT}),
    Verb.PAUSE: frozenset({S.PAUSED}),
    Verb.RESUME: frozenset({S.SENDING}),
    Verb.CANCEL: frozenset({S.CANCELED}),
}

#: What to do instead, where the right command has another name.
_ADVICE: dict[tuple[S, Verb], str] = {
    (S.DRAFT, Verb.PAUSE): "it has not been sent",
    (S.DRAFT, Verb.RESUME): "it has not been sent",
    (S.DRAFT, Verb.CANCEL): "it has not been sent; a draft is deleted, not canceled",
    (S.DRAFT, Verb.UNSCHEDULE): "it is not scheduled",
    (S.SCHEDULED, Verb.SEND): "it is scheduled already; unschedule it first to send it at another time",
    (S.SCHEDULED, Verb.PAUSE): "nothing has left yet; unschedule it to make it a draft again",
    (S.SCHEDULED, Verb.RESUME): "it is not paused",
    (S.SCHEDULED, Verb.EDIT): "unschedule it first, then edit the draft",
    (S.SCHEDULED, Verb.DELETE): "unschedule it first, then delete the draft",
    (S.SENDING, Verb.SEND): "the send has begun, so that its time cannot be changed and unschedule is too late",
    (S.SENDING, Verb.UNSCHEDULE): "the send has begun; pause it, or cancel it",
    (S.SENDING, Verb.RESUME): "it is not paused",
    (S.PAUSED, Verb.UNSCHEDULE): "the send has begun; resume it, or cancel it",
    (S.PAUSED, Verb.PAUSE): "it is paused already",
    (S.PAUSED, Verb.SEND): "resume it to go on sending",
    (S.SENT, Verb.PAUSE): "every email has left",
    (S.SENT, Verb.CANCEL): "every email has left",
    (S.CANCELED, Verb.RESUME): "cancel is final; copy it as a draft",
    (S.DRAFT, Verb.ACCEPT): "it has not been sent, so nobody is in doubt",
    (S.DRAFT, Verb.RESEND): "it has not been sent, so nobody is in doubt",
    (S.SCHEDULED, Verb.ACCEPT): "nothing has left yet, so nobody is in doubt",
    (S.SCHEDULED, Verb.RESEND): "nothing has left yet, so nobody is in doubt",
    (S.CANCELED, Verb.RESEND): "cancel is final, so nothing of it is sent again",
}


@dataclass(frozen=True, slots=True)
class Ruling:
    """`legal`: do it. `fulfilled`: it has been done; answer with that receipt again. `refused`: say `why`."""

    kind: Literal["legal", "fulfilled", "refused"]
    why: str = ""
    allowed: tuple[Verb, ...] = ()


def allowed_commands(status: S) -> tuple[Verb, ...]:
    """The commands that are legal in `status`, in the order of the menu."""
    return tuple(verb for verb in Verb if status in _LEGAL[verb])


def rule(status: S, verb: Verb, last_effective: Verb | None = None, *, same: bool = True) -> Ruling:
    """Rule on `verb` in `status`, where `last_effective` is the last command that took effect on the message.

    `same` is whether a repeated command asks for what was done: a send for another time has not been fulfilled.
    """
    if status in _LEGAL[verb]:
        return Ruling("legal")
    if same and verb is last_effective and status in _FULFILLED.get(verb, ()):
        return Ruling("fulfilled")
    allowed = allowed_commands(status)
    advice = _ADVICE.get((status, verb))
    why = f"The message is {status}, so {verb} is refused" + (f": {advice}." if advice else ".")
    return Ruling("refused", f"{why} Legal now: {', '.join(allowed)}.", allowed)


def require(status: S, verb: Verb) -> None:
    """Raise IllegalTransition, with the sentence for the user, unless `verb` is legal in `status`."""
    ruling = rule(status, verb)
    if ruling.kind != "legal":
        raise IllegalTransition(ruling.why, status=status, allowed=ruling.allowed)
