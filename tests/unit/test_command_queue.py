"""The queue of commands: in order, each id once, and carried over to the next run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models.commands import Command, Verb
from workflows.command_queue import CommandQueue
from workflows.state import BatchSendState


def command(command_id: str, verb: Verb = Verb.RESUME) -> Command:
    return Command(
        command_id=command_id,
        verb=verb,
        actor="a",
        source="test",
        requested_at=datetime(2026, 12, 1, tzinfo=UTC),
    )


def queue_of(*commands: Command, state: BatchSendState | None = None) -> CommandQueue:
    queue = CommandQueue(state or BatchSendState(message_id="m", generation=1))
    for each in commands:
        queue.append(each)
    return queue


def test_commands_come_out_in_order_with_rising_numbers() -> None:
    queue = queue_of(command("a"), command("b"), command("c"))
    taken = [queue.pop() for _ in range(3)]
    assert [(entry.number, entry.command.command_id) for entry in taken] == [(1, "a"), (2, "b"), (3, "c")]
    assert not queue


def test_a_command_that_was_in_it_before_is_not_taken_again() -> None:
    queue = queue_of(command("a"), command("a"))
    queue.pop()
    queue.append(command("a"))
    assert not queue


def test_another_verb_with_the_same_id_is_another_command() -> None:
    queue = queue_of(command("a"), command("a", Verb.PAUSE), command("a"), command("a", Verb.PAUSE))
    assert [entry.command.verb for entry in queue] == [Verb.RESUME, Verb.PAUSE]


def test_whether_verbs_are_told_apart_is_asked_only_where_it_matters() -> None:
    asked: list[str] = []

    def tells_not_apart() -> bool:
        asked.append("asked")
        return False

    queue = queue_of()
    for each in (command("a"), command("a"), command("b")):
        queue.append(each, tells_verbs_apart=tells_not_apart)
    assert not asked
    queue.append(command("a", Verb.PAUSE), tells_verbs_apart=tells_not_apart)
    assert asked == ["asked"]
    assert [entry.command.command_id for entry in queue] == ["a", "b"]


def test_the_first_stop_is_found_behind_others() -> None:
    assert queue_of(command("a")).first_stop is None
    stop = queue_of(command("a"), command("b", Verb.CANCEL), command("c", Verb.PAUSE)).first_stop
    assert stop is not None
    assert stop.command.command_id == "b"


def test_the_next_run_goes_on_with_the_same_queue_numbers_and_memory() -> None:
    before = queue_of(command("a"), command("b"))
    before.pop()
    state = BatchSendState.model_validate({"message_id": "m", "generation": 1, **before.carried_over()})
    after = queue_of(command("a"), command("c"), command("b", Verb.PAUSE), state=state)
    assert [(entry.number, entry.command.command_id) for entry in after] == [(2, "b"), (3, "c"), (4, "b")]


@pytest.mark.parametrize(("tells", "taken"), [(True, ["a"]), (False, [])])
def test_an_id_that_a_run_before_noted_alone_may_have_come_with_another_verb(tells: bool, taken: list[str]) -> None:
    queue = queue_of(state=BatchSendState(message_id="m", generation=1, remembered=["a"]))
    queue.append(command("a"), tells_verbs_apart=lambda: tells)
    assert [entry.command.command_id for entry in queue] == taken


def test_what_is_remembered_is_bounded() -> None:
    queue = queue_of(*(command(str(number)) for number in range(2000)))
    remembered = queue.carried_over()["remembered"]
    assert isinstance(remembered, list)
    assert len(remembered) == 500
    assert remembered[-1] == "1999"
