"""What a send over time comes to, said again as simply as can be: lists of people, and one instant after another.

Nothing of the code under test is used. The model does the steps of `tests.workflow.story`, and says after each who has
got it at which minute, the counts and the status. What happens by itself happens at minutes that can be divided by
five (MARKS); people do what they do at other minutes, and what that brings about happens A_MOMENT later.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from models.message import MessageStatus
from models.recipient import RecipientStatus
from tests.workflow.story import FIRST_DAY, people, when

MARKS = timedelta(minutes=5)
A_MOMENT = timedelta(seconds=30)
#: Behind its first instant by more than this a message begins paused by the system.
MAX_LATE = timedelta(hours=12)

#: Hours ahead of UTC in June; of whoever has no zone, or none that exists, 0.
OFFSETS: Mapping[str, float] = {
    "Asia/Tokyo": 9,
    "Asia/Kathmandu": 5.75,
    "Europe/Oslo": 2,
    "America/New_York": -4,
    "Australia/Lord_Howe": 10.5,
}
#: All that there are in the world in June: a message that has not begun looks at its audience at each.
WORLD = [*range(-12, 15), -9.5, -2.5, 3.5, 4.5, 5.5, 5.75, 6.5, 8.75, 9.5, 10.5, 12.75]

_STEP = re.compile(r"((?:\+\d+d )?\d\d:\d\d) ([a-z]+) ?(.*)")


def read_step(step: str) -> tuple[datetime, str, str]:
    """Return the time of a step, its verb, and what stands behind that."""
    match = _STEP.fullmatch(step)
    assert match, f"{step!r} is no step"
    return when(match[1]), match[2], match[3]


@dataclass(eq=False)
class Contact:
    name: str
    zone: str | None
    is_listed: bool = True
    is_suppressed: bool = False

    @property
    def is_mailable(self) -> bool:
        return self.is_listed and not self.is_suppressed


@dataclass(eq=False)
class Row:
    """A recipient; its place in the list of rows is its position. Without a throttle everybody is in a batch."""

    contact: Contact
    due: datetime
    status: RecipientStatus
    in_batch: bool

    @property
    def is_pending(self) -> bool:
        return self.status is RecipientStatus.PENDING


def _end_all(status: RecipientStatus, rows: Iterable[Row]) -> None:
    for row in rows:
        row.status = status


class Model:
    """One message on its way, as it should be."""

    def __init__(self, audience: Mapping[str, str | None], schedule: Mapping[str, Any]) -> None:
        self.status = MessageStatus.DRAFT
        self.is_held = False
        self.now = FIRST_DAY
        self.contacts: list[Contact] = []
        self.rows: list[Row] = []
        self.got: dict[datetime, set[str]] = {}
        self._stop_after: int | None = None  # so many more get it, then it is paused
        self._at: str | None = schedule.get("at")
        self._is_by_zone = schedule.get("time_zone") == "contact"
        self._passed_zones: str = schedule.get("passed_zones", "send")
        self._throttle: Mapping[str, Any] | None = schedule.get("throttle")
        self._accepted = self._first = self._start = FIRST_DAY  # sent; due, if not by zone; turn 0
        self._ends: datetime | None = None
        self._looks: list[datetime] = []  # when it is looked whether to begin
        self._looked = FIRST_DAY  # when it was looked last, and was too early
        self._latest_turn = -1
        self._batches = 0
        for names, zone in audience.items():
            self._join(names, zone)

    # -- what it comes to

    @property
    def counts(self) -> dict[str, int]:
        """Those that are not 0."""
        counts = Counter(row.status.value for row in self.rows)
        return {**counts, "total": len(self.rows)} if self.rows else {}

    @property
    def pending(self) -> list[Row]:
        """In the order in which their turn comes."""
        return sorted((row for row in self.rows if row.is_pending), key=lambda row: row.due)

    @property
    def first_due(self) -> datetime | None:
        """When the first of the present audience is due."""
        return min((due for one in self.contacts if one.is_mailable and (due := self._due(one))), default=None)

    def next_change(self, within: timedelta) -> tuple[datetime, int] | None:
        """Return the mark at which something next happens by itself, and how many get it at once then."""
        if self.is_held or self.status not in (MessageStatus.SCHEDULED, MessageStatus.SENDING):
            return None
        ahead = copy.deepcopy(self)
        before = (ahead.status, ahead.counts)
        for instant in ahead.instants(self.now + within):
            ahead.happen(instant)
            if (ahead.status, ahead.counts) != before:
                return instant - (instant - FIRST_DAY) % MARKS, ahead.counts.get("sent", 0) - before[1].get("sent", 0)
        return None

    # -- what happens when

    def do(self, step: str) -> None:
        """Let the time up to a step of a story pass, and do what it says."""
        moment, verb, rest = read_step(step)
        if rest.startswith("after "):
            self.let_pass(moment - A_MOMENT)
            self._stop_after = int(rest.removeprefix("after "))
            self.let_pass(moment + A_MOMENT)
            assert self.status is MessageStatus.PAUSED
            return
        self.let_pass(moment)
        self.now = moment + A_MOMENT
        getattr(self, f"_{verb}")(*([rest] if rest else []))
        self.happen(self.now)

    def let_pass(self, until: datetime) -> None:
        for instant in self.instants(until):
            self.happen(instant)

    def instants(self, until: datetime) -> Iterator[datetime]:
        """Yield the marks, and a moment behind each: turns are that late when the first was when it was sent."""
        mark = self.now - (self.now - FIRST_DAY) % MARKS
        while mark <= until:
            for instant in (mark, mark + A_MOMENT):
                if self.now < instant <= until:
                    yield instant
            mark += MARKS

    def happen(self, instant: datetime) -> None:
        """Do what is due at an instant."""
        self.now = instant
        if self.is_held:
            return
        if self.status is MessageStatus.SCHEDULED and self._looks[0] <= instant:
            self._begin()
        if self.status is MessageStatus.SENDING:
            self._open_batch()
            self._mail()
        if self.status is MessageStatus.SENDING and not self.pending:
            self.status = MessageStatus.SENT

    def _begin(self) -> None:
        """Once the first of the audience, as it is then, is due; or at the last look, should there be nobody."""
        first = self.first_due
        to_come = [look for look in self._looks if look > self.now]
        if to_come and (first is None or first > self.now):
            self._looks, self._looked = to_come, self.now
            return
        self._start = first or self.now
        late = self.now - max(self._start, self._looked) > MAX_LATE
        self.status = MessageStatus.PAUSED if late else MessageStatus.SENDING
        self._take_in(not_before=FIRST_DAY)
        if self._throttle and not self._is_over:
            self._fill_batch((self.now - self._start) // self._every)

    def _open_batch(self) -> None:
        """At a turn, and at no other time: whatever is missed is dropped."""
        if self._throttle and self._is_over:
            _end_all(RecipientStatus.EXPIRED, [row for row in self.pending if not row.in_batch])
        elif self._throttle:
            turn, behind = divmod(self.now - self._start, self._every)
            if not behind and turn > self._latest_turn:
                self._fill_batch(turn)

    def _fill_batch(self, turn: int) -> None:
        assert self._throttle
        waiting = [row for row in self.pending if not row.in_batch]
        left = max(self._throttle.get("max_batches", 0) - self._batches, 1)
        size = self._throttle.get("batch_size") or -(-len(waiting) // left)
        members = [row for row in waiting if row.due <= self.now][:size]
        for row in members:
            row.in_batch = True
        if members:
            self._latest_turn = turn
            self._batches += 1

    def _mail(self) -> None:
        due = [row for row in self.pending if row.in_batch and row.due <= self.now]
        _end_all(RecipientStatus.SUPPRESSED, [row for row in due if row.contact.is_suppressed])
        for row in due:
            if not row.is_pending:
                continue
            if self._stop_after == 0:
                self.status, self._stop_after = MessageStatus.PAUSED, None
                return
            row.status = RecipientStatus.SENT
            self.got.setdefault(self.now.replace(second=0), set()).add(row.contact.name)
            self._stop_after = self._stop_after and self._stop_after - 1

    # -- when whose instant is

    @property
    def _every(self) -> timedelta:
        assert self._throttle
        return timedelta(minutes=int(self._throttle["every"].removesuffix("m")))

    @property
    def _is_over(self) -> bool:
        return self._ends is not None and self._ends <= self.now

    def _due(self, contact: Contact) -> datetime | None:
        """Return when a contact is due by the schedule, None in a zone that is skipped."""
        return self._instant(OFFSETS.get(contact.zone or "", 0)) if self._is_by_zone else self._first

    def _instant(self, offset: float) -> datetime | None:
        assert self._at
        instant = when(self._at) - timedelta(hours=offset)
        if instant >= self._accepted:
            return instant
        if self._passed_zones == "next_day":
            while instant < self._accepted:
                instant += timedelta(days=1)
            return instant
        return self._accepted if self._passed_zones == "send" else None

    # -- commands

    def _send(self) -> None:
        self.status = MessageStatus.SCHEDULED
        self._accepted = self.now
        if self._is_by_zone:
            self._looks = sorted({instant for offset in WORLD if (instant := self._instant(offset))})
        else:
            self._first = when(self._at.removesuffix("Z")) if self._at else self.now
            self._looks = [self._first]
        ends_at = self._throttle.get("ends_at") if self._throttle else None
        self._ends = when(ends_at.removesuffix("Z")) if ends_at else None

    def _pause(self) -> None:
        self.status = MessageStatus.PAUSED if self.pending else MessageStatus.SENT

    def _resume(self, rest: str = "") -> None:
        for row in self.rows:
            self._read_again(row)
        self._take_in(not_before=self.now)
        self._ends = when(rest.removeprefix("until ")) if rest else self._ends
        self.status = MessageStatus.SENDING
        if self._throttle and self._is_over and not self.is_held:
            _end_all(RecipientStatus.EXPIRED, [row for row in self.pending if not row.in_batch])

    def _read_again(self, row: Row) -> None:
        """Who has left, who came back, and whose zone was edited."""
        due = self._due(row.contact)
        if row.is_pending:
            if not row.contact.is_listed:
                row.status = RecipientStatus.WITHDRAWN
            elif row.contact.is_suppressed:
                row.status = RecipientStatus.SUPPRESSED
            elif due and max(due, row.due) > self.now and not (self._throttle and row.in_batch):
                row.due = max(due, self.now)
        elif row.status in (RecipientStatus.WITHDRAWN, RecipientStatus.SUPPRESSED) and due and row.contact.is_mailable:
            row.status, row.due, row.in_batch = RecipientStatus.PENDING, max(due, self.now), not self._throttle

    def _take_in(self, *, not_before: datetime) -> None:
        """Whoever is in the audience and no recipient yet."""
        known = {row.contact for row in self.rows}
        for contact in self.contacts:
            if not contact.is_listed or contact in known:
                continue
            due = self._due(contact)
            status = RecipientStatus.PENDING if due else RecipientStatus.EXPIRED
            if contact.is_suppressed:
                status = RecipientStatus.SUPPRESSED
            self.rows.append(Row(contact, max(due or not_before, not_before), status, not self._throttle))

    def _cancel(self) -> None:
        _end_all(RecipientStatus.CANCELED, self.pending)
        self.status = MessageStatus.CANCELED

    def _hold(self) -> None:
        self.is_held = True

    def _release(self) -> None:
        self.is_held = False

    # -- the audience

    def _named(self, names: str) -> list[Contact]:
        return [contact for contact in self.contacts if contact.name in people(names)]

    def _join(self, names: str, zone: str | None = None) -> None:
        names, _, named = names.partition(" in ")
        for name in sorted(people(names), key=lambda name: int(name[1:])):
            self.contacts.append(Contact(name, named or zone))

    def _leave(self, names: str) -> None:
        for contact in self._named(names):
            contact.is_listed = False

    def _return(self, names: str) -> None:
        for contact in self._named(names):
            contact.is_listed = True

    def _suppress(self, names: str) -> None:
        for contact in self._named(names):
            contact.is_suppressed = True

    def _unsuppress(self, names: str) -> None:
        for contact in self._named(names):
            contact.is_suppressed = False

    def _move(self, rest: str) -> None:
        names, _, zone = rest.partition(" to ")
        for contact in self._named(names):
            contact.zone = zone

    def _look(self) -> None:
        """Time passes."""
