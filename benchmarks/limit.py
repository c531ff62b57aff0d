"""Does a rate limit hold, and is it reached? Over a minute, two workers, and one that is replaced in the middle.

The judge is the next hop's own log. Counting begins a second after the first email: a full bucket may leave at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from benchmarks.figures import Findings
from benchmarks.processes import Child
from benchmarks.stack import Stack, open_stack
from tests.eventually import eventually
from tests.smtp_log_server import SmtpLogServer

RATE = 100.0  # emails a second
MOST_OFF = 0.02
_FULL_BUCKET_SECONDS = 1.0
_SPARE_SECONDS = 4.0  # emails for so long are left when the counting ends


async def measure(*, seconds: float) -> Findings:
    """Count for so long: one message with a limit of its own, then two under the limit of all messages together."""
    people = int(RATE * (seconds + _FULL_BUCKET_SECONDS + _SPARE_SECONDS))
    found = Findings(f"{RATE:.0f} emails a second over {seconds:.0f} s, two workers, one replaced in the middle")
    async with open_stack() as stack:
        await stack.add_contacts(people, "everybody")
        await stack.add_contacts(people // 2, "half")
        with SmtpLogServer(stack.folder) as smtp:
            alone = await _left_at(stack, smtp, ["everybody"], seconds, limit_of_each=RATE)
            _judge(found, "a message with a limit", alone, seconds)
            smtp.reset()
            together = await _left_at(stack, smtp, ["half", "half"], seconds, limit_of_all=RATE)
            _judge(found, "two messages under the limit of all", together, seconds)
    return found


async def _left_at(
    stack: Stack,
    smtp: SmtpLogServer,
    lists: Sequence[str],
    seconds: float,
    *,
    limit_of_each: float | None = None,
    limit_of_all: float | None = None,
) -> list[float]:
    """Send a message to each list and return when each email left, as unix time, in order."""
    async with AsyncExitStack() as others:
        async with _worker(stack, smtp, limit_of_all):
            await others.enter_async_context(_worker(stack, smtp, limit_of_all))
            sent = [await stack.send(name, emails_per_second=limit_of_each) for name in lists]
            half = int(RATE * seconds / 2)
            await eventually(lambda: smtp.seen()["dot"] >= half, within=2 * seconds + 30, every=0.1)
        await others.enter_async_context(_worker(stack, smtp, limit_of_all))
        for message_id in sent:
            await stack.until_sent(message_id, within=2 * seconds + 60)
    return sorted(email.at for email in smtp.accepted())


def _worker(stack: Stack, smtp: SmtpLogServer, limit_of_all: float | None) -> AbstractAsyncContextManager[Child]:
    if limit_of_all is None:
        return stack.worker(smtp.port)
    return stack.worker(smtp.port, emails_per_second=str(limit_of_all))


def _judge(found: Findings, what: str, left_at: Sequence[float], seconds: float) -> None:
    began = left_at[0] + _FULL_BUCKET_SECONDS
    counted = bisect_left(left_at, began + seconds) - bisect_left(left_at, began)
    rate = counted / seconds
    each_second = Counter(int(at - began) for at in left_at if began <= at < began + seconds)
    by_second = [each_second[second] for second in range(int(seconds))]
    found.figures[what] = {
        "emails": counted,
        "seconds": seconds,
        "per_second": rate,
        "by_second": by_second,
    }
    off = rate / RATE - 1
    bar = f"{RATE:.0f} within {MOST_OFF:.0%}"
    found.add(what, f"{rate:,.2f} emails/s ({off:+.2%})", bar, abs(off) <= MOST_OFF)
    found.add("the same, in one second", f"{min(by_second)} to {max(by_second)}")
