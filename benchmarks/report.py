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
    """One benchmark that is over."""

    name: str
    found: Findings
    seconds: float
    share_of_others: float  # of the CPU, 0 to 1

    @property
    def circumstances(self) -> str:
        return f"in {self.seconds:,.0f} s; {self.share_of_others:.0%} of the CPU went to others"


class Report:
    """What one run has found so far."""

    def __init__(self, facts: Mapping[str, Figure], *, quick: bool) -> None:
        """`facts`: see `benchmarks.machine.describe`."""
        self._facts = facts
        self._quick = quick
        self._parts: list[_Part] = []

    def add(self, name: str, found: Findings, *, seconds: float, share_of_others: float) -> None:
        self._parts.append(_Part(name, found, seconds, share_of_others))

    @property
    def all_met(self) -> bool:
        return all(row.is_met for part in self._parts for row in part.found.rows)

    @property
    def about(self) -> str:
        """The machine, in a sentence or two."""
        facts = self._facts
        return (
            f"{facts['cores']} cores ({facts['cpu']}), Linux {facts['kernel']}, Python {facts['python']},"
            f" {facts['postgresql']}, {facts['temporal']}; commit {facts['commit']}, {facts['measured_at']}."
            " Servers, next hop and whatever is compared share the cores."
            + (" With --quick: small numbers, whose bars mean little." if self._quick else "")
        )

    def as_table(self) -> Table:
        table = Table(title="Benchmarks", title_justify="left")
        for column in _COLUMNS:
            table.add_column(column, overflow="fold")
        for part in self._parts:
            table.add_section()
            table.add_row(f"[bold]{part.name}[/bold]: {part.found.title}", part.circumstances)
            for row in part.found.rows:
                table.add_row(row.what, row.measured, row.bar, _mark(row))
        return table

    def as_markdown(self) -> str:
        lines = ["# Benchmarks", "", "Written by `make bench`; [what it measures](performance.md).", "", self.about]
        for part in self._parts:
            lines += ["", f"## {part.name}: {part.found.title}", "", f"Measured {part.circumstances}.", ""]
            lines += [f"| {' | '.join(_COLUMNS)} |", "|---|---|---|---|"]
            lines += [f"| {row.what} | {row.measured} | {row.bar} | {_mark(row)} |" for row in part.found.rows]
            lines += [
                line for drawing in part.found.drawings for line in ("", f"![{drawing.name}]({drawing.name}.svg)")
            ]
        return "\n".join(lines) + "\n"

    def as_json(self) -> str:
        parts = {
            part.name: {"seconds": part.seconds, "cpu_share_of_others": part.share_of_others, **part.found.figures}
            for part in self._parts
        }
        return json.dumps({"machine": self._facts, "quick": self._quick, **parts}, indent=1) + "\n"


def _mark(row: Row) -> str:
    return ("✔" if row.is_met else "✘") if row.bar else ""
