"""Stories of sends over time as hypothesis draws them: a schedule, an audience, steps that are legal when they come.

The model goes along, and says what is legal and when the next thing happens: most steps are put just behind one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from models.message import MessageStatus
from models.recipient import RecipientStatus
from tests.workflow.model import MARKS, OFFSETS, Contact, Model
from tests.workflow.story import FIRST_DAY, when

#: A story that is over sooner tells little.
FEWEST_STEPS, MOST_STEPS = 4, 14
SENT_AT = when("10:00")
#: How far ahead is looked for what happens next.
_FAR = timedelta(days=2)

#: The most minutes that pass until the next step, if that is not put just behind what happens next.
_MOST_MINUTES = {
    MessageStatus.SCHEDULED: [20, 90, 400, 900],
    MessageStatus.SENDING: [20],
    MessageStatus.PAUSED: [4, 20, 90, 400],
}

_ZONES = st.sampled_from([*OFFSETS, "Mars/Olympus", None])
_GROUPS = st.lists(st.integers(1, 6), min_size=2, max_size=5)
_INTERVALS = st.sampled_from(["5m", "10m", "15m", "30m", "60m"])


@dataclass(frozen=True)
class DrawnStory:
    """What a case of tests/workflow/test_throttle.py is, but for what comes of it."""

    audience: Mapping[str, str | None]
    schedule: Mapping[str, Any]
    steps: tuple[str, ...]


def _time(moment: datetime) -> str:
    """Return a time as a story writes it."""
    days = (moment - FIRST_DAY).days
    return (f"+{days}d " if days else "") + f"{moment:%H:%M}"


def _mark_before(moment: datetime) -> datetime:
    return moment - (moment - FIRST_DAY) % MARKS


def _off_mark(moment: datetime) -> datetime:
    """Return the whole minute, or the next if it is a mark."""
    minute = moment.replace(second=0)
    return minute + timedelta(minutes=1) if minute == _mark_before(minute) else minute


@st.composite
def drawn_stories(draw: DrawFn) -> DrawnStory:
    """Draw a send and what becomes of it, to its end."""
    is_by_zone = draw(st.sampled_from([True, False, True]))
    audience: dict[str, str | None] = {}
    number = 0
    for size in draw(_GROUPS):
        audience[f"p{number + 1}-p{number + size}"] = draw(_ZONES) if is_by_zone else None
        number += size
    schedule = draw(_schedules(audience, is_by_zone=is_by_zone))
    story = _Drawing(draw, audience, schedule)
    story.add(SENT_AT, "send")
    for _ in range(draw(st.integers(FEWEST_STEPS, MOST_STEPS))):
        if not story.model.status.is_final:
            story.go_on()
    story.end()
    assume(len(story.steps) >= FEWEST_STEPS)
    return DrawnStory(audience, schedule, tuple(story.steps))


@st.composite
def _schedules(draw: DrawFn, audience: Mapping[str, str | None], *, is_by_zone: bool) -> dict[str, Any]:
    """Draw a schedule that is not refused. Its instants are marks, and none of them is that of the send."""
    schedule: dict[str, Any] = {}
    if is_by_zone:
        at = when("08:05") + timedelta(hours=draw(st.integers(0, 28)), minutes=draw(st.sampled_from([0, 15, 30, 45])))
        schedule = {"at": f"{at:%Y-%m-%dT%H:%M}", "time_zone": "contact"}
        schedule["passed_zones"] = draw(st.sampled_from(["send", "next_day", "skip"]))
        latest = max(at - timedelta(hours=OFFSETS.get(zone or "", 0)) for zone in audience.values())
        assume(latest > SENT_AT or schedule["passed_zones"] == "next_day")
    elif minutes := draw(st.sampled_from([0, 0, 0, 5, 60, 725])):
        schedule = {"at": f"{SENT_AT + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}Z"}
    if draw(st.sampled_from([True, True, not is_by_zone])):
        schedule["throttle"] = draw(_throttles(audience, schedule, is_by_zone=is_by_zone))
    return schedule


@st.composite
def _throttles(
    draw: DrawFn, audience: Mapping[str, str | None], schedule: Mapping[str, Any], *, is_by_zone: bool
) -> dict[str, Any]:
    throttle: dict[str, Any] = {"every": draw(_INTERVALS)}
    if is_by_zone or draw(st.booleans()):
        throttle["batch_size"] = draw(st.integers(1, 4))
    else:
        throttle["max_batches"] = draw(st.integers(2, 8))
    if marks := draw(st.sampled_from([0, 0, 0, 3, 9, 24, 48, 144])):
        model = Model(audience, schedule)
        model.do(f"{_time(SENT_AT)} send")
        assert model.first_due
        throttle["ends_at"] = f"{_mark_before(model.first_due) + marks * MARKS:%Y-%m-%dT%H:%M}Z"
    return throttle


class _Drawing:
    """A story as far as it has been drawn."""

    def __init__(self, draw: DrawFn, audience: Mapping[str, str | None], schedule: Mapping[str, Any]) -> None:
        self.model = Model(audience, schedule)
        self.steps: list[str] = []
        self._draw = draw
        self._is_by_zone = "time_zone" in schedule
        self._is_throttled = "throttle" in schedule

    def add(self, moment: datetime, words: str) -> None:
        self.steps.append(f"{_time(moment)} {words}")
        self.model.do(self.steps[-1])

    def go_on(self) -> None:
        """Add one step of those that are legal when it comes."""
        change = self.model.next_change(_FAR)
        if change is not None and change[1] >= 2 and self._draw(st.sampled_from([False, False, True])):
            self.add(change[0], f"pause after {self._draw(st.integers(1, change[1] - 1))}")
            return
        if change is not None and self._draw(st.integers(0, 3)):
            moment = change[0] + timedelta(minutes=self._draw(st.integers(1, 4)))
        else:
            most = self._draw(st.sampled_from(_MOST_MINUTES[self.model.status]))
            moment = _off_mark(self.model.now + timedelta(minutes=self._draw(st.integers(1, most))))
        self.model.let_pass(moment)
        self.add(moment, self._words(self._draw(st.sampled_from(self._legal_verbs())), moment))

    def end(self) -> None:
        """Let it come to its end."""
        while not self.model.status.is_final:
            soon, late = (_off_mark(self.model.now + timedelta(minutes=minutes)) for minutes in (7, 1200))
            if self.model.is_held:
                self.add(soon, "release")
            elif self.model.status is MessageStatus.PAUSED:
                self.add(soon, "resume")
            else:
                self.add(late, "look")

    def _legal_verbs(self) -> list[str]:
        """Return what may be done now; the likelier, the more often."""
        if self.model.status.is_final:
            return ["look"]
        verbs = ["look", "join", "join", "leave", "leave", "suppress"]
        verbs += ["release"] * 6 if self.model.is_held else ["hold"] * 2
        if self.model.status is MessageStatus.SENDING:
            verbs += ["pause"] * 12 + ["suppress"] * 3
        if self.model.status is MessageStatus.PAUSED:
            verbs += ["resume"] * 6
        if self._is_by_zone and self.model.status is not MessageStatus.SENDING:
            verbs += ["move"] * 6
        if self._those(RecipientStatus.WITHDRAWN):
            verbs += ["return"] * 12
        if self._those(RecipientStatus.SUPPRESSED):
            verbs += ["unsuppress"] * 12
        if len(self.steps) > FEWEST_STEPS:
            verbs += ["cancel"]
        return verbs

    def _words(self, verb: str, moment: datetime) -> str:
        contacts = self.model.contacts
        match verb:
            case "join":
                zone = self._draw(_ZONES) if self._is_by_zone else None
                first, last = len(contacts) + 1, len(contacts) + self._draw(st.integers(1, 3))
                return f"join p{first}-p{last}" + (f" in {zone}" if zone else "")
            case "leave":
                return self._of(verb, [one for one in contacts if one.is_listed])
            case "return":
                return self._of(verb, [one for one in contacts if not one.is_listed])
            case "suppress":
                return self._of(verb, [one for one in contacts if not one.is_suppressed])
            case "unsuppress":
                return self._of(verb, [one for one in contacts if one.is_suppressed])
            case "move":
                return f"{self._of(verb, contacts)} to {self._draw(_ZONES.filter(bool))}"
            case "resume" if self._is_throttled and self._draw(st.integers(0, 2)) == 0:
                marks = self._draw(st.sampled_from([1, 2, 5, 12, 36]))
                return f"resume until {_time(_mark_before(moment) + marks * MARKS)}"
        return verb

    def _those(self, status: RecipientStatus) -> set[Contact]:
        return {row.contact for row in self.model.rows if row.status is status}

    def _of(self, verb: str, contacts: Sequence[Contact]) -> str:
        """Draw some of the contacts: rather such as have not got it, and of these such as are next."""
        got = self._those(RecipientStatus.SENT)
        contacts = [one for one in contacts if one not in got] or contacts
        if not contacts:
            return "look"
        if self._draw(st.booleans()):
            turns = [row.contact for row in self.model.pending]
            contacts = [one for one in turns if one in contacts][:3] or contacts
        some = self._draw(st.lists(st.sampled_from(contacts), min_size=1, max_size=3, unique=True))
        return f"{verb} {' '.join(one.name for one in some)}"
