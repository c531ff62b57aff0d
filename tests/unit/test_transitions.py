"""The table of legality is total, and its sentences help."""

from __future__ import annotations

import pytest

from models.commands import Verb
from models.errors import IllegalTransition
from models.message import MessageStatus as S
from models.transitions import allowed_commands, require, rule

#: Typed by hand, and not taken from the code: the statuses in which each command is legal.
LEGAL = {
    Verb.SEND: {S.DRAFT},
    Verb.UNSCHEDULE: {S.SCHEDULED},
    Verb.PAUSE: {S.SENDING},
    Verb.RESUME: {S.PAUSED},
    Verb.CANCEL: {S.SCHEDULED, S.SENDING, S.PAUSED},
    Verb.COPY: {S.DRAFT, S.SCHEDULED, S.SENDING, S.PAUSED, S.SENT, S.CANCELED},
    Verb.EDIT: {S.DRAFT},
    Verb.DELETE: {S.DRAFT},
    Verb.ACCEPT: {S.SENDING, S.PAUSED, S.SENT, S.CANCELED},
    Verb.RESEND: {S.SENDING, S.PAUSED, S.SENT},
}
EVERY_PAIR = [(status, verb) for status in S for verb in Verb]


def test_every_verb_has_a_row() -> None:
    assert set(LEGAL) == set(Verb)


@pytest.mark.parametrize(("status", "verb"), EVERY_PAIR)
def test_every_pair_has_an_answer(status: S, verb: Verb) -> None:
    ruling = rule(status, verb)
    if status in LEGAL[verb]:
        assert ruling.kind == "legal"
        require(status, verb)
    else:
        assert ruling.kind == "refused"
        assert ruling.allowed == allowed_commands(status)
        assert status in ruling.why
        assert all(command in ruling.why for command in ruling.allowed)
        assert "\n" not in ruling.why
        with pytest.raises(IllegalTransition) as refused:
            require(status, verb)
        assert refused.value.details == {"status": status, "allowed": list(ruling.allowed)}


@pytest.mark.parametrize(
    ("status", "verb"),
    [
        (S.PAUSED, Verb.PAUSE),
        (S.SENDING, Verb.RESUME),
        (S.CANCELED, Verb.CANCEL),
        (S.DRAFT, Verb.UNSCHEDULE),
        (S.SCHEDULED, Verb.SEND),
        (S.SENDING, Verb.SEND),
    ],
)
def test_a_command_already_fulfilled_succeeds_again(status: S, verb: Verb) -> None:
    assert rule(status, verb, last_effective=verb).kind == "fulfilled"
    others = [other for other in Verb if other is not verb]
    assert all(rule(status, verb, last_effective=other).kind == "refused" for other in others)


def test_pausing_a_scheduled_message_names_unschedule() -> None:
    assert "unschedule" in rule(S.SCHEDULED, Verb.PAUSE).why


def test_unscheduling_a_begun_message_names_pause_and_cancel() -> None:
    why = rule(S.SENDING, Verb.UNSCHEDULE).why
    assert "pause" in why
    assert "cancel" in why


def test_before_a_send_begins_nobody_is_in_doubt_and_what_is_canceled_stays_so() -> None:
    for status in (S.DRAFT, S.SCHEDULED):
        for verb in (Verb.ACCEPT, Verb.RESEND):
            assert "nobody is in doubt" in rule(status, verb).why
    assert "cancel is final" in rule(S.CANCELED, Verb.RESEND).why


@pytest.mark.parametrize("status", [S.SENDING, S.PAUSED, S.SENT])
def test_deciding_about_others_who_are_in_doubt_is_never_fulfilled_already(status: S) -> None:
    for verb in (Verb.ACCEPT, Verb.RESEND):
        assert rule(status, verb, last_effective=verb).kind == "legal"


def test_there_is_always_something_to_do() -> None:
    assert all(allowed_commands(status) for status in S)
