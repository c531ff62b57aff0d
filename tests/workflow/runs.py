"""The runs of a workflow that went on as a new one again and again, read back from its last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a workflow: how long its history is, and how often a workflow task failed."""

    events: int
    size: int  # bytes
    failed_tasks: int


async def runs_of(client: Client, workflow_id: str) -> list[Run]:
    """Return every run of a workflow, the first first."""
    runs: list[Run] = []
    run_id: str | None = (await client.get_workflow_handle(workflow_id).describe()).run_id
    while run_id:
        history: Any = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        kinds = [event.event_type for event in history.events]
        failures = (EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED, EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
        runs.append(Run(len(kinds), sum(event.ByteSize() for event in history.events), sum(map(kinds.count, failures))))
        run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id or None
    return runs[::-1]
