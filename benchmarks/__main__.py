"""`make bench`: run the benchmarks and print a table. The exit code is 1 when a bar is missed.

Absolute times are this machine's on this day, and shown for orientation; the bars are counts and ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import growth


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--batches", type=int, default=1_000, help="throttle batches  [default: 1000]")
    given = arguments.parse_args()
    console = Console(highlight=False)
    console.print(f"A throttle of {given.batches:,} batches, one a minute, played in fast motion ...")
    grown = asyncio.run(growth.measure(given.batches))
    table = Table(title=f"{grown.batches:,} batches in {grown.seconds:.0f} s", title_justify="left")
    for column in ("what", "measured", "bar", ""):
        table.add_column(column, justify="right" if column in ("measured", "bar") else "left")
    met = True
    for what, measured, bar, is_met in grown.rows():
        table.add_row(what, measured, bar, ("✔" if is_met else "✘") if bar else "")
        met = met and is_met
    console.print(table)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
