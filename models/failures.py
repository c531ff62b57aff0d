"""When so many emails of a send fail that it should not go on by itself. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from models.message import Counts

#: So many are looked at together: of fewer, a large share may fail by chance.
LOOKED_AT = 500


class FailureWatch(BaseModel):
    """Judges the emails of a send in parts of LOOKED_AT or more, each once; this is what was finished before a part."""

    model_config = ConfigDict(frozen=True)

    finished_before: int = 0
    failed_before: int = 0
    is_first: bool = True  # the first part since the send began or went on

    @classmethod
    def after(cls, counts: Counts, *, is_first: bool) -> FailureWatch:
        """Return the watch over what comes after `counts`."""
        return cls(finished_before=_finished(counts), failed_before=_failed(counts), is_first=is_first)

    def is_complete(self, counts: Counts) -> bool:
        """Whether there are enough to be judged."""
        return _finished(counts) - self.finished_before >= LOOKED_AT

    def are_too_many(self, counts: Counts, share: float) -> bool:
        """Whether that share of the part bounced or failed."""
        finished, failed = self._part(counts)
        return failed >= share * finished

    def most_of_a_lane(self, counts: Counts, lanes: int) -> int | None:
        """Return how many emails each of the lanes may take before the first part is judged; None after it."""
        finished, _ = self._part(counts)
        return -(-max(LOOKED_AT - finished, 1) // lanes) if self.is_first else None

    def told(self, counts: Counts, commonest: str) -> str:
        """Return the evidence: "480 of 512 emails bounced or failed; the commonest reply: …"."""
        finished, failed = self._part(counts)
        return f"{failed:,} of {finished:,} emails bounced or failed; the commonest reply: {commonest}"

    def _part(self, counts: Counts) -> tuple[int, int]:
        return _finished(counts) - self.finished_before, _failed(counts) - self.failed_before


def _finished(counts: Counts) -> int:
    return counts.sent + _failed(counts)


def _failed(counts: Counts) -> int:
    return counts.bounced + counts.failed
