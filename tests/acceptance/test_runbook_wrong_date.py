"""The runbook wrong-date with a real send underneath.

From start to end, and broken off after each step and run again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.errors import IllegalTransition, InvalidInput, Refused
from models.message import MessageStatus
from models.schedule import PassedZones, Schedule, Throttle
from tests.acceptance.messages_in_mid_send import a_list, assert_everybody_once, finish, paused_in_mid_send
from tests.acceptance.runbook_runs import BrokenOff, begin, sendgate
from tests.harness import Harness, asked_by

TOMORROW = timedelta(days=1)


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


async def test_wrong_date_keeps_the_rest_of_the_schedule_and_takes_it_up_again_in_the_middle(harness: Harness) -> None:
    at = (datetime.now(UTC) + TOMORROW).replace(tzinfo=None, microsecond=0)
    schedule = Schedule(
        at=at,
        time_zone="contact",
        fallback_time_zone="Europe/Oslo",
        passed_zones=PassedZones.NEXT_DAY,
        throttle=Throttle(batch_size=3, every=timedelta(minutes=15), ends_at=datetime.now(UTC) + 9 * TOMORROW),
    )
    message_id = await harness.draft(lists=(await a_list(harness, 1, 20),))
    await harness.send(message_id, **dict(schedule))
    with pytest.raises(InvalidInput, match="is not after the start"):
        await begin(harness, "wrong-date", message_id=message_id, at=at + 30 * TOMORROW)
    with pytest.raises(InvalidInput, match="leave out either the offset or time_zone"):
        await begin(harness, "wrong-date", message_id=message_id, at=datetime.now(UTC) + TOMORROW)
    assert (await harness.use_cases.message(message_id)).schedule == schedule

    with pytest.raises(BrokenOff):
        await begin(harness, "wrong-date", message_id=message_id, at=at + TOMORROW, break_off_after=1)
    assert await harness.status(message_id) is MessageStatus.DRAFT
    again = await begin(harness, "wrong-date", message_id=message_id, at=at + 2 * TOMORROW)
    moved = await harness.use_cases.message(message_id)
    assert (moved.status, moved.generation) == (MessageStatus.SCHEDULED, 2)
    assert moved.schedule == schedule.model_copy(update={"at": at + 2 * TOMORROW})
    assert "in each contact's own time zone, in batches of 3 every 15 min until" in again.said("send")[0]


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
