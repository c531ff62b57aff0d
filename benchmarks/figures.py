"""What a benchmark hands back: rows of the table, every figure for the JSON file, and drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeAlias

from benchmarks.drawing import Drawing

Figure: TypeAlias = "str | float | int | bool | Sequence[Figure] | Mapping[str, Figure] | None"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. Without a bar it is shown for orientation."""

    what: str
    measured: str
    bar: str = ""
    is_met: bool = True


@dataclass(slots=True)
class Findings:
    """What one benchmark found."""

    title: str
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    drawings: list[Drawing] = field(default_factory=list)

    def add(self, what: str, measured: str, bar: str = "", is_met: bool = True) -> None:
        self.rows.append(Row(what, measured, bar, is_met))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that at least `share` (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def middle_and_range(values: Sequence[float], form: str = ",.0f") -> str:
    """Return the median, and the least and the largest when there are several."""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
