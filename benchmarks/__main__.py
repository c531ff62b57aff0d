"""`make bench`: measure, and print one table. The exit code is 1 when a bar is missed.

Absolute figures are this machine's on this day, and shown for orientation; the bars are counts, ratios and the
promises of a stop. Everything runs on 127.0.0.1, and nothing is left of it, also after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from benchmarks import asleep, files, growth, killed, limit, machine, million, pages, pause, profile, rate, sweeps
from benchmarks.figures import Findings
from benchmarks.postfix import HOW_TO_GET_THEM, VARIABLE, Postfix, find_postfix
from benchmarks.report import Report

Measuring: TypeAlias = Coroutine[Any, Any, Findings]

#: Name → how it is measured: with Postfix's programs, if they are there, and quickly or in full.
BENCHMARKS: Mapping[str, Callable[[Postfix | None, bool], Measuring]] = {
    "rate": lambda postfix, quick: rate.measure(postfix, emails=5_000 if quick else 50_000, rounds=3),
    "pause": lambda _, quick: pause.measure(pauses=20 if quick else 200, people=20_000 if quick else 50_000),
    "killed": lambda _, quick: killed.measure(kills=1 if quick else 5, people=20_000),
    "limit": lambda _, quick: limit.measure(seconds=15 if quick else 60),
    "asleep": lambda postfix, quick: asleep.measure(
        postfix, messages=200 if quick else 10_000, watched_seconds=15 if quick else 150
    ),
    "windows": lambda postfix, quick: sweeps.windows(postfix, emails=5_000 if quick else 50_000),
    "workers": lambda postfix, quick: sweeps.workers(postfix, emails=5_000 if quick else 50_000),
    "far": lambda postfix, quick: sweeps.far(postfix, emails=2_000 if quick else 20_000),
    "growth": lambda _, quick: growth.measure(30 if quick else 1_000),
    "pages": lambda postfix, quick: pages.measure(
        postfix, messages=1_000 if quick else 10_000, people=20_000 if quick else 1_000_000
    ),
    "files": lambda postfix, quick: files.measure(
        postfix, many=50_000 if quick else 1_000_000, few=10_000 if quick else 50_000
    ),
    "profile": lambda postfix, quick: profile.measure(postfix, emails=5_000 if quick else 50_000),
    "million": lambda postfix, _: million.measure(postfix, many=1_000_000, few=50_000),
}
LONG = {"million"}  # a quarter of an hour and more: not in --quick


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        epilog=f"smtp-sink and smtp-source are looked for in the folder that {VARIABLE} names, or on the PATH.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)}  [default: all]")
    arguments.add_argument(
        "--quick", action="store_true", help="small numbers, some minutes; the bars mean little then"
    )
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write every figure, the machine and the commit")
    arguments.add_argument(
        "--add", action="store_true", help="keep what that file has of others: a long run may be done in parts"
    )
    arguments.add_argument(
        "--docs", type=Path, metavar="FOLDER", help="write the table, bench.md, and drawings, bench-*.svg"
    )
    given = arguments.parse_args()
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        arguments.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    if given.add and given.json is None:
        arguments.error("--add goes with --json, which names the file to add to")
    before = given.json.read_text(encoding="utf-8") if given.add and given.json.exists() else None
    names = given.names or [name for name in BENCHMARKS if not (given.quick and name in LONG)]
    # The SDK's core would write its warnings between our lines.
    quiet = LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=quiet)))
    try:
        return asyncio.run(_measure(names, quick=given.quick, json_file=given.json, before=before, docs=given.docs))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


async def _measure(
    names: list[str], *, quick: bool, json_file: Path | None, before: str | None, docs: Path | None
) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    postfix = find_postfix()
    if postfix is None:
        console.print(HOW_TO_GET_THEM)
        console.print("What is measured by them is left out, and the next hop is a slower one.")
    report = Report(machine.describe(), quick=quick)
    if before is not None:
        report.take_over(before)
    for name in names:
        console.print(f"{name} ...")
        began, disturbance = time.monotonic(), machine.Disturbance()
        found = await BENCHMARKS[name](postfix, quick)
        report.add(name, found, seconds=time.monotonic() - began, share_of_others=disturbance.share())
        _write(report, found, json_file, docs)
    console.print(report.as_table())
    console.print(report.about)
    return 0 if report.all_met else 1


def _write(report: Report, found: Findings, json_file: Path | None, docs: Path | None) -> None:
    """Write what is known so far: a run that is ended early leaves what it had."""
    if json_file is not None:
        json_file.write_text(report.as_json(), encoding="utf-8")
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        (docs / "bench.md").write_text(report.as_markdown(), encoding="utf-8")
        for drawing in found.drawings:
            (docs / f"{drawing.name}.svg").write_text(drawing.svg, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
