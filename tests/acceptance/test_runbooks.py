"""What holds for every runbook: a stop that is not confirmed ends it, and a dry run changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.runbooks._run import COPY_TO_BE, NotConfirmed
from models.commands import Verb
from tests.acceptance.messages_in_mid_send import a_list, checksum, stalled
from tests.acceptance.runbook_runs import LINK, WRONG_BODY, begin, sendgate
from tests.harness import Harness

TOMORROW = timedelta(days=1)


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
