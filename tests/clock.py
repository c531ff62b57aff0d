"""A clock of the tests' own, for what reads one that can be put in."""

from __future__ import annotations


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
