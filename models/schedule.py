"""When a message is to be sent: now, or at one instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.contact import shown
from models.errors import InvalidInput

#: An `at` older than this is taken for a mistake rather than for slow typing.
PAST_TOLERANCE = timedelta(seconds=60)
#: An `at` farther ahead is taken for a mistake too: 2206 for 2026. Timers of some centuries do not exist either.
FARTHEST = timedelta(days=3653)
_LONGEST_INSTANT = 40  # characters; fromisoformat takes any number of digits for a fraction of a second


class Schedule(BaseModel):
    """What `send` was given. `at` is an instant with an offset; without it the message is sent now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime | None = Field(None, description="The instant, with an offset; null: now.")


class Plan(BaseModel):
    """The schedule worked out, once, when the message is adopted: what is due when.

    Everybody is due at `first_due_at`.
    """

    model_config = ConfigDict(frozen=True)

    first_due_at: AwareDatetime


def check_schedule(schedule: Schedule, *, now: datetime) -> None:
    """Refuse a schedule whose instant is over (InvalidInput, code `at_in_past`), or more than ten years away."""
    if schedule.at is not None and schedule.at < now - PAST_TOLERANCE:
        raise InvalidInput(
            f'at is in the past ({schedule.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC); leave out "at" to send now.',
            field="at",
            code="at_in_past",
        )
    if schedule.at is not None and schedule.at > now + FARTHEST:
        raise InvalidInput(
            f"at is more than ten years away ({schedule.at.isoformat()}); is the year right?",
            field="at",
        )


def make_plan(schedule: Schedule, *, accepted_at: datetime) -> Plan:
    """Work out the plan of a schedule that was accepted at `accepted_at`."""
    return Plan(first_due_at=schedule.at or accepted_at)


def parse_instant(text: str, *, field: str = "at") -> datetime:
    """Read an instant as people type it at a shell: ISO 8601 with an offset or `Z`; a space may stand for the T.

    Raises InvalidInput for anything else, and names what is missing.
    """
    try:
        instant = datetime.fromisoformat(text.strip() if len(text) <= _LONGEST_INSTANT else "")
    except ValueError:
        raise InvalidInput(
            f"{field}: {shown(text)} cannot be read; write it as 2026-12-01T09:00+01:00.", field=field
        ) from None
    if instant.tzinfo is None:
        written = instant.isoformat()
        raise InvalidInput(
            f"{field}: {text!r} has no offset; add one, as in {written}+01:00 or {written}Z.", field=field
        )
    return instant
