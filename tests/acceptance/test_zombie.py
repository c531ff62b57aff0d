"""Workers that are cut off, killed or ended in mid-send, while others go on: nobody twice, and no receipt too early.

Two workers share one message: the *victim*, a process that reaches Temporal and PostgreSQL through proxies which can be
cut, and a sound one in this process. Each has an SMTP server of its own, so that the logs tell who handed what over.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from temporalio.api.enums.v1 import PendingActivityState

from client.temporal import Workflows
from models.commands import Receipt, ReceiptOutcome
from models.failures import LOOKED_AT
from models.message import MessageStatus, workflow_id
from models.recipient import RecipientStatus
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.smtp_log_server import Accepted, SmtpLogServer
from tests.tcp_proxy import TcpProxy
from worker import WINDOW
from workflows.state import Knobs

RECIPIENTS = 6_000
LANES = 4
LEASE = timedelta(seconds=3)
#: Slow enough that the send lasts as long as a test needs it; fast enough that the victim comes to all that it has
#: claimed, two windows for each of up to three lanes, long before its lease is over.
DELAY_MS = 20
#: Until both are at it for good.
FIRST_DELAY_MS = 10
VICTIMS_CONNECTIONS = 16
LONG_ENOUGH = timedelta(seconds=60)


@dataclass
class Scene:
    """A message in mid-send, with lanes at both workers."""

    harness: Harness
    message_id: str
    victim: subprocess.Popen[bytes]
    victims_smtp: SmtpLogServer
    temporal: TcpProxy  # the victim's way to Temporal
    postgres: TcpProxy  # the victim's way to PostgreSQL

    def by_victim(self) -> list[Accepted]:
        return self.victims_smtp.accepted()

    def by_other(self) -> list[Accepted]:
        return self.harness.smtp.accepted()

    def emails(self) -> list[Accepted]:
        return self.by_victim() + self.by_other()

    async def lanes(self) -> list[tuple[int, int]]:
        """Return (process, attempt) of each lane that a worker has taken, as Temporal believes."""
        handle = self.harness.client.get_workflow_handle(workflow_id(self.message_id, 1))
        pending = (await handle.describe()).raw_description.pending_activities
        return [
            (int(lane.last_worker_identity.split("@")[0]), lane.attempt)
            for lane in pending
            if lane.activity_type.name == "deliver"
            and lane.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        ]

    async def lanes_of_victim(self) -> int:
        return sum(process == self.victim.pid for process, _ in await self.lanes())

    async def victim_has_more_to_come(self) -> bool:
        """Whether the victim has claimed so many whom it has not come to that all of its connections are in use."""
        rows = await self.harness.pool.fetch(
            "select address, claim_token from recipients where message_id = $1 and status = 'claimed'", self.message_id
        )
        mailed = {email.recipient for email in self.by_victim()}
        tokens = {row["claim_token"] for row in rows if row["address"] in mailed}
        to_come = sum(row["claim_token"] in tokens and row["address"] not in mailed for row in rows)
        return to_come > 2 * VICTIMS_CONNECTIONS

    async def until_the_next_attempt_runs(self) -> None:
        async def runs() -> bool:
            return any(process == os.getpid() and attempt > 1 for process, attempt in await self.lanes())

        await eventually(runs, within=30, every=0.05)

    async def until_left(self, number: int) -> None:
        """Wait until both together have handed over more."""
        await eventually(lambda: len(self.emails()) > number, within=30)

    async def until_both_hand_over(self) -> None:
        """Wait until either worker has handed over more than it has now."""
        victim, other = len(self.by_victim()), len(self.by_other())
        await eventually(lambda: len(self.by_victim()) > victim and len(self.by_other()) > other)

    async def pause(self) -> Receipt:
        result = await self.harness.use_cases.pause(self.message_id, asked_by(), wait=LONG_ENOUGH)
        assert result.receipt is not None
        assert result.receipt.outcome is ReceiptOutcome.DONE
        assert result.receipt.status_after == MessageStatus.PAUSED
        assert result.receipt.counts is not None
        assert result.receipt.counts["claimed"] == 0, "the receipt came while rows were claimed"
        return result.receipt

    async def go_on_to_the_end(self) -> None:
        self.temporal.heal()
        self.postgres.heal()
        for server in (self.victims_smtp, self.harness.smtp):
            server.set(delay_ms=0)
        if await self.harness.status(self.message_id) is MessageStatus.PAUSED:
            await self.harness.use_cases.resume(self.message_id, asked_by(), wait=LONG_ENOUGH)
        await self.harness.until(self.message_id, MessageStatus.SENT, within=40)

    async def addresses(self, status: RecipientStatus) -> set[str]:
        rows = self.harness.use_cases.recipients(self.message_id, statuses=[status])
        return {row.address async for row in rows}

    async def judge(self) -> int:
        """Nobody twice, nobody lost without a trace, by both servers' logs; return how many are in doubt."""
        emails = self.emails()
        mailed = {email.recipient for email in emails}
        assert len(mailed) == len(emails), "somebody got it twice"
        assert len({email.message_id for email in emails}) == len(emails), "a Message-ID came twice"
        counts = await self.harness.counts(self.message_id)
        assert counts == await self.harness.counted(self.message_id)
        sent, in_doubt = await self.addresses(RecipientStatus.SENT), await self.addresses(RecipientStatus.IN_DOUBT)
        assert sent <= mailed <= sent | in_doubt
        assert len(sent) + len(in_doubt) == counts.total == RECIPIENTS
        return len(in_doubt)


@asynccontextmanager
async def scene_in_mid_send(harness: Harness, directory: Path) -> AsyncIterator[Scene]:
    """Begin a send that both workers take part in."""
    harness.workflows = Workflows(harness.client, knobs=Knobs(lane_heartbeat_timeout=timedelta(seconds=2)))
    harness.smtp.set(delay_ms=FIRST_DELAY_MS)
    await harness.add_contacts(RECIPIENTS)
    message_id = await harness.draft()
    host, _, port = harness.client.service_client.config.target_host.partition(":")
    database = urlsplit(harness.database_url)
    assert database.hostname is not None
    assert database.port is not None
    log = directory / "victim.log"
    with SmtpLogServer(directory, delay_ms=FIRST_DELAY_MS) as victims_smtp:
        async with (
            TcpProxy(host, int(port)) as temporal,
            TcpProxy(database.hostname, database.port) as postgres,
            harness.worker(lanes=LANES, smtp_connections=8, lease=LEASE),
        ):
            # The sound worker adopts the message, and so runs its workflow; only then comes the victim, for lanes.
            await harness.pool.execute("insert into hold (actor, reason) values ('test', 'until both are there')")
            await harness.send(message_id)
            with harness.worker_process(
                log,
                SENDGATE_LEASE=f"{LEASE.total_seconds():.0f}s",
                SENDGATE_SMTP_PORT=str(victims_smtp.port),
                SENDGATE_SMTP_CONNECTIONS=str(VICTIMS_CONNECTIONS),
                SENDGATE_DATABASE_URL=harness.database_url.replace(f":{database.port}/", f":{postgres.port}/"),
                TEMPORAL_ADDRESS=f"127.0.0.1:{temporal.port}",
            ) as victim:
                await eventually(lambda: "working on" in log.read_text(), within=30)
                await harness.pool.execute("delete from hold")
                scene = Scene(harness, message_id, victim, victims_smtp, temporal, postgres)
                await until_both_have_lanes(scene)
                yield scene


async def until_both_have_lanes(scene: Scene) -> None:
    async def begun() -> bool:
        await scene.harness.workflows.wake(scene.message_id, 1)
        return await scene.harness.status(scene.message_id) is MessageStatus.SENDING

    async def all_taken() -> bool:
        return len(await scene.lanes()) == LANES

    await eventually(begun, every=0.1)
    while True:
        # Before so many have been judged a lane takes only its part of them, and then it is over, cut off or not.
        await scene.until_left(len(scene.emails()) + LANES * -(-LOOKED_AT // LANES // WINDOW) * WINDOW)
        await eventually(all_taken)
        if await scene.lanes_of_victim() in range(1, LANES):
            break
        await scene.pause()  # chance gave all of them to one: deal again
        await scene.harness.use_cases.resume(scene.message_id, asked_by())
    for server in (scene.victims_smtp, scene.harness.smtp):
        server.set(delay_ms=DELAY_MS)
    await scene.until_both_hand_over()


def late(emails: list[Accepted], receipt: Receipt) -> list[Accepted]:
    assert receipt.effective_at is not None
    return [email for email in emails if email.at > receipt.effective_at.timestamp()]


async def test_cut_off_from_temporal_a_lane_and_its_next_attempt_mail_nobody_twice(
    harness: Harness, tmp_path: Path
) -> None:
    """Temporal gives the lane up; it lives on, and neither it nor the pause needs Temporal's belief."""
    async with scene_in_mid_send(harness, tmp_path) as scene:
        scene.temporal.cut(target_hears=True)  # so that no task is handed to it any more
        await scene.until_the_next_attempt_runs()
        await scene.until_both_hand_over()
        receipt = await scene.pause()
        assert receipt.counts is not None
        assert receipt.counts["sent"] == len(scene.emails())
        assert receipt.counts["in_doubt"] == 0, "the lane could settle all the time"
        await scene.go_on_to_the_end()
        assert len(scene.emails()) == RECIPIENTS
        assert await scene.judge() == 0
        resumed_at = (await harness.use_cases.history(scene.message_id))[-1].requested_at.timestamp()
        assert not [email for email in late(scene.emails(), receipt) if email.at < resumed_at]


@pytest.mark.parametrize("from_temporal_too", [False, True], ids=["postgres", "postgres and temporal"])
async def test_cut_off_from_postgres_the_receipt_waits_for_the_lease(
    harness: Harness, tmp_path: Path, from_temporal_too: bool
) -> None:
    """What the lane holds is in doubt until it can say what it saw; it hands nothing over after the receipt."""
    async with scene_in_mid_send(harness, tmp_path) as scene:
        scene.postgres.cut()
        if from_temporal_too:
            scene.temporal.cut(target_hears=True)  # so that no task is handed to it any more
            await scene.until_the_next_attempt_runs()
        receipt = await scene.pause()
        in_doubt = await scene.addresses(RecipientStatus.IN_DOUBT)
        handed_over = {email.recipient for email in scene.by_victim()}
        assert in_doubt & handed_over, "the cut fell on nothing"
        assert len(in_doubt) <= LANES * 2 * WINDOW
        lapsed_at = await harness.pool.fetchval(
            "select max(settled_at) from recipients where message_id = $1 and status = 'in_doubt'", scene.message_id
        )
        assert receipt.effective_at is not None
        assert lapsed_at <= receipt.effective_at
        emails = len(scene.emails())

        scene.postgres.heal()
        scene.temporal.heal()

        async def has_said_what_it_saw() -> bool:
            return not handed_over & await scene.addresses(RecipientStatus.IN_DOUBT)

        await eventually(has_said_what_it_saw, within=20, every=0.05)
        assert handed_over <= await scene.addresses(RecipientStatus.SENT)
        assert len(scene.emails()) == emails
        assert not late(scene.emails(), receipt)
        await scene.go_on_to_the_end()
        # Whom it held and never came to is not mailed by anybody: nothing in doubt is sent again by itself.
        assert await scene.judge() == len(in_doubt - handed_over)


async def test_a_lane_that_cannot_renew_its_lease_breaks_off_what_it_is_handing_over(
    harness: Harness, tmp_path: Path
) -> None:
    """Otherwise the next hop could take the rest of an email long after the receipt."""
    async with scene_in_mid_send(harness, tmp_path) as scene:
        await eventually(scene.victim_has_more_to_come, every=0)
        scene.victims_smtp.set(delay_ms=60_000)
        looks: list[Counter[str]] = []

        def nothing_moves() -> bool:
            looks.append(scene.victims_smtp.seen())
            return looks[-1] in looks[-2:-1]

        # Replies that were on their way have come by then, and every connection waits for one that does not.
        await eventually(nothing_moves, every=3 * DELAY_MS / 1000)
        before = looks[-1]
        scene.postgres.cut()
        assert before["open"] == VICTIMS_CONNECTIONS
        receipt = await scene.pause()
        assert scene.victims_smtp.seen()["lost"] >= before["lost"] + VICTIMS_CONNECTIONS
        await scene.go_on_to_the_end()
        assert receipt.counts is not None
        assert 0 < await scene.judge() <= receipt.counts["in_doubt"]


async def test_a_killed_worker_leaves_at_most_two_windows_a_lane_in_doubt(harness: Harness, tmp_path: Path) -> None:
    async with scene_in_mid_send(harness, tmp_path) as scene:
        lanes = await scene.lanes_of_victim()
        scene.victim.send_signal(signal.SIGKILL)
        scene.victim.wait()
        await scene.go_on_to_the_end()
        in_doubt = await scene.judge()
        assert 0 < in_doubt <= 2 * WINDOW * lanes
        # Each is listed by name, with the reason.
        listed = [r async for r in harness.use_cases.recipients(scene.message_id, statuses=[RecipientStatus.IN_DOUBT])]
        assert len(listed) == in_doubt
        assert all(r.address and r.reason and "fell silent" in r.reason for r in listed)


async def test_a_worker_that_is_told_to_end_loses_nobody(harness: Harness, tmp_path: Path) -> None:
    async with scene_in_mid_send(harness, tmp_path) as scene:
        scene.victim.send_signal(signal.SIGTERM)
        await eventually(lambda: scene.victim.poll() is not None, within=10)
        assert scene.victim.returncode == 0
        assert (await harness.counts(scene.message_id)).pending > 0, "it was over before"
        await scene.go_on_to_the_end()
        assert await scene.judge() == 0
        assert len(scene.emails()) == RECIPIENTS
