"""The findings of a run as they are read: a table on the terminal, the same in Markdown, every figure as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table

from benchmarks.figures import Figure, Findings, Row

_COLUMNS = ("what", "measured", "bar", "")


@dataclass(frozen=True, slots=True)
class _Part:
    """One benchmark that is over, in this run or in one before."""

    name: str
    title: str
    rows: list[Row]
    drawings: list[str]
    figures: Mapping[str, Figure]
    seconds: float
    share_of_others: float  # of the CPU, 0 to 1
    measured_at: str
    commit: str
    machine: str  # parts that were measured on different days may have had different ones

    @property
    def circumstances(self) -> str:
        return f"in {self.seconds:,.0f} s on {self.machine}; {self.share_of_others:.0%} of the CPU went to others"


class Report:
    """What one run has found so far."""

    def __init__(self, facts: Mapping[str, Figure], *, quick: bool) -> None:
        """`facts`: see `benchmarks.machine.describe`."""
        self._facts = facts
        self._quick = quick
        self._parts: dict[str, _Part] = {}

    def add(self, name: str, found: Findings, *, seconds: float, share_of_others: float) -> None:
        """Take in what one benchmark has found, in the place of what a run before found."""
        drawings = [drawing.name for drawing in found.drawings]
        where = str(self._facts["measured_at"]), str(self._facts["commit"]), _machine(self._facts)
        self._parts[name] = _Part(
            name, found.title, found.rows, drawings, found.figures, seconds, share_of_others, *where
        )

    def take_over(self, written: str) -> None:
        """Take over what a run before wrote by `as_json`. Raises ValueError when it is nothing of the kind."""
        for name, part in json.loads(written)["parts"].items():
            self._parts[name] = _Part(**{**part, "name": name, "rows": [Row(*row) for row in part["rows"]]})

    @property
    def all_met(self) -> bool:
        return all(row.is_met for part in self._parts.values() for row in part.rows)

    @property
    def about(self) -> str:
        """The machine, in a sentence or two."""
        facts = self._facts
        return (
            f"{_machine(facts)}; Linux {facts['kernel']}, Python {facts['python']},"
            f" {facts['postgresql']}, {facts['temporal']}; commit {facts['commit']}, {facts['measured_at']}."
            " Servers, next hop and whatever is compared share the cores."
            + (" With --quick: small numbers, whose bars mean little." if self._quick else "")
        )

    def as_table(self) -> Table:
        table = Table(title="Benchmarks", title_justify="left")
        for column in _COLUMNS:
            table.add_column(column, overflow="fold")
        for part in self._parts.values():
            table.add_section()
            table.add_row(f"[bold]{part.name}[/bold]: {part.title}", part.circumstances)
            for row in part.rows:
                table.add_row(row.what, row.measured, row.bar, _mark(row))
        return table

    def as_markdown(self) -> str:
        lines = ["# Benchmarks", "", "Written by `make bench`; [what it measures](performance.md).", "", self.about]
        for part in self._parts.values():
            lines += ["", f"## {part.name}: {part.title}", ""]
            lines += [f"Measured {part.circumstances}; commit {part.commit}, {part.measured_at}.", ""]
            lines += [f"| {' | '.join(_COLUMNS)} |", "|---|---|---|---|"]
            lines += [f"| {row.what} | {row.measured} | {row.bar} | {_mark(row)} |" for row in part.rows]
            lines += [line for drawing in part.drawings for line in ("", f"![{drawing}]({drawing}.svg)")]
        return "\n".join(lines) + "\n"

    def as_json(self) -> str:
        parts = {
            name: {
                **{field: getattr(part, field) for field in _Part.__slots__ if field not in ("name", "rows")},
                "rows": [[row.what, row.measured, row.bar, row.is_met] for row in part.rows],
            }
            for name, part in self._parts.items()
        }
        return json.dumps({"machine": self._facts, "quick": self._quick, "parts": parts}, indent=1) + "\n"


def _machine(facts: Mapping[str, Figure]) -> str:
    """What a figure in seconds depends on most."""
    return f"{facts['cores']} cores ({facts['cpu']}; ten million turns of Python's loop: {facts['loop_seconds']} s)"


def _mark(row: Row) -> str:
    return ("✔" if row.is_met else "✘") if row.bar else ""
