"""What does a `kill -9` of a worker in mid-send leave? Judged by the next hop's own log."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

from benchmarks.figures import Findings
from benchmarks.stack import WINDOW, Stack, open_stack
from models.message import MessageStatus
from settings import Settings
from tests.eventually import eventually
from tests.smtp_log_server import SmtpLogServer

MOST_IN_DOUBT = 2 * WINDOW * Settings().lanes  # of one worker that ran all lanes
MOST_SECONDS = 40.0
_LONGEST_SECONDS = 600.0


async def measure(*, kills: int, people: int) -> Findings:
    """Kill the only worker so often, each time in another message, and let another one go on."""
    in_doubt: list[int] = []
    seconds: list[float] = []
    twice = lost = 0
    async with open_stack() as stack:
        await stack.add_contacts(people, "everybody")
        with SmtpLogServer(stack.folder) as smtp:
            for _ in range(kills):
                smtp.reset()
                message_id, listed_after = await _kill_once(stack, smtp, people)
                seconds.append(listed_after)
                rows = await stack.pool.fetch(
                    "select address, status::text from recipients where message_id = $1", message_id
                )
                status = {row["address"]: row["status"] for row in rows}
                taken = Counter(email.recipient for email in smtp.accepted())
                in_doubt.append(sum(value == "in_doubt" for value in status.values()))
                twice += sum(number > 1 for number in taken.values())
                known = {address for address, value in status.items() if value in ("sent", "in_doubt")}
                lost += len(set(taken) - known) + sum(
                    value == "sent" and address not in taken for address, value in status.items()
                )
                lost += sum(value not in ("sent", "in_doubt") for value in status.values())
    found = Findings(f"{kills} times kill -9 of the only worker, in mid-send to {people:,}")
    found.figures = {"in_doubt": in_doubt, "listed_after_seconds": seconds, "twice": twice, "lost": lost}
    found.add("mailed twice", f"{twice}", "= 0", twice == 0)
    found.add("lost without a trace", f"{lost}", "= 0", lost == 0)
    most = max(in_doubt)
    found.add("most in doubt", f"{most}", f"≤ {MOST_IN_DOUBT} (two windows a lane)", most <= MOST_IN_DOUBT)
    slowest = max(seconds)
    found.add("all of them listed after", f"{slowest:.1f} s", f"< {MOST_SECONDS:.0f} s", slowest < MOST_SECONDS)
    return found


async def _kill_once(stack: Stack, smtp: SmtpLogServer, people: int) -> tuple[str, float]:
    """Kill a worker in mid-send; return the message, sent by then, and after how long all in doubt were listed."""
    async with stack.worker(smtp.port) as doomed:
        message_id = await stack.send("everybody")
        await eventually(lambda: smtp.seen()["dot"] > people // 4, within=120)
        os.kill(doomed.pid, signal.SIGKILL)
        doomed.process.wait()
        died = time.monotonic()
        claimed = await stack.pool.fetch(
            "select contact_id from recipients where message_id = $1 and status = 'claimed'", message_id
        )
        held = [row["contact_id"] for row in claimed]
        async with stack.worker(smtp.port):

            async def all_listed() -> bool:
                open_still = await stack.pool.fetchval(
                    "select exists (select from recipients"
                    " where message_id = $1 and contact_id = any($2) and status = 'claimed')",
                    message_id,
                    held,
                )
                return not open_still

            await eventually(all_listed, within=120, every=0.1)
            listed_after = time.monotonic() - died
            await stack.until_sent(message_id, within=_LONGEST_SECONDS)
    assert await stack.status(message_id) is MessageStatus.SENT
    return message_id, listed_after
