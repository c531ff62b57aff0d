"""What one claim took, and the bag that its emails are handed over from."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from temporalio import activity

from activities.lease import Lease
from activities.ports import CompiledMessage, RenderingFailed, Taken
from models.recipient import ClaimedRecipient, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Window:
    """What one claim took."""

    token: UUID
    counters: str
    lease: Lease
    recipients: list[ClaimedRecipient]
    told: int  # how often the lane had been told to look again when it asked for this


#: Of one that was taken: what is true of it until it is settled, and for good if whoever took it broke down.
_NOBODY_SAID = Outcome(Verdict.IN_DOUBT, reply="the sender broke down while the email may have been on its way")


class WindowsBag:
    """The emails of a window, each rendered when it is taken, and what became of them. See `activities.ports.Bag`."""

    def __init__(self, message: CompiledMessage, recipients: list[ClaimedRecipient]) -> None:
        self._message = message
        self._to_do = iter(enumerate(recipients))
        self.outcomes = [Outcome(Verdict.NOT_HANDED_OVER)] * len(recipients)

    def take(self) -> Taken | None:
        for place, recipient in self._to_do:
            try:
                email = self._message.render(recipient)
            except RenderingFailed as error:
                self.settle(place, Outcome(Verdict.FAILED, reply=str(error)))
            except Exception as error:  # noqa: BLE001  # a mistake of ours: given back, it would come for ever
                kind = type(error).__name__  # its text may quote the contact's data
                activity.logger.error("an email was not rendered: %s", kind)
                self.settle(place, Outcome(Verdict.FAILED, reply=f"The email cannot be written: {kind}."))
            else:
                self.outcomes[place] = _NOBODY_SAID
                return place, email
        return None

    def settle(self, place: int, outcome: Outcome) -> None:
        self.outcomes[place] = outcome
