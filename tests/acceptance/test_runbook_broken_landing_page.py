"""The runbook broken-landing-page with a real send underneath.

From start to end, and broken off after each step and run again.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from models.commands import Verb
from models.message import MessageStatus
from tests.acceptance.messages_in_mid_send import (
    SIZE,
    a_list,
    assert_everybody_once,
    checksum,
    finish,
    in_mid_send,
    paused_in_mid_send,
)
from tests.acceptance.runbook_runs import LINK, BrokenOff, Operator, begin, start
from tests.harness import Harness, asked_by


async def test_broken_landing_page_from_the_shell(harness: Harness, tmp_path: Path) -> None:
    """It stops what has the link, and only that; Ctrl-C leaves it so; the next run asks and resumes what it paused."""
    sizes = {"a": SIZE, "b": SIZE, "c": 10 * SIZE}  # what nobody stops outlasts all that is done here
    for prefix, size in sizes.items():
        await harness.add_contacts(size, list_name=prefix, prefix=prefix)
    linked = {"html": '<a href="https://example.com/may?a=1&amp;b=2">May</a>'}
    async with harness.worker(lanes=1):
        anothers = await paused_in_mid_send(harness, lists=("b",), **linked)
        other = await in_mid_send(harness, lists=("c",))
        broken = await in_mid_send(harness, lists=("a",), **linked)
        harness.smtp.set(delay_ms=300)  # a new process may take its time
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
    assert f"A resume would mail {SIZE - len(left):,}." in told
    assert "Resumed at" in told
    assert f"{anothers} (News) stays paused, as was asked by operator: looking" in told
    assert f"Resume {broken} (News)?" in err.decode()
    recipients = [email.recipient for email in harness.smtp.accepted()]
    assert len(set(recipients)) == len(recipients)
    assert {f"{prefix}{n}@example.com" for prefix in "ac" for n in range(1, sizes[prefix] + 1)} <= set(recipients)


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
