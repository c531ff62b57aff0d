"""The runbook wrong-body with a real send underneath.

From start to end, and broken off after each step and run again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import InvalidInput, Refused
from models.message import Message, MessageStatus
from tests.acceptance.messages_in_mid_send import (
    SIZE,
    a_list,
    assert_everybody_once,
    checksum,
    finish,
    in_mid_send,
    paused_in_mid_send,
    until_some_are_sent,
)
from tests.acceptance.runbook_runs import WRONG_BODY, BrokenOff, begin, sendgate
from tests.harness import Harness, asked_by


async def correction_of(harness: Harness, original: str) -> Message:
    ids = await harness.pool.fetch("select id from messages where copied_from = $1", original)
    assert len(ids) == 1, "there is one correction"
    return await harness.use_cases.message(ids[0]["id"])


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
