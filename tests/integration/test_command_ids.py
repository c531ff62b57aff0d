"""One id for several commands: each has a row of its own, written once, under an id of its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from models.commands import Command, Verb
from storage import commands
from storage.database import Pool


def given(command_id: str, verb: Verb = Verb.PAUSE) -> Command:
    return Command(command_id=command_id, verb=verb, actor="a", source="temporal", requested_at=datetime.now(UTC))


async def recorded(pool: Pool, message_id: str) -> list[str]:
    return [entry.command_id for entry in await commands.history(pool, message_id)]


async def test_an_id_goes_to_whoever_is_first_and_the_others_get_their_own(pool: Pool) -> None:
    for message_id, verb in (("a", Verb.PAUSE), ("b", Verb.PAUSE), ("b", Verb.CANCEL), ("a", Verb.CANCEL)):
        for _ in range(2):
            assert not await commands.ask(pool, message_id, 1, given("x", verb))
    assert await recorded(pool, "a") == ["x", "x/cancel"]
    assert await recorded(pool, "b") == ["x/b", "x/b/cancel"]


async def test_an_id_of_ones_own_that_somebody_gave_before_is_passed_over(pool: Pool) -> None:
    for message_id, command_id in (("a", "x"), ("a", "x/b"), ("b", "x/b/b"), ("b", "x")):
        await commands.ask(pool, message_id, 1, given(command_id))
    assert await recorded(pool, "a") == ["x", "x/b"]
    assert await recorded(pool, "b") == ["x/b/b", "x/b/b/pause"]


async def test_all_who_ask_at_once_with_one_id_are_recorded_once_each(pool: Pool) -> None:
    asked = [(message_id, given("x", verb)) for message_id in "abcdef" for verb in (Verb.PAUSE, Verb.CANCEL)]
    await asyncio.gather(*(commands.ask(pool, message_id, 1, command) for message_id, command in asked * 3))
    for message_id in "abcdef":
        verbs = [entry.command for entry in await commands.history(pool, message_id)]
        assert sorted(verbs) == [Verb.CANCEL, Verb.PAUSE]
    assert await pool.fetchval("select count(distinct command_id) from commands") == len(asked)


async def test_only_an_id_that_is_anothers_is_taken(pool: Pool) -> None:
    for message_id in ("a", "b"):
        await commands.ask(pool, message_id, 1, given("x"))
    taken = [(await commands.is_taken(pool, message_id, given("x"))) for message_id in ("a", "b", "c")]
    assert taken == [False, False, True]
    assert await commands.is_taken(pool, "a", given("x", Verb.CANCEL))
