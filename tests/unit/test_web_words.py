"""Times as the pages say them: all in one form, wherever the clock hangs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from client.web.words import Clock


@pytest.mark.parametrize(("second", "said"), [(0, "1 Dec 2031, 09:00"), (7, "1 Dec 2031, 09:00:07")])
def test_a_time_of_each_contacts_clock_looks_like_an_instant(second: int, said: str) -> None:
    time = datetime(2031, 12, 1, 9, 0, second, tzinfo=UTC)
    assert Clock.on_the_wall(time.replace(tzinfo=None)) == said
    assert said.startswith(Clock("UTC").minute(time))
