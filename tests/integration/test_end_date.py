"""The end date of a throttled send, moved by a resume: once, and by nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.commands import Command, ReceiptOutcome, Verb
from models.errors import IllegalTransition, InvalidInput
from models.message import MessageStatus
from storage import commands
from tests.eventually import eventually
from tests.harness import Harness, asked_by

SOON, LATER = timedelta(hours=1), timedelta(hours=2)


async def paused_between_two_batches(harness: Harness) -> tuple[str, datetime]:
    """Return a throttled message that is paused with some in no batch yet, and its end date."""
    await harness.add_contacts(20)
    message_id = await harness.draft()
    end = datetime.now(UTC) + SOON
    await harness.send(message_id, throttle={"batch_size": 5, "every": "10m", "ends_at": end})
    await harness.until_left(5)
    await harness.use_cases.pause(message_id, asked_by())
    return message_id, end


def end_of(message: object) -> datetime | None:
    schedule = getattr(message, "schedule", None)
    return schedule.throttle.ends_at if schedule and schedule.throttle else None


async def test_a_resume_moves_it_and_the_message_shows_it(harness: Harness) -> None:
    async with harness.worker():
        message_id, end = await paused_between_two_batches(harness)
        assert end_of(await harness.use_cases.message(message_id)) == end
        later = end + LATER
        result = await harness.use_cases.resume(message_id, asked_by(), ends_at=later)
        assert result.receipt is not None
        assert result.receipt.outcome is ReceiptOutcome.DONE
        assert end_of(result.message) == later
        progress = await harness.use_cases.progress(message_id)
        assert progress.throttle is not None
        assert progress.throttle.ends_at == later
        history = await harness.use_cases.history(message_id)
        assert history[-1].details == {"ends_at": later.isoformat()}


async def test_the_same_resume_again_is_done_and_one_to_another_end_is_refused(harness: Harness) -> None:
    async with harness.worker():
        message_id, end = await paused_between_two_batches(harness)
        asked = asked_by()
        first = await harness.use_cases.resume(message_id, asked, ends_at=end + LATER)
        again = await harness.use_cases.resume(message_id, asked, ends_at=end + LATER)
        assert again.receipt == first.receipt
        plain = await harness.use_cases.resume(message_id, asked_by())  # fulfilled already
        assert plain.receipt is not None
        assert first.receipt is not None
        assert plain.receipt.effective_at == first.receipt.effective_at
        alike = await harness.use_cases.resume(message_id, asked_by(), ends_at=end + LATER)
        assert alike.receipt is not None
        assert alike.receipt.effective_at == first.receipt.effective_at
        with pytest.raises(IllegalTransition):
            await harness.use_cases.resume(message_id, asked_by(), ends_at=end + 2 * LATER)
        assert end_of(await harness.use_cases.message(message_id)) == end + LATER


async def test_a_resume_to_another_end_that_crosses_one_is_refused_by_the_workflow(harness: Harness) -> None:
    """Both were asked while it was paused: the door let both pass."""
    async with harness.worker():
        message_id, end = await paused_between_two_batches(harness)
        await harness.use_cases.resume(message_id, asked_by(), ends_at=end + LATER)
        crossing = Command(
            command_id="crossing", verb=Verb.RESUME, actor="b", source="test", requested_at=datetime.now(UTC)
        )
        details = {"ends_at": (end + 2 * LATER).isoformat()}
        await commands.ask(harness.pool, message_id, 1, crossing, details)
        await harness.workflows.signal(message_id, 1, crossing)

        async def answered() -> bool:
            return await commands.receipt(harness.pool, message_id, crossing) is not None

        await eventually(answered)
        receipt = await commands.receipt(harness.pool, message_id, crossing)
        assert receipt is not None
        assert receipt.outcome is ReceiptOutcome.REFUSED
        assert receipt.explanation is not None
        assert "resumed already" in receipt.explanation
        assert end_of(await harness.use_cases.message(message_id)) == end + LATER


async def test_an_end_date_that_is_wrong_changes_nothing(harness: Harness) -> None:
    async with harness.worker():
        message_id, end = await paused_between_two_batches(harness)
        for wrong in (datetime.now(UTC) - SOON, datetime.now(UTC) + timedelta(days=9000), datetime(2040, 1, 1, 9, 0)):  # noqa: DTZ001
            with pytest.raises(InvalidInput) as refused:
                await harness.use_cases.resume(message_id, asked_by(), ends_at=wrong)
            assert refused.value.field == "ends_at"
        assert await harness.status(message_id) is MessageStatus.PAUSED
        assert end_of(await harness.use_cases.message(message_id)) == end
        assert len(await harness.use_cases.history(message_id)) == 2
