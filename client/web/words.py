"""How numbers, times and statuses read on pages. Times are in one zone, which every page names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from client.cli.receipts import span
from models.commands import Verb
from models.message import Counts, MessageStatus
from models.recipient import RecipientStatus

__all__ = ["Clock", "as_counts", "capitalized", "finished_share", "number", "recipient_word", "span"]

#: Icons of components.html.
STATUS_ICONS: dict[MessageStatus, str] = {
    MessageStatus.DRAFT: "pencil",
    MessageStatus.SCHEDULED: "clock",
    MessageStatus.SENDING: "play",
    MessageStatus.PAUSED: "pause",
    MessageStatus.SENT: "check",
    MessageStatus.CANCELED: "barred",
}

#: What a command that was done is called.
DONE: dict[Verb, str] = {
    Verb.SEND: "Accepted",
    Verb.PAUSE: "Paused",
    Verb.RESUME: "Resumed",
    Verb.CANCEL: "Canceled",
    Verb.UNSCHEDULE: "Unscheduled",
    Verb.ACCEPT: "Taken as sent",
    Verb.RESEND: "To be mailed again",
}


class Clock:
    """Instants in the zone of the settings."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._zone = ZoneInfo(zone)

    def local(self, instant: datetime) -> datetime:
        return instant.astimezone(self._zone)

    def minute(self, instant: datetime | None) -> str:
        """Return the date and time to the minute: 1 Dec 2026, 09:00."""
        return "–" if instant is None else f"{self.day(self.local(instant))}, {self.local(instant):%H:%M}"

    def second(self, instant: datetime | None) -> str:
        return "–" if instant is None else f"{self.day(self.local(instant))}, {self.local(instant):%H:%M:%S}"

    def millisecond(self, instant: datetime | None) -> str:
        return "–" if instant is None else f"{self.second(instant)}.{instant.microsecond // 1000:03d}"

    @classmethod
    def on_the_wall(cls, time: datetime) -> str:
        """Return a time that is each contact's, or another zone's: 1 Dec 2026, 09:00; with seconds if it has some."""
        return f"{cls.day(time)}, {time:%H:%M:%S}".removesuffix(":00")

    @staticmethod
    def day(time: datetime) -> str:
        """Return the day that a clock shows, wherever it hangs: 1 Dec 2026."""
        return f"{time.day} {time:%b %Y}"

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return what templates call: by their names."""
        return {"minute": self.minute, "second": self.second, "millisecond": self.millisecond}


def number(value: float) -> str:
    """Return a whole number with thousands apart: 20,100."""
    return f"{value:,.0f}"


def capitalized(word: str) -> str:
    """Return a status or command as it stands at the beginning of a line."""
    return word[:1].upper() + word[1:]


def recipient_word(status: RecipientStatus) -> str:
    """Return the word of a recipient's status: in doubt, not in_doubt."""
    return status.value.replace("_", " ")


def as_counts(counts: Mapping[str, int]) -> Counts:
    """Return the counts of a receipt, to be asked as those of a message are."""
    return Counts(**counts)


def finished_share(counts: Counts) -> int:
    """Return how much is finished, in whole percent; 100 only when all of it is. What was canceled is not."""
    finished = counts.total - counts.unfinished - counts.canceled
    return finished * 100 // counts.total if counts.total else 0
