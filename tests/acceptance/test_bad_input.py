"""Bad input through the real command line: one sentence, the right exit code, and nothing changed.

The table is `CASES`. Each case runs against a real database and Temporal.
The world has one message in each status; its worker is stopped, so that whatever changes was changed by the case.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from client.local.postgres import PostgresCluster
from models.commands import Verb
from models.message import MessageStatus
from tests.acceptance.bad_input_case import Case, assert_one_sentence, create, for_message, wrong
from tests.acceptance.bad_input_options import LINES, Tried, tried_of, verbs
from tests.acceptance.bad_input_table import CASES, COMMANDS, TABLES, ruled
from tests.acceptance.bad_input_world import World, one_message_in_each_status, open_world
from tests.bad_values import assert_plain
from tests.findings import Findings, findings

__all__ = ["findings"]

S = MessageStatus


@pytest.fixture(scope="module")
async def world(
    postgres: PostgresCluster, template_database: str, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with open_world(postgres, template_database, temporal, tmp_path_factory) as made:
        await one_message_in_each_status(made)
        yield made


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{n} {case.title}") for n, case in enumerate(CASES)])
async def test_bad_input_is_one_sentence_and_changes_nothing(world: World, case: Case, tmp_path: Path) -> None:
    if case.stack is not None:
        (tmp_path / ".sendgate").mkdir()
        content = world.filled(case.stack).encode(errors="surrogatepass")
        (tmp_path / ".sendgate" / "stack.json").write_bytes(content)
    without = ("commands", "receipts") if case.records else ()
    before = await world.checksums(without=without)

    ended = await world.run(case.arguments, case.environment)
    assert_one_sentence(ended, case.code)
    assert world.filled(case.said) in ended.err
    assert await world.checksums(without=without) == before


@pytest.mark.parametrize("case", [pytest.param(cases[0], id=cases[0].title) for cases in TABLES])
async def test_programs_get_the_same_as_json(world: World, case: Case) -> None:
    ended = await world.run((*case.arguments, "--json"), case.environment)
    assert_one_sentence(ended, case.code)
    shape = json.loads(ended.err)
    assert set(shape) == {"code", "message", "details"}
    assert shape["code"] != "unexpected"
    assert world.filled(case.said) in shape["message"]


def test_the_table_has_every_refused_pair_of_status_and_command() -> None:
    """The transition table decides what is illegal; a verb that is added there must be given a command line here."""
    assert set(COMMANDS) == set(Verb)
    assert {verb for _, verb, _ in ruled("refused")} == set(Verb) - {Verb.COPY}
    assert {status for status, _, _ in ruled("refused")} == set(S)


async def test_any_value_that_an_option_cannot_take_is_one_sentence_that_names_it(
    world: World, findings: Findings
) -> None:
    """The parser says what there is: a verb, an argument or an option that is added is tried here, or fails."""
    assert {words for words, _ in verbs()} == set(LINES)
    number = 0
    before = await world.checksums()
    for words, command in verbs():
        for tried in tried_of(words, command):
            number += 1
            with findings.trying():
                await _try(world, tried)
        with findings.trying():
            now = await world.checksums()
            assert now == before, (words, {table for table in now if now[table] != before[table]})
        before = now
    assert number > 1_500


async def _try(world: World, tried: Tried) -> None:
    ended = await world.run(tried.arguments, {"SENDGATE_URL": None, "SENDGATE_API_KEY": None})
    said = ended.err.removeprefix("Error: ").removesuffix("\n")
    try:
        assert ended.code in tried.codes
        assert_one_sentence(ended, ended.code)
        assert any(name.lower() in said.lower() for name in tried.names)
        assert_plain(said)
    except AssertionError as error:
        raise AssertionError(tried.title, ended.code, said[:300] or ended.out[:300]) from error


@pytest.mark.parametrize("part", range(2))
async def test_a_process_ends_as_the_table_says(world: World, part: int) -> None:
    """A few of the table, whole: interpreter, standard streams, exit code."""
    picked = [
        Case(("pause", "nosuchid2345"), 4, "no message"),
        Case(("pause", "<draft>"), 3, "has not been sent"),
        Case(("pause", "<sending>"), 5, "Temporal does not answer", {"TEMPORAL_ADDRESS": "<closed>"}),
        Case(("lists",), 5, "The database ", {"SENDGATE_DATABASE_URL": "postgresql://u:p@<closed>/x"}),
        wrong(("up",), "SENDGATE_DATABSE_URL", environment={"SENDGATE_DATABSE_URL": "x"}),
        wrong(create(subject="{{ zażółć"), "subject, line 1, column ", environment={"LC_ALL": "C"}),
    ][part::2]
    before = await world.checksums(without=("commands", "receipts"))
    ends = await asyncio.gather(*(world.run_process(case.arguments, case.environment) for case in picked))
    for case, ended in zip(picked, ends, strict=True):
        assert_one_sentence(ended, case.code)
        assert case.said in ended.err
    assert await world.checksums(without=("commands", "receipts")) == before


async def test_a_command_that_was_fulfilled_is_done_again(world: World) -> None:
    before = await world.checksums(without=("commands", "receipts"))
    scheduled = await world.harness.use_cases.message(world.words[S.SCHEDULED])
    assert scheduled.schedule is not None
    assert scheduled.schedule.at is not None
    # A pause or resume asked again is answered by the workflow, behind whatever it was asked before.
    fulfilled = [each for each in ruled("fulfilled") if each[1] not in (Verb.PAUSE, Verb.RESUME)]
    assert len(fulfilled) >= 3
    for status, verb, _ in fulfilled:
        at = ("--at", scheduled.schedule.at.isoformat()) if (status, verb) == (S.SCHEDULED, Verb.SEND) else ()
        ended = await world.run((*for_message(COMMANDS[verb], f"<{status}>"), *at))
        assert (ended.code, ended.err) == (0, ""), (status, verb)
    assert await world.checksums(without=("commands", "receipts")) == before
