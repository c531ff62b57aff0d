"""What a send promises, checked against the emails that arrived. Pure: nothing is read here, nobody is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

_NAMED = 3  # how many addresses a sentence names


class Arrival(Protocol):
    """An email for one recipient, as it was caught."""

    @property
    def address(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def received_at(self) -> datetime: ...


@dataclass(frozen=True)
class Stop:
    """A time in which nothing may arrive: behind the receipt of a pause or cancel, until sending was allowed again."""

    effective_at: datetime  # of the receipt; what arrives in this very instant is still allowed
    resumed_at: datetime | None  # what arrives from here on is allowed again; None: nothing ever


def broken_claims(expected: Collection[str], caught: Sequence[Arrival], stops: Iterable[Stop] = ()) -> list[str]:
    """Return one sentence for each claim that does not hold; none: all hold.

    The claims: everybody expected got exactly one email, nobody else got any, no Message-ID came twice, and nothing
    arrived while it was stopped.
    """
    received = Counter(email.address for email in caught)
    wanted = set(expected)
    broken = []
    if missing := [address for address in sorted(wanted) if address not in received]:
        broken.append(f"{len(missing):,} of {len(wanted):,} got nothing: {some(missing)}.")
    if strangers := [address for address in sorted(received) if address not in wanted]:
        broken.append(f"{len(strangers):,} got an email and were not meant to: {some(strangers)}.")
    if doubled := [f"{address} ({times} times)" for address, times in sorted(received.items()) if times > 1]:
        broken.append(f"{len(doubled):,} got it more than once: {some(doubled)}.")
    if nameless := sorted(email.address for email in caught if not email.message_id):
        broken.append(f"{len(nameless):,} emails have no Message-ID: {some(nameless)}.")
    ids = Counter(email.message_id for email in caught if email.message_id)
    if repeated := [f"{name} ({times} times)" for name, times in sorted(ids.items()) if times > 1]:
        broken.append(f"{len(repeated):,} Message-IDs arrived more than once: {some(repeated)}.")
    for stop in stops:
        if late := [_how_late(email, stop) for email in caught if _breaks(email, stop)]:
            broken.append(f"{len(late):,} emails arrived although it was stopped: {some(late)}.")
    return broken


def other_emails(caught: Iterable[Arrival], recorded: Iterable[Arrival]) -> list[str]:
    """Return a sentence for each difference between what was caught and what is said to have been handed over."""
    there, told = (Counter((email.address, email.message_id) for email in emails) for emails in (caught, recorded))
    return [
        f"{len(names):,} {what}: {some(names)}."
        for what, names in (
            ("were caught and not handed over", sorted(address for address, _ in (there - told).elements())),
            ("were handed over and not caught", sorted(address for address, _ in (told - there).elements())),
        )
        if names
    ]


def _breaks(email: Arrival, stop: Stop) -> bool:
    return email.received_at > stop.effective_at and (stop.resumed_at is None or email.received_at < stop.resumed_at)


def _how_late(email: Arrival, stop: Stop) -> str:
    late_by = (email.received_at - stop.effective_at).total_seconds()
    return f"{email.address} ({late_by * 1000:,.0f} ms after the receipt)"


def some(names: Sequence[str]) -> str:
    """Return the first few of the names, and how many more there are."""
    more = f", and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
