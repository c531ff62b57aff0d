"""What a throttled send by time zones promises, worked out from the list of people alone and checked against what left.

Pure, and by its own lights: nothing of the program under test is asked but the zone database that both look into.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

from examples.demo_check import Arrival, some

#: A batch takes a moment: its emails leave within this after its turn.
_A_MOMENT = timedelta(minutes=1)
_NOBODY: Counter[datetime] = Counter()


class Pause(NamedTuple):
    """A pause that is over."""

    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class ThrottledSend:
    """A send at `wall_clock` (naive) on everybody's own clocks, in batches of at most `batch_size` at every turn."""

    wall_clock: datetime
    every: timedelta
    batch_size: int
    zones: Mapping[str, str]  # everybody's address → IANA zone
    joiners: Collection[str]  # those of them who join while it is paused
    pause: Pause | None = None

    @cached_property
    def first_turn(self) -> datetime:
        """The earliest instant at which it is time for anybody who is there from the beginning."""
        return min(self.due(address) for address in self.zones if address not in self.joiners)

    def due(self, address: str) -> datetime:
        """Return since when it may be sent to somebody; a joiner who is late stands behind all who are there."""
        due = self.wall_clock.replace(tzinfo=ZoneInfo(self.zones[address])).astimezone(UTC)
        return max(due, self.pause.ended_at) if self.pause and address in self.joiners else due

    def turns(self, after: datetime, before: datetime) -> Iterator[datetime]:
        """Yield the turns between two instants."""
        turn = self.first_turn
        while turn < before:
            if turn > after:
                yield turn
            turn += self.every

    def timetable(self) -> dict[datetime, list[datetime]]:
        """Return the batches: turn → since when each of its members has been due, who waits longest first.

        Whoever plays it by hand goes from turn to turn: in the pause nothing happens, behind it the joiners are there.
        """
        waiting = sorted(self.due(address) for address in self.zones if address not in self.joiners)
        joining = [self.due(address) for address in self.joiners]
        batches, turn = {}, self.first_turn
        while waiting or joining:
            if turn not in self.missed_turns:
                if self.pause is None or turn >= self.pause.ended_at:
                    waiting, joining = sorted(waiting + joining), []
                if batch := [due for due in waiting if due <= turn][: self.batch_size]:
                    batches[turn] = batch
                    waiting = waiting[len(batch) :]
            turn += self.every
        return batches

    @property
    def missed_turns(self) -> list[datetime]:
        """The turns that came while it was paused."""
        return list(self.turns(after=self.pause.began_at, before=self.pause.ended_at)) if self.pause else []

    # -- what would break a promise: one sentence each, none if all is well

    def too_early(self, left: Sequence[Arrival]) -> list[str]:
        """Who got it before its time on their own clocks."""
        early = [
            f"{email.address} at {local:%a %H:%M}"
            for email in left
            if email.address in self.zones
            and (local := email.received_at.astimezone(ZoneInfo(self.zones[email.address]))).replace(tzinfo=None)
            < self.wall_clock
        ]
        return [f"{len(early):,} got it too early: {some(early)}."] if early else []

    def too_large(self, left: Sequence[Arrival]) -> list[str]:
        """Which batches had more than were allowed."""
        sizes = {turn: len(batch) for turn, batch in self._by_turn(left).items() if len(batch) > self.batch_size}
        large = [f"{size:,} at {turn:%a %H:%M} UTC" for turn, size in sorted(sizes.items())]
        return [f"{len(large):,} batches are too large: {some(large)}."] if large else []

    def off_the_grid(self, left: Sequence[Arrival]) -> list[str]:
        """Who got it at another time than at a turn."""
        off = [
            f"{email.address} at {email.received_at:%a %H:%M} UTC"
            for email in left
            if email.received_at < self.first_turn or (email.received_at - self.first_turn) % self.every > _A_MOMENT
        ]
        return [f"{len(off):,} got it between the turns: {some(off)}."] if off else []

    def unlike_the_timetable(self, left: Sequence[Arrival]) -> list[str]:
        """At which turns others left than those whose turn it was: too many, too few, or not those due longest."""
        expected = {turn: Counter(batch) for turn, batch in self.timetable().items()}
        found = {
            turn: Counter(self.due(email.address) for email in batch if email.address in self.zones)
            for turn, batch in self._by_turn(left).items()
        }
        wrong = [
            f"{turn:%a %H:%M} UTC ({expected.get(turn, _NOBODY).total():,} expected,"
            f" {found.get(turn, _NOBODY).total():,} left)"
            for turn in sorted(expected | found)
            if expected.get(turn) != found.get(turn)
        ]
        return [f"{len(wrong):,} batches are others than worked out: {some(wrong)}."] if wrong else []

    def _by_turn(self, left: Sequence[Arrival]) -> dict[datetime, list[Arrival]]:
        batches: defaultdict[datetime, list[Arrival]] = defaultdict(list)
        for email in left:
            turns = (email.received_at - self.first_turn) // self.every
            batches[self.first_turn + turns * self.every].append(email)
        return batches
