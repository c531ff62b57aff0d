"""A worker's metrics, as Prometheus reads them."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import httpx

from client.local.ports import HOST
from client.local.postgres import free_port
from models.message import MessageStatus
from tests.eventually import eventually
from tests.harness import Harness

PEOPLE, REFUSED = 300, 30


async def test_metrics_count_every_email_by_its_outcome_beside_temporals_own(harness: Harness, tmp_path: Path) -> None:
    await harness.prepare_server()
    await harness.add_contacts(PEOPLE)
    harness.smtp.refuse("0@", "550 5.1.1 no such user")
    port = free_port()
    with harness.worker_process(tmp_path / "worker.log", SENDGATE_METRICS_PORT=str(port)):
        message_id = await harness.draft()
        await harness.send(message_id)
        await harness.until(message_id, MessageStatus.SENT)
        async with httpx.AsyncClient() as prometheus:
            shown = (await prometheus.get(f"http://{HOST}:{port}/metrics")).text
    assert emails(shown, "sent") == PEOPLE - REFUSED
    assert emails(shown, "bounced") == REFUSED
    assert "temporal_activity_execution_latency_seconds_count" in shown


def emails(shown: str, outcome: str) -> int:
    """Return what the counter of an outcome says, over all of its other labels."""
    found = re.findall(rf'^sendgate_emails_total{{[^}}]*outcome="{outcome}"[^}}]*}} (\d+)$', shown, re.MULTILINE)
    return sum(map(int, found))


async def test_a_port_that_another_program_has_is_one_sentence(harness: Harness, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with harness.worker_process(log, SENDGATE_METRICS_PORT=str(port)) as process:
            await eventually(lambda: process.poll() is not None, within=60)
    assert process.returncode == 2
    said = log.read_text().strip()
    assert said.startswith(f"SENDGATE_METRICS_PORT: metrics cannot be shown at {HOST}:{port}")
    assert "\n" not in said
