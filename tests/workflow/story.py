"""Stories of sends over time: what happens when, in words, and who gets it when, typed by hand.

A step is a time and what happens: "10:20 pause". Times are UTC on the first day of the story, which is years ahead;
"+1d 09:00" is the day after, and "2040-06-05T09:00" may be written too. Who is written as "p1-p3 p7".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from models.commands import ReceiptOutcome
from models.schedule import Schedule
from tests.eventually import eventually
from tests.harness import asked_by
from tests.workflow.virtual import VirtualHarness

FIRST_DAY = datetime(2040, 6, 4, tzinfo=UTC)
_LONG_AFTER = timedelta(days=40)
_FIRST_STEP = timedelta(minutes=10)
_TIME = re.compile(r"(?:\+(\d+)d |(\d{4}-\d\d-\d\d)T)?(\d\d):(\d\d)(?::(\d\d))?")


def when(text: str) -> datetime:
    """Return the instant of "10:20", "10:20:30", "+1d 09:00" or "2040-06-05T09:00"."""
    match = _TIME.fullmatch(text)
    assert match, f"{text!r} is no time of a story"
    days, date, hours, minutes, seconds = match.groups()
    first = datetime.fromisoformat(f"{date}T00:00Z") if date else FIRST_DAY
    return first + timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))


def people(text: str) -> set[str]:
    """Return the names in "p1-p3 p7"."""
    names: set[str] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        prefix = first.rstrip("0123456789")
        numbers = range(int(first[len(prefix) :]), int((last or first)[len(prefix) :]) + 1)
        names |= {f"{prefix}{number}" for number in numbers}
    return names


def deliveries(*lines: str) -> dict[datetime, set[str]]:
    """Return who gets it when, from lines such as "10:15 p4-p6"."""
    found: dict[datetime, set[str]] = {}
    for line in lines:
        match = _TIME.match(line)
        assert match, f"{line!r} begins with no time"
        found[when(match[0])] = people(line[match.end() :])
    return found


class Story:
    """One message on its way through a story."""

    def __init__(self, harness: VirtualHarness, workers: AsyncExitStack) -> None:
        self._harness = harness
        self._workers = workers
        self.message_id = ""

    async def play(self, audience: Mapping[str, str | None], schedule: Mapping[str, Any], steps: Sequence[str]) -> None:
        """Send to `audience` (people → their zone) by the first step, do the others, and let it come to its end."""
        await self.prepare(audience)
        await self.go(steps, schedule)
        step = _FIRST_STEP
        while step < _LONG_AFTER:  # one call for all of it would time out where the machine is slow
            await self._harness.skipping.sleep(step)
            step *= 2

    async def prepare(self, audience: Mapping[str, str | None]) -> None:
        """Write the message and start a worker."""
        for names, zone in audience.items():
            await self.join(names, zone)
        await self._workers.enter_async_context(self._harness.recording_worker(lanes=1))
        self.message_id = await self._harness.draft()

    async def go(self, steps: Sequence[str], schedule: Mapping[str, Any] | None = None) -> None:
        """Do what the steps say at their times; `schedule` is that of a step that sends."""
        for step in steps:
            time = _TIME.match(step)
            assert time, f"{step!r} begins with no time"
            verb, _, rest = step[time.end() :].strip().partition(" ")
            if verb == "pause" and rest.startswith("after "):
                await self.pause_inside(when(time[0]), int(rest.removeprefix("after ")))
                continue
            await self._harness.skip_to(when(time[0]))
            if verb == "send":
                await self._harness.use_cases.send(self.message_id, Schedule.model_validate(schedule), asked_by())
            else:
                await self._harness.at_rest(self.message_id)
                await getattr(self, f"_{verb.replace('-', '_')}")(rest)
            await self._harness.at_rest(self.message_id)

    @property
    def got(self) -> dict[datetime, set[str]]:
        """Who got it when, to the minute: between skips the server's clock runs with ours."""
        found: dict[datetime, set[str]] = {}
        for moment, address in self._harness.next_hop.taken:
            found.setdefault(moment.replace(second=0, microsecond=0), set()).add(address.partition("@")[0])
        return found

    async def assert_counts(self, got: Mapping[datetime, set[str]], others: Mapping[str, int]) -> None:
        """The counts are those of who got it and of `others`, and no other; kept and counted, by slot and in sum."""
        counts = await self._harness.counts(self.message_id)
        sent = sum(len(names) for names in got.values())
        expected = {"total": sent + sum(others.values()), "sent": sent, **others}
        assert {name: number for name, number in counts if number or name in expected} == expected
        assert counts == await self._harness.counted(self.message_id)

    async def pause_inside(self, moment: datetime, taken: int) -> None:
        """Pause in the midst of what is sent at `moment`, when so many have left."""
        await self._harness.skip_to(moment - timedelta(seconds=1))
        self._harness.next_hop.stick_after(taken)
        passing = asyncio.create_task(self._harness.skip_to(moment + timedelta(seconds=1)))
        await eventually(lambda: self._harness.next_hop.is_stuck)
        await self._pause("")
        self._harness.next_hop.go_on()
        await passing

    async def join(self, names: str, zone: str | None) -> None:
        for name in sorted(people(names), key=lambda name: int(re.sub(r"\D", "", name))):
            contact_id = await self._harness.pool.fetchval(
                "insert into contacts (address, address_key, time_zone) values ($1, $1, $2) returning id",
                f"{name}@example.com",
                zone,
            )
            await self._harness.pool.execute("insert into lists (name) values ('everybody') on conflict do nothing")
            await self._harness.pool.execute(
                "insert into list_members select id, $1 from lists where name = 'everybody'", contact_id
            )

    # -- what happens at a time

    async def _look(self, rest: str) -> None:
        """Nothing: the test looks."""

    async def _join(self, rest: str) -> None:
        names, _, zone = rest.partition(" in ")
        await self.join(names, zone or None)

    async def _leave(self, rest: str) -> None:
        await self._harness.pool.execute(
            "delete from list_members where contact_id in (select id from contacts where address = any($1))",
            [f"{name}@example.com" for name in people(rest)],
        )

    async def _return(self, rest: str) -> None:
        await self._harness.pool.execute(
            "insert into list_members select l.id, c.id from lists l, contacts c"
            " where l.name = 'everybody' and c.address = any($1)",
            [f"{name}@example.com" for name in people(rest)],
        )

    async def _suppress(self, rest: str) -> None:
        await self._harness.use_cases.suppress([f"{name}@example.com" for name in people(rest)], reason="asked")

    async def _move(self, rest: str) -> None:
        names, _, zone = rest.partition(" to ")
        await self._harness.pool.execute(
            "update contacts set time_zone = $2 where address = any($1)",
            [f"{name}@example.com" for name in people(names)],
            zone,
        )

    async def _pause(self, rest: str) -> None:
        result = await self._harness.use_cases.pause(self.message_id, asked_by(), wait=timedelta(seconds=30))
        assert result.receipt is not None
        assert result.receipt.outcome is ReceiptOutcome.DONE

    async def _resume(self, rest: str) -> None:
        """`resume`, or `resume until 12:00` with a new end date."""
        ends_at = when(rest.removeprefix("until ")) if rest else None
        result = await self._harness.use_cases.resume(
            self.message_id, asked_by(), ends_at=ends_at, wait=timedelta(seconds=30)
        )
        assert result.receipt is not None
        assert result.receipt.outcome is ReceiptOutcome.DONE

    async def _hold(self, rest: str) -> None:
        await self._harness.pool.execute("insert into hold (actor, reason) values ('operator', 'test')")

    async def _release(self, rest: str) -> None:
        await self._harness.pool.execute("delete from hold")
        await self._harness.workflows.wake(self.message_id, 1)

    async def _next_hop(self, rest: str) -> None:
        """`next-hop leaves`, `next-hop returns`, and `next-hop defers p1-p3`, each of them once."""
        if rest.startswith("defers "):
            names = people(rest.removeprefix("defers "))
            self._harness.next_hop.refusals = {f"{name}@example.com": [450] for name in names}
        else:
            self._harness.next_hop.is_away = rest == "leaves"
