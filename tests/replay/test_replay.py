"""Recorded histories replay: a change of the workflow must not break a send that is under way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from workflows.batch_send import BatchSendWorkflow
from workflows.state import BatchSendResult, BatchSendState, NumberedCommand

HISTORIES = Path(__file__).with_name("histories")
RECORDED = sorted(HISTORIES.glob("*.json"))


def history_of(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json("batch-send/recorded/1", file.read_text(encoding="utf-8"))


def test_there_are_enough_histories() -> None:
    assert len(RECORDED) >= 10


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
async def test_a_recorded_history_replays(file: Path) -> None:
    replayer = Replayer(workflows=[BatchSendWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history_of(file))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_a_recorded_history_names_nobody(file: Path) -> None:
    assert not re.search(r"c\d+@example", file.read_text(encoding="utf-8"))


@workflow.defn(name="BatchSendWorkflow")
class ConfirmsBeforeItCloses(BatchSendWorkflow):
    """The workflow with two activities swapped."""

    @workflow.init
    def __init__(self, state: BatchSendState) -> None:
        super().__init__(state)

    @workflow.run
    async def run(self, state: BatchSendState) -> BatchSendResult:
        return await super().run(state)

    async def _stop(self, entry: NumberedCommand) -> None:
        await self._look()
        await super()._stop(entry)


async def test_a_swapped_order_of_activities_does_not_replay() -> None:
    replayer = Replayer(
        workflows=[ConfirmsBeforeItCloses],
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(history_of(HISTORIES / "canceled_while_scheduled.json"))
