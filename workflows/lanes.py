"""The lanes of one slice: started together, again where a worker ended, and canceled together. What they report."""

from __future__ import annotations

from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from models.ledger import LaneEnd, LaneReport

Lane = workflow.ActivityHandle[LaneReport]


class Lanes:
    """Lanes at work. Made with none, they are back."""

    def __init__(self, number: int = 0, start: Callable[[int], Lane] | None = None) -> None:
        """Start so many, each by `start(its number from 0)`."""
        self._start = start
        self._at_work = [start(place) for place in range(number)] if start is not None else []
        self._replaced: list[Lane] = []

    @property
    def are_back(self) -> bool:
        """Whether all have ended, however they did."""
        return all(lane.done() for lane in self._at_work)

    @property
    def need_replacing(self) -> bool:
        """Whether one has come back because its worker is ending, while others go on."""
        return not self.are_back and any(_was_drained(lane) for lane in self._at_work)

    def replace(self) -> None:
        """Start those again whose worker is ending, for whoever takes them."""
        assert self._start is not None
        for place, lane in enumerate(self._at_work):
            if _was_drained(lane):
                self._replaced.append(lane)
                self._at_work[place] = self._start(place)

    def cancel(self) -> None:
        """Ask all of them to come back, and wait for none."""
        for lane in self._at_work:
            lane.cancel()
            lane.add_done_callback(lambda lane: lane.cancelled() or lane.exception())  # any end will do

    def reports(self) -> list[LaneReport]:
        """Return what those told that came back in order, once all are back."""
        return [lane.result() for lane in (*self._replaced, *self._at_work) if lane.exception() is None]


def _was_drained(lane: Lane) -> bool:
    """Whether it stopped, and nobody asked it to: its worker is ending."""
    return lane.done() and not lane.cancelled() and lane.exception() is None and lane.result().end is LaneEnd.STOPPED
