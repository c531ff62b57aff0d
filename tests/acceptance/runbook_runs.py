"""Running a runbook: in this process, broken off after any step, or from the shell as operators do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from client.interface import AskedBy, UseCases
from client.runbooks._registry import find_runbooks
from client.runbooks._run import SOURCE, Run, Step
from tests.harness import Harness

CHANGING = {"pause", "resume", "cancel", "unschedule", "copy", "edit", "send"}
RUNBOOKS = {found.name: found.runbook for found in find_runbooks()}
LINK = "https://example.com/may?a=1&b=2"

WRONG_BODY: dict[str, Any] = {
    "html": None,
    "text": "Dear {{ contact.first_name }}, corrected.\n",
    "subject": "Corrected",
}


class BrokenOff(Exception):
    """The runbook's process dies here."""


class BreakingOff:
    """The use cases, until so many steps have been taken: the next thing asked after that finds the process dead."""

    def __init__(self, use: UseCases, after: int) -> None:
        self._use = use
        self._left = after

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        ask = getattr(self._use, name)

        async def counted(*given: Any, **named: Any) -> Any:
            if self._left <= 0:
                raise BrokenOff
            answer = await ask(*given, **named)
            if name in CHANGING:
                self._left -= 1
                if self._left <= 0:
                    raise BrokenOff  # it was done, and its answer never arrived
            return answer

        return counted


@dataclass
class Operator:
    """Answers yes to everything, and does `meanwhile` when it is asked to wait."""

    meanwhile: Callable[[], Awaitable[None]] | None = None
    steps: list[Step] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def tell(self, step: Step) -> None:
        self.steps.append(step)

    async def wait(self, request: str) -> None:
        self.asked.append(request)
        if self.meanwhile:
            await self.meanwhile()

    async def confirm(self, question: str) -> None:
        self.asked.append(question)

    def said(self, step: str) -> list[str]:
        return [told.says for told in self.steps if told.step == step]


async def begin(
    harness: Harness,
    name: str,
    *,
    operator: Operator | None = None,
    break_off_after: int | None = None,
    dry_run: bool = False,
    wait: timedelta = timedelta(seconds=10),
    **options: Any,
) -> Operator:
    """Carry out a runbook in this process; the options are those of the command line, all of them."""
    operator = operator or Operator()
    use: UseCases = harness.use_cases
    if break_off_after is not None:
        use = cast(UseCases, BreakingOff(use, break_off_after))
    runbook = RUNBOOKS[name]
    assert runbook is not None
    run = Run(
        name,
        use,
        operator,
        asked_by=lambda reason: AskedBy(actor="operator", source=SOURCE, reason=reason),
        wait=wait,
        dry_run=dry_run,
    )
    await runbook.steps(run, **options)
    return operator


async def start(harness: Harness, directory: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Start `sendgate runbook …` as operators do."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SENDGATE_")} | {
        "SENDGATE_DATABASE_URL": harness.database_url,
        "TEMPORAL_ADDRESS": harness.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": harness.client.namespace,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "client", "runbook", *arguments),
        cwd=directory,  # where no local stack is to be found
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def sendgate(harness: Harness, directory: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run it to its end with nobody at standard input. Returns exit code, standard output and standard error."""
    process = await start(harness, directory, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, out.decode(), err.decode()
