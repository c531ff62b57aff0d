"""When a recipient who was refused for now is tried again, and when no more. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from models.durations import Interval

#: Replies that tell of the next hop's state and not of the recipient's: closing (421), a local error (451, RFC 5321
#: section 4.2.3), no TLS or authentication for now (454, RFC 3207 and 4954). What a try costs is not counted.
BUSY_CODES = frozenset({421, 451, 454})
_BUSY_SHARE_OF_AGE = 4


class RetryRule(BaseModel):
    """How often, and for how long, a deferred recipient is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_wait: Interval = Field(timedelta(minutes=1), description="Before the second try; doubled before each other.")
    longest_wait: Interval = Field(timedelta(hours=1), description="It is not doubled beyond this.")
    tries: int = Field(12, strict=True, description="Refused for now so often, a recipient has failed.")
    max_age: Interval = Field(timedelta(days=1), description="No try begins so long after the first.")

    def next_try(self, tries: int, *, first_try_at: datetime, now: datetime, busy: bool = False) -> datetime | None:
        """Return when to try again after try number `tries` (from 1), or None to give up.

        `busy`: it was the next hop's state. Such a try is not counted, so its wait grows with the age instead.
        """
        if busy:
            wait = max(self.first_wait, (now - first_try_at) / _BUSY_SHARE_OF_AGE)
        elif tries >= self.tries:
            return None
        else:
            # Doubled step by step: a power of two of a thousand tries is no timedelta any more.
            wait = self.first_wait
            for _ in range(tries - 1):
                if wait >= self.longest_wait:
                    break
                wait *= 2
        then = now + min(wait, self.longest_wait)
        return then if then - first_try_at < self.max_age else None
