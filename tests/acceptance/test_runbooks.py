"""Each runbook from start to end with a real send underneath, broken off after each step and run again, and run dry."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from client.interface import AskedBy, UseCases
from client.runbooks._registry import find_runbooks
from client.runbooks._run import COPY_TO_BE, SOURCE, NotConfirmed, Run, Step
from models.commands import Verb
from models.errors import IllegalTransition, InvalidInput, Refused
from models.message import Message, MessageStatus
from tests.eventually import eventually
from tests.harness import Harness, asked_by

LINK = "https://example.com/may?a=1&b=2"
TOMORROW = timedelta(days=1)
SIZE = 300
CHANGING = {"pause", "resume", "cancel", "unschedule", "copy", "edit", "send"}

RUNBOOKS = {found.name: found.runbook for found in find_runbooks()}


# -- running a runbook


class BrokenOff(Exception):
    """The runbook's process dies here."""


class BreakingOff:
    """The use cases, until so many steps have been taken: the next thing asked after that finds the process dead."""

    def __init__(self, use: UseCases, after: int) -> None:
        self._use = use
        self._left = after

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        ask = getattr(self._use, name)

        async def counted(*given: Any, **named: Any) -> Any:
            if self._left <= 0:
                raise BrokenOff
            answer = await ask(*given, **named)
            if name in CHANGING:
                self._left -= 1
                if self._left <= 0:
                    raise BrokenOff  # it was done, and its answer never arrived
            return answer

        return counted


@dataclass
class Operator:
    """Answers yes to everything, and does `meanwhile` when it is asked to wait."""

    meanwhile: Callable[[], Awaitable[None]] | None = None
    steps: list[Step] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def tell(self, step: Step) -> None:
        self.steps.append(step)

    async def wait(self, request: str) -> None:
        self.asked.append(request)
        if self.meanwhile:
            await self.meanwhile()

    async def confirm(self, question: str) -> None:
        self.asked.append(question)

    def said(self, step: str) -> list[str]:
        return [told.says for told in self.steps if told.step == step]


async def begin(
    harness: Harness,
    name: str,
    *,
    operator: Operator | None = None,
    break_off_after: int | None = None,
    dry_run: bool = False,
    wait: timedelta = timedelta(seconds=10),
    **options: Any,
) -> Operator:
    """Carry out a runbook in this process; the options are those of the command line, all of them."""
    operator = operator or Operator()
    use: UseCases = harness.use_cases
    if break_off_after is not None:
        use = cast(UseCases, BreakingOff(use, break_off_after))
    runbook = RUNBOOKS[name]
    assert runbook is not None
    run = Run(
        name,
        use,
        operator,
        asked_by=lambda reason: AskedBy(actor="operator", source=SOURCE, reason=reason),
        wait=wait,
        dry_run=dry_run,
    )
    await runbook.steps(run, **options)
    return operator


async def start(harness: Harness, directory: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Start `sendgate runbook …` as operators do."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SENDGATE_")} | {
        "SENDGATE_DATABASE_URL": harness.database_url,
        "TEMPORAL_ADDRESS": harness.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": harness.client.namespace,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "client", "runbook", *arguments),
        cwd=directory,  # where no local stack is to be found
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def sendgate(harness: Harness, directory: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run it to its end with nobody at standard input. Returns exit code, standard output and standard error."""
    process = await start(harness, directory, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, out.decode(), err.decode()


# -- messages in every state


async def paused_in_mid_send(harness: Harness, **changes: Any) -> str:
    message_id = await in_mid_send(harness, **changes)
    await harness.use_cases.pause(message_id, asked_by("looking"))
    counts = await harness.counts(message_id)
    assert counts.sent >= 10
    assert counts.pending >= 10
    return message_id


async def in_mid_send(harness: Harness, **changes: Any) -> str:
    """A message of which some are sent, and which goes on for some ten seconds more."""
    message_id = await harness.draft(**changes)
    await harness.send(message_id)
    await until_some_are_sent(harness, message_id)
    return message_id


async def until_some_are_sent(harness: Harness, message_id: str) -> None:
    harness.smtp.set(delay_ms=5)

    async def some_are_sent() -> bool:
        return (await harness.counts(message_id)).sent >= 10

    await eventually(some_are_sent)
    harness.smtp.set(delay_ms=50)


@asynccontextmanager
async def stalled(harness: Harness, **changes: Any) -> AsyncIterator[str]:
    """A message that is `sending` while no worker runs, so that nothing moves and no stop is confirmed."""
    async with harness.worker(lanes=1):
        message_id = await in_mid_send(harness, **changes)
    assert await harness.status(message_id) is MessageStatus.SENDING
    yield message_id


async def finish(harness: Harness, message_id: str) -> None:
    harness.smtp.set(delay_ms=0)
    await harness.until(message_id, MessageStatus.SENT)


async def checksum(harness: Harness) -> dict[str, str]:
    """A checksum of every table."""
    tables = await harness.pool.fetch("select tablename as name from pg_tables where schemaname = 'public'")
    return {
        table["name"]: await harness.pool.fetchval(
            f"select coalesce(md5(string_agg(t::text, '' order by t::text)), '') from {table['name']} as t"
        )
        for table in tables
    }


async def a_list(harness: Harness, number: int, size: int = SIZE) -> str:
    """Contacts of their own: the list's name."""
    name = f"list{number}x"
    await harness.add_contacts(size, list_name=name, prefix=name)
    return name


def assert_everybody_once(harness: Harness, number: int, size: int = SIZE) -> None:
    """That each of a list was mailed once over all messages, judged by the SMTP server's own log."""
    prefix = f"list{number}x"
    addresses = [email.recipient for email in harness.smtp.accepted() if email.recipient.startswith(prefix)]
    assert sorted(addresses) == sorted(f"{prefix}{n}@example.com" for n in range(1, size + 1))


async def correction_of(harness: Harness, original: str) -> Message:
    ids = await harness.pool.fetch("select id from messages where copied_from = $1", original)
    assert len(ids) == 1, "there is one correction"
    return await harness.use_cases.message(ids[0]["id"])


WRONG_BODY: dict[str, Any] = {
    "html": None,
    "text": "Dear {{ contact.first_name }}, corrected.\n",
    "subject": "Corrected",
}


# -- broken-landing-page


async def test_broken_landing_page_from_the_shell(harness: Harness, tmp_path: Path) -> None:
    """It stops what has the link, and only that; Ctrl-C leaves it so; the next run asks and resumes what it paused."""
    for prefix in ("a", "b", "c"):
        await harness.add_contacts(SIZE, list_name=prefix, prefix=prefix)
    linked = {"html": '<a href="https://example.com/may?a=1&amp;b=2">May</a>'}
    async with harness.worker(lanes=1):
        anothers = await paused_in_mid_send(harness, lists=("b",), **linked)
        other = await in_mid_send(harness, lists=("c",))
        broken = await in_mid_send(harness, lists=("a",), **linked)
        harness.smtp.set(delay_ms=100)  # a new process may take its time
        process = await start(harness, tmp_path, "broken-landing-page", LINK)
        assert process.stderr is not None
        await asyncio.wait_for(process.stderr.readuntil(b"press Enter"), 20)
        assert await harness.status(broken) is MessageStatus.PAUSED
        assert await harness.status(other) is MessageStatus.SENDING
        [pause] = [e for e in await harness.use_cases.history(broken) if e.command is Verb.PAUSE]
        assert (pause.source, pause.reason) == ("runbook", f"runbook broken-landing-page: {LINK}")
        assert pause.receipt is not None
        assert pause.receipt.effective_at is not None
        left = [email for email in harness.smtp.accepted() if email.recipient.startswith("a")]
        assert all(email.at <= pause.receipt.effective_at.timestamp() for email in left)

        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 130
        assert "Paused at" in out.decode()
        assert await harness.status(broken) is MessageStatus.PAUSED

        process = await start(harness, tmp_path, "broken-landing-page", LINK)
        out, err = await asyncio.wait_for(process.communicate(b"\ny\n"), 20)
        assert process.returncode == 0, err
        await finish(harness, broken)
        await finish(harness, other)
        assert await harness.status(anothers) is MessageStatus.PAUSED
    told = out.decode()
    assert f"a resume would mail {SIZE - len(left):,} " in told
    assert "Resumed at" in told
    assert f"{anothers} (News) stays paused, as was asked by operator: looking" in told
    assert f"Resume {broken} (News)?" in err.decode()
    recipients = [email.recipient for email in harness.smtp.accepted()]
    assert len(set(recipients)) == len(recipients)
    assert {f"{prefix}{n}@example.com" for prefix in "ac" for n in range(1, SIZE + 1)} <= set(recipients)


async def test_broken_landing_page_goes_on_after_an_end_behind_each_step(harness: Harness) -> None:
    async with harness.worker(lanes=1):
        for steps in (1, 2):
            message_id = await in_mid_send(harness, lists=(await a_list(harness, steps),), text=LINK)
            with pytest.raises(BrokenOff):
                await begin(harness, "broken-landing-page", link=LINK, break_off_after=steps)
            again = await begin(harness, "broken-landing-page", link=LINK)
            assert again.said("resume")
            await finish(harness, message_id)
            assert_everybody_once(harness, steps)
            done = await checksum(harness)
            over = await begin(harness, "broken-landing-page", link=LINK)
            assert "keeps none paused" in over.said("note")[0]
            assert await checksum(harness) == done


async def test_a_pause_that_somebody_asked_for_while_the_page_was_mended_stays(harness: Harness) -> None:
    everybody = await a_list(harness, 1)
    async with harness.worker(lanes=1):
        message_id = await in_mid_send(harness, lists=(everybody,), text=LINK)

        async def somebody_pauses_too() -> None:
            await harness.use_cases.pause(message_id, asked_by("the price is wrong"))

        operator = await begin(
            harness, "broken-landing-page", link=LINK, operator=Operator(meanwhile=somebody_pauses_too)
        )
        assert operator.said("pause")
        assert not operator.said("resume")
        again = await begin(harness, "broken-landing-page", link=LINK)
        assert "the price is wrong" in again.said("note")[0]
        assert await harness.status(message_id) is MessageStatus.PAUSED


# -- wrong-body


async def test_wrong_body_from_the_shell(harness: Harness, tmp_path: Path) -> None:
    """Over both messages everybody is mailed exactly once, and whoever comes after the cancel gets the correction."""
    everybody = await a_list(harness, 1)
    html = tmp_path / "right.html"
    html.write_text("<p>Dear {{ contact.first_name }}, corrected.</p>")
    async with harness.worker(lanes=1):
        original = await in_mid_send(harness, lists=(everybody,), html="<p>Wrong</p>")
        harness.smtp.set(delay_ms=100)  # a new process may take its time
        code, out, err = await sendgate(
            harness, tmp_path, "wrong-body", original, "--html", str(html), "--text", "", "--subject", "Right", "--yes"
        )
        assert code == 0, err
        correction = await correction_of(harness, original)
        await finish(harness, correction.id)
    assert_everybody_once(harness, 1)
    canceled = await harness.use_cases.message(original)
    assert canceled.status is MessageStatus.CANCELED
    subjects = [email.subject for email in harness.smtp.accepted()]
    assert subjects[canceled.counts.sent :] == ["Right"] * (SIZE - canceled.counts.sent)
    assert 10 <= canceled.counts.sent < SIZE
    assert (correction.html, correction.text, correction.name) == (html.read_text(), None, "News, corrected")
    assert out.index("Canceled at") < out.index("is a draft for those") < out.index("Accepted at")
    sources = {entry.source for entry in await harness.use_cases.history(correction.id)}
    assert sources == {"runbook"}


async def test_wrong_body_goes_on_after_an_end_behind_each_step(harness: Harness) -> None:
    async with harness.worker(lanes=1):
        for steps in (1, 2, 3, 4):
            original = await paused_in_mid_send(harness, lists=(await a_list(harness, steps),))
            with pytest.raises(BrokenOff):
                await begin(harness, "wrong-body", message_id=original, break_off_after=steps, **WRONG_BODY)
            again = await begin(harness, "wrong-body", message_id=original, **WRONG_BODY)
            assert "Canceled at" in again.said("cancel")[0]
            correction = await correction_of(harness, original)
            await finish(harness, correction.id)
            assert_everybody_once(harness, steps)
            done = await checksum(harness)
            over = await begin(harness, "wrong-body", message_id=original, **WRONG_BODY)
            assert "is sent already" in over.said("note")[0]
            assert await checksum(harness) == done


async def test_what_stands_in_the_way_of_the_correction_is_told_and_put_right_it_goes_on(harness: Harness) -> None:
    """A replacement that does not compile; a second draft that would mail the same people. Nothing leaves meanwhile."""
    everybody = await a_list(harness, 1)
    async with harness.worker(lanes=1):
        original = await paused_in_mid_send(harness, lists=(everybody,))
        with pytest.raises(InvalidInput, match="line"):
            await begin(harness, "wrong-body", message_id=original, **WRONG_BODY | {"text": "{% if %}"})
        assert await harness.status(original) is MessageStatus.CANCELED
        second = await harness.use_cases.copy(original, exclude_recipients=True)
        with pytest.raises(Refused, match="more than one"):
            await begin(harness, "wrong-body", message_id=original, **WRONG_BODY)
        await harness.use_cases.delete(second.id)
        await begin(harness, "wrong-body", message_id=original, **WRONG_BODY)
        await finish(harness, (await correction_of(harness, original)).id)
    assert_everybody_once(harness, 1)


async def test_a_correction_that_is_wrong_too_is_corrected_in_its_turn(harness: Harness) -> None:
    everybody = await a_list(harness, 1)
    async with harness.worker(lanes=1):
        original = await paused_in_mid_send(harness, lists=(everybody,))
        await begin(harness, "wrong-body", message_id=original, **WRONG_BODY)
        correction = await correction_of(harness, original)
        await until_some_are_sent(harness, correction.id)
        await harness.use_cases.cancel(correction.id, asked_by())
        with pytest.raises(Refused, match=f"wrong-body {correction.id}"):
            await begin(harness, "wrong-body", message_id=original, **WRONG_BODY)
        await begin(harness, "wrong-body", message_id=correction.id, **WRONG_BODY)
        await finish(harness, (await correction_of(harness, correction.id)).id)
    assert_everybody_once(harness, 1)


# -- wrong-date


async def test_wrong_date_from_the_shell(harness: Harness, tmp_path: Path) -> None:
    message_id = await harness.draft(lists=(await a_list(harness, 1, 20),))
    async with harness.worker():
        await harness.send(message_id, at=datetime.now(UTC) + TOMORROW)
        code, out, err = await sendgate(
            harness, tmp_path, "wrong-date", message_id, "--at", datetime.now(UTC).isoformat(), "--yes"
        )
        assert code == 0, err
        await finish(harness, message_id)
    assert out.index("Unscheduled at") < out.index("Accepted at")
    assert_everybody_once(harness, 1, 20)


async def test_wrong_date_goes_on_after_an_end_behind_each_step(harness: Harness) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    async with harness.worker():
        for steps in (1, 2):
            message_id = await harness.draft(lists=(await a_list(harness, steps, 20),))
            await harness.send(message_id, at=at + TOMORROW)
            with pytest.raises(BrokenOff):
                await begin(harness, "wrong-date", message_id=message_id, at=at, break_off_after=steps)
            await begin(harness, "wrong-date", message_id=message_id, at=at)
            scheduled = await harness.use_cases.message(message_id)
            assert scheduled.status is MessageStatus.SCHEDULED
            assert scheduled.schedule is not None
            assert scheduled.schedule.at == at

            # And to another time, which comes.
            await begin(harness, "wrong-date", message_id=message_id, at=datetime.now(UTC))
            await finish(harness, message_id)
            assert_everybody_once(harness, steps, 20)


async def test_wrong_date_takes_nothing_that_has_begun_and_no_draft_of_others(harness: Harness) -> None:
    at = datetime.now(UTC) + TOMORROW
    everybody = (await a_list(harness, 1),)
    draft = await harness.draft(lists=everybody)
    with pytest.raises(Refused, match="not one that this runbook unscheduled"):
        await begin(harness, "wrong-date", message_id=draft, at=at)
    await harness.send(draft, at=at)
    with pytest.raises(InvalidInput, match="in the past"):
        await begin(harness, "wrong-date", message_id=draft, at=at - 2 * TOMORROW)
    assert await harness.status(draft) is MessageStatus.SCHEDULED
    await harness.use_cases.unschedule(draft, asked_by("not to be sent"))
    with pytest.raises(Refused, match="not one that this runbook unscheduled"):
        await begin(harness, "wrong-date", message_id=draft, at=at)
    async with harness.worker(lanes=1):
        begun = await paused_in_mid_send(harness, lists=everybody)
        with pytest.raises(IllegalTransition, match="resume it, or cancel it"):
            await begin(harness, "wrong-date", message_id=begun, at=at)


# -- what holds for all of them


async def test_a_stop_that_is_not_confirmed_ends_it(harness: Harness, tmp_path: Path) -> None:
    """Nothing is resumed or copied as though the stop had taken hold; a shell reads exit code 6."""
    async with stalled(harness, lists=(await a_list(harness, 1),), text=LINK) as message_id:
        code, out, err = await sendgate(
            harness, tmp_path, "broken-landing-page", LINK, "--yes", "--wait", "0.1", "--json"
        )
        assert code == 6
        assert json.loads(err)["details"] == {"pending_command": "pause", "messages": [message_id]}
        document = json.loads(out)
        assert document["finished"] is False
        assert [step["step"] for step in document["steps"]] == ["pause"]
        assert "NOT confirmed" in document["steps"][0]["says"]
        with pytest.raises(NotConfirmed, match="cancel"):
            await begin(harness, "wrong-body", message_id=message_id, wait=timedelta(milliseconds=50), **WRONG_BODY)
        asked = [entry.command for entry in await harness.use_cases.history(message_id)]
        assert asked == [Verb.SEND, Verb.PAUSE, Verb.CANCEL]
        assert await harness.pool.fetchval("select count(*) from messages") == 1


async def test_a_dry_run_says_each_step_and_changes_nothing(harness: Harness) -> None:
    everybody = (await a_list(harness, 1),)
    at = datetime.now(UTC) + TOMORROW
    async with stalled(harness, lists=everybody, text=LINK) as sending:
        scheduled = await harness.draft(lists=everybody, text=LINK)
        await harness.send(scheduled, at=at)
        before = await checksum(harness)

        operator = await begin(harness, "broken-landing-page", link=LINK, dry_run=True)
        assert [step.step for step in operator.steps] == ["note", "pause", "ask", "preview", "ask", "resume"]
        assert f"{scheduled} (News) has the link too and begins at" in operator.said("note")[0]
        operator = await begin(harness, "wrong-body", message_id=sending, dry_run=True, **WRONG_BODY)
        assert [step.step for step in operator.steps] == ["ask", "cancel", "copy", "edit", "preview", "send"]
        assert [step.message_id for step in operator.steps if step.step in ("edit", "send")] == [COPY_TO_BE] * 2
        operator = await begin(harness, "wrong-date", message_id=scheduled, at=at + TOMORROW, dry_run=True)
        assert [step.step for step in operator.steps] == ["ask", "unschedule", "send"]

        assert operator.asked == []
        assert await checksum(harness) == before
