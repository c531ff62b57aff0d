"""Verbs that run the scripted runbooks: each is a verb by being in `client.runbooks`."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from datetime import timedelta

import click

from client.cli import show
from client.cli.exits import ExitCode
from client.cli.inputs import Seconds
from client.cli.output import Output, complain, one_line
from client.cli.verb import Verb, _common_options, asked_by, family, verb
from client.interface import AskedBy, UseCases
from client.runbooks._registry import Found, Runbook, find_runbooks
from client.runbooks._run import SOURCE, Declined, NotConfirmed, Operator, Run, Step
from models.errors import InvalidInput, SendgateError

_FOUND = list(find_runbooks())


class Terminal(Operator):
    """The person at this shell. Answers go to standard output, questions to standard error."""

    def __init__(self, out: Output, *, yes: bool) -> None:
        self.steps: list[Step] = []
        self._out = out
        self._yes = yes

    def tell(self, step: Step) -> None:
        self.steps.append(step)
        if not self._out.as_json:
            self._out.say(f"{step.step:<10} {one_line(step.says)}")
            self._out.flush()

    async def wait(self, request: str) -> None:
        if not self._yes:
            await self._answer(f"Now {request} ")

    async def confirm(self, question: str) -> None:
        if not self._yes and (await self._answer(f"{question} [y/N] ")).strip().lower() not in ("y", "yes"):
            raise Declined

    async def _answer(self, prompt: str) -> str:
        sys.stderr.write(one_line(prompt) + " ")
        sys.stderr.flush()
        line = await _line_of_standard_input()
        if not line:
            raise InvalidInput("Standard input has ended, so nobody can answer; run it again to go on from here.")
        return line


async def _line_of_standard_input() -> str:
    """Wait for a line; "" at the end. The thread is left behind at Ctrl-C, which must not wait for Enter."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def settle(line: str) -> None:
        if not answer.done():
            answer.set_result(line)

    def read() -> None:
        try:
            line = sys.stdin.readline() if sys.stdin else ""
        except (OSError, ValueError):  # closed, or not text
            line = ""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, line)

    threading.Thread(target=read, name="standard input", daemon=True).start()
    return await answer


def _as_verb(found: Found) -> click.Command:
    return _runs(found.name, found.runbook) if found.runbook else _cannot_run(found)


def _runs(name: str, runbook: Runbook) -> click.Command:
    """Return the verb of one runbook, with the options that all of them share."""

    async def work(
        use: UseCases, out: Output, *, yes: bool, dry_run: bool, wait: timedelta, **given: object
    ) -> ExitCode:
        terminal = Terminal(out, yes=yes)
        run = Run(name, use, terminal, asked_by=_asked_by, wait=wait, dry_run=dry_run)
        finished = False
        try:
            await runbook.steps(run, **given)
            if dry_run:
                terminal.tell(Step(step="note", says="Nothing was changed."))
            finished = True
        except NotConfirmed as error:
            details: dict[str, object] = {"pending_command": error.verb, "messages": error.ids}
            complain(str(error), label="", as_json=out.as_json, code="not_confirmed", details=details)
            return ExitCode.NOT_CONFIRMED
        except Declined:
            terminal.tell(Step(step="note", says="Ended here, as you answered; run it again to go on."))
            return ExitCode.INTERRUPTED
        finally:
            if out.as_json and (finished or terminal.steps):
                out.answer({"runbook": name, "dry_run": dry_run, "finished": finished, "steps": terminal.steps})
        return ExitCode.DONE

    work.__doc__ = runbook.steps.__doc__
    command = verb(name, examples=runbook.examples, check=runbook.check)(work)
    command.params[:0] = [*runbook.parameters, *_shared_options()]
    return command


def _cannot_run(found: Found) -> click.Command:
    """Return a verb that says why there is no runbook behind it."""
    sentence = f"The runbook {found.name} cannot be loaded: {found.problem}"

    def refuse() -> ExitCode:
        raise SendgateError(sentence)

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(found.name, callback=refuse, help=sentence, context_settings=anything)


def _shared_options() -> list[click.Parameter]:
    return [
        click.Option(["--yes"], is_flag=True, help="Ask nothing and wait for nobody."),
        click.Option(["--dry-run"], is_flag=True, help="Say each step and change nothing."),
        click.Option(
            ["--wait"],
            type=Seconds(),
            metavar="SECONDS",
            default=timedelta(seconds=10),
            help="How long to wait for each receipt; after that the exit code is 6.  [default: 10]",
        ),
    ]


def _asked_by(reason: str) -> AskedBy:
    return asked_by(reason).model_copy(update={"source": SOURCE})


@click.command(
    "list",
    cls=Verb,
    params=_common_options(),
    examples=("sendgate runbook list", "sendgate runbook list --json"),
)
def list_runbooks(*, as_json: bool, **_: object) -> ExitCode:
    """List the runbooks. It needs no server."""
    found = [
        {"name": each.name, "summary": each.runbook.summary if each.runbook else f"cannot be loaded: {each.problem}"}
        for each in _FOUND
    ]
    rows = show.table("runbook", "what it does", whole=("runbook",))
    for each in found:
        show.add_row(rows, each["name"], each["summary"])
    Output(as_json=as_json).answer({"items": found}, rows)
    return ExitCode.DONE


runbook = family(
    "runbook", "Run a scripted runbook for a known bad moment.", list_runbooks, *(_as_verb(found) for found in _FOUND)
)
