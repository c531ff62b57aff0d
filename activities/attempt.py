"""What time it is for an attempt of an activity."""

from __future__ import annotations

from datetime import datetime

from temporalio import activity


def as_of_now(asked_at: datetime) -> datetime:
    """Return when this attempt began, by Temporal's clock, which is the workflow's too; not before it was asked for.

    Temporal tries again with the same argument, minutes later if the database was away, or hours: an end date may have
    passed meanwhile.
    """
    return max(asked_at, activity.info().started_time)
