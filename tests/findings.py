"""What is not as it should be, of the many things that one test tries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Findings:
    """What is not as it should be, of many things that are tried: all of it is told at the end, and not the first."""

    def __init__(self) -> None:
        self.found: list[str] = []

    @contextmanager
    def trying(self) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            self.found.append(" ".join(map(str, error.args))[:700])

    def finish(self) -> None:
        if self.found:
            pytest.fail(f"{len(self.found)}:\n" + "\n".join(self.found), pytrace=False)


@pytest.fixture
def findings() -> Iterator[Findings]:
    made = Findings()
    yield made
    made.finish()
