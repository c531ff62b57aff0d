"""The part of the demo that takes a day and a half, played in seconds: nine o'clock in every time zone, throttled.

The use cases, the workflow, the worker and the ledger are the real ones; only Temporal's clock is another. Which
instant it was is written down at every hand-over; what arrived is, as in the rest of the demo, what the mailbox holds.
"""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.text import Text

from client.interface import AskedBy, CommandResult
from client.local.stack_file import Stack
from examples.demo_check import Stop, broken_claims, other_emails
from examples.demo_stack import handled_by
from examples.demo_stage import DemoFailed, Stage
from examples.demo_timetable import Pause, ThrottledSend
from examples.demo_virtual_sendgate import Departure, VirtualSendgate, virtual_sendgate
from models.audience import Audience
from models.message import MessageContent, MessageStatus, workflow_id
from models.schedule import Schedule
from worker import end

HERE = Path(__file__).parent
CONTACTS, JOINERS = HERE / "contacts.csv", HERE / "joiners.csv"
LIST, PLAN = "newsletter", "regular"  # a good quarter of the list: enough to see, and played in seconds
NINE = "2040-06-05T09:00"  # the same dates whenever it is played: the clock skips the years
OTHERS_ZONE = "Europe/London"
BATCH_SIZE, EVERY = 75, timedelta(hours=2)
ACCEPTED = datetime(2040, 6, 4, 12, tzinfo=UTC)  # it is nine nowhere yet
PAUSED = datetime(2040, 6, 5, 10, 30, tzinfo=UTC)
RESUMED = datetime(2040, 6, 5, 17, tzinfo=UTC)
OVER = datetime(2040, 6, 7, 12, tzinfo=UTC)
_AFTER_A_TURN = timedelta(minutes=5)  # its batch has left then
_LONGEST_BAR, _BESIDE_THE_BAR = 30, 66  # columns


class FastMotion:
    """One throttled send on its way, and the timeline of what leaves."""

    def __init__(self, stage: Stage, sendgate: VirtualSendgate) -> None:
        self._stage = stage
        self._use = sendgate.use
        self._time = sendgate.time
        self._left = sendgate.left
        self._shown = 0
        self._message_id = ""
        joiners = dict(_zones(JOINERS))
        self._send = ThrottledSend(
            wall_clock=datetime.fromisoformat(NINE),
            every=EVERY,
            batch_size=BATCH_SIZE,
            zones=dict(_zones(CONTACTS)) | joiners,
            joiners=joiners.keys(),
        )

    async def tell(self) -> None:
        """Send, pause, let people join, resume, wait until all is over; then claim and check."""
        await self._use.import_contacts(str(CONTACTS), list_name=LIST)
        await self._time.skip_to(ACCEPTED)
        await self._send_it()
        await self._play(until=PAUSED)
        began_at = await self._pause("the landing page is down")
        await self._use.import_contacts(str(JOINERS), list_name=LIST)
        await self._play(until=RESUMED)
        ended_at = await self._time.now()
        await self._resume("the landing page is back")
        await self._play(until=OVER)
        await self.claim(Pause(began_at, ended_at))

    # -- what happens

    async def _send_it(self) -> None:
        content = MessageContent(
            name="Nine o'clock",
            from_address="letters@kettle.example.com",
            subject="Good morning {{ contact.first_name }}",
            html=(HERE / "newsletter.html").read_text(encoding="utf-8"),
            text=(HERE / "newsletter.txt").read_text(encoding="utf-8"),
            audience=Audience(lists=(LIST,), where={"plan": PLAN}),
        )
        schedule = {
            "at": NINE,
            "time_zone": "contact",
            "fallback_time_zone": OTHERS_ZONE,
            "throttle": {"batch_size": BATCH_SIZE, "every": EVERY},
        }
        self._message_id = (await self._use.create(content)).id
        await self._use.send(self._message_id, Schedule.model_validate(schedule), _asked())
        await self._at_rest()

    async def _pause(self, reason: str) -> datetime:
        _require_receipt(await self._use.pause(self._message_id, _asked(reason)))
        now = await self._time.now()
        await self._at_rest()
        self._mark(now, f"paused: {reason}")
        return now

    async def _resume(self, reason: str) -> None:
        _require_receipt(await self._use.resume(self._message_id, _asked(reason)))
        await self._at_rest()
        self._mark(await self._time.now(), f"resumed: {reason}; {len(self._send.joiners)} have joined meanwhile")

    async def _play(self, until: datetime) -> None:
        """Let time pass from turn to turn, and show what leaves."""
        for turn in self._send.turns(after=await self._time.now(), before=until):
            if (await self._use.message(self._message_id)).status.is_final:
                break
            await self._skip_to(turn + _AFTER_A_TURN)
            if not self._show_what_left():
                self._line(turn, Text("the turn passes, and nothing leaves", style="dim"))
        await self._skip_to(until)
        self._show_what_left()

    async def _skip_to(self, moment: datetime) -> None:
        await self._time.skip_to(moment)
        await self._at_rest()

    async def _at_rest(self) -> None:
        await self._time.at_rest(workflow_id(self._message_id, 1))

    # -- the timeline

    def _show_what_left(self) -> bool:
        """Show a line for every minute in which something left since the last look; return whether there was any."""
        batches: dict[datetime, list[Departure]] = {}
        for email in self._left[self._shown :]:
            batches.setdefault(email.received_at.replace(second=0, microsecond=0), []).append(email)
        self._shown = len(self._left)
        width = max(1, min(_LONGEST_BAR, self._stage.console.width - _BESIDE_THE_BAR))
        for moment, batch in sorted(batches.items()):
            zones = Counter(self._send.zones.get(email.address, OTHERS_ZONE) for email in batch)
            largest = min(zones, key=lambda zone: (-zones[zone], zone))
            bar = "━" * max(1, round(len(batch) * width / BATCH_SIZE))
            there = f"{moment.astimezone(ZoneInfo(largest)):%a %H:%M} {largest}"
            self._line(moment, Text.assemble(f"{there:<40} ", (f"{bar:<{width}}", "green"), f" {len(batch):>3}"))
        return bool(batches)

    def _mark(self, moment: datetime, what: str) -> None:
        self._line(moment, Text(what, style="bold yellow"))

    def _line(self, moment: datetime, text: Text) -> None:
        self._stage.console.print(Text.assemble(f"    {moment:%a %H:%M} UTC   ", text))

    # -- the claims

    async def claim(self, pause: Pause) -> None:
        """Say what was promised, and check it against what left and what the mailbox holds."""
        send = replace(self._send, pause=pause)
        message = await self._use.message(self._message_id)
        left, caught = self._left, self._stage.mailbox.arrived()
        self._stage.claim(
            f"In the mailbox: {len(send.zones)} people got it exactly once, the {len(send.joiners)} joiners too.",
            broken=broken_claims(send.zones.keys(), caught)
            + other_emails(caught, left)
            + ([] if message.status is MessageStatus.SENT else [f"The message is {message.status}."]),
        )
        self._stage.claim("Nobody got it before 09:00 on their own clock.", broken=send.too_early(left))
        self._stage.claim(f"No batch had more than {BATCH_SIZE}.", broken=send.too_large(left))
        self._stage.claim(
            f"They left at the turns alone: every {EVERY // timedelta(hours=1)} hours"
            f" from {send.first_turn:%a %H:%M} UTC.",
            broken=send.off_the_grid(left),
        )
        self._stage.claim(
            "Nothing left between pause and resume.",
            broken=broken_claims(send.zones.keys(), left, [Stop(*pause)]),
        )
        self._stage.claim(
            f"The {len(send.missed_turns)} turns that passed meanwhile were dropped, not made up for: the"
            f" {len(send.timetable())} batches are those worked out from the files, who was due longest first.",
            broken=send.unlike_the_timetable(left),
        )


def fast_motion(stage: Stage, stack: Stack) -> None:
    """Play the part beside `stack`, and leave nothing of it behind. A signal ends it as KeyboardInterrupt, in order."""
    people = dict(_zones(CONTACTS))
    hours = EVERY // timedelta(hours=1)
    stage.heading("5  Nine o'clock everywhere, in fast motion")
    stage.say(
        "The same program on a Temporal server whose clock skips what nobody waits for, with a database of its own:"
        f" {len(people)} people in {len(set(people.values()))} zones, not before nine on their own clocks,"
        f" {BATCH_SIZE} every {hours} hours. As by:"
    )
    stage.show(
        *("send", "ID", "--at", NINE, "--time-zone", "contact", "--fallback-time-zone", OTHERS_ZONE),
        *("--batch-size", str(BATCH_SIZE), "--every", f"{hours}h"),
    )
    stage.say(
        "A line is a batch: when it was handed to the mail catcher by that clock, the same instant in the zone that"
        " most of it is in, and how many emails it was."
    )
    stage.mailbox.begin()
    if asyncio.run(_interrupted(stage, stack)):
        raise KeyboardInterrupt


async def _interrupted(stage: Stage, stack: Stack) -> bool:
    """Tell the story; return whether it was interrupted. What begins and ends around it is left undisturbed."""
    loop, interrupted = asyncio.get_running_loop(), asyncio.Event()

    def interrupt(*_: object) -> None:
        loop.call_soon_threadsafe(interrupted.set)

    with handled_by(interrupt):
        async with virtual_sendgate(stack) as sendgate:
            story = asyncio.create_task(FastMotion(stage, sendgate).tell())
            interruption = asyncio.create_task(interrupted.wait())
            await asyncio.wait({story, interruption}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(end(story), end(interruption))
            if not story.cancelled():
                story.result()
    return interrupted.is_set()


def _zones(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (address, zone that counts) of those in a file whom the message is for."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["plan"] == PLAN:
                yield row["email"], row["time_zone"] or OTHERS_ZONE


def _asked(reason: str = "") -> AskedBy:
    return AskedBy(actor="demo", source="demo", reason=reason)


def _require_receipt(result: CommandResult) -> None:
    if result.receipt is None:
        raise DemoFailed("A command was accepted and has not been confirmed in time.")
