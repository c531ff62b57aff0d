"""When so many emails fail that a send should not go on by itself."""

from __future__ import annotations

import pytest

from models.failures import FailureWatch
from models.message import Counts


def counts(sent: int = 0, bounced: int = 0, failed: int = 0) -> Counts:
    return Counts(total=10_000, sent=sent, bounced=bounced, failed=failed, pending=10_000 - sent - bounced - failed)


@pytest.mark.parametrize(
    ("now", "complete", "too_many"),
    [
        (counts(bounced=499), False, True),  # not looked at yet
        (counts(bounced=500), True, True),
        (counts(sent=250, bounced=200, failed=50), True, True),
        (counts(sent=251, bounced=200, failed=49), True, False),
        (counts(sent=5_000), True, False),
    ],
)
def test_half_of_the_first_500(now: Counts, complete: bool, too_many: bool) -> None:
    watch = FailureWatch()
    assert watch.is_complete(now) is complete
    assert watch.are_too_many(now, 0.5) is too_many


def test_what_went_well_before_does_not_excuse_what_fails_now() -> None:
    watch = FailureWatch.after(counts(sent=8_000), is_first=False)
    assert not watch.is_complete(counts(sent=8_000, bounced=499))
    assert watch.are_too_many(counts(sent=8_000, bounced=500), 0.5)
    assert watch.told(counts(sent=8_020, bounced=480), "550") == (
        "480 of 500 emails bounced or failed; the commonest reply: 550"
    )


@pytest.mark.parametrize(("done", "lanes", "most"), [(0, 4, 125), (0, 1, 500), (400, 4, 25), (499, 4, 1), (500, 4, 1)])
def test_the_first_part_is_looked_at_as_soon_as_it_is_complete(done: int, lanes: int, most: int) -> None:
    assert FailureWatch().most_of_a_lane(counts(sent=done), lanes) == most
    assert FailureWatch(is_first=False).most_of_a_lane(counts(sent=done), lanes) is None
