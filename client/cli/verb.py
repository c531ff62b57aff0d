"""How a verb is declared: a coroutine over the use cases becomes a click command with the options all share."""

from __future__ import annotations

import asyncio
import functools
import getpass
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import click

from client.cli.exits import ExitCode
from client.cli.inputs import Folder
from client.cli.output import Output
from client.doors import Place
from client.interface import AskedBy, UseCases

Opener = Callable[[Place], AbstractAsyncContextManager[UseCases]]
#: What a verb does: `work(use, out, **options)`. None is DONE.
Work = Callable[..., Awaitable[ExitCode | None]]
#: Refuses options that do not go together (UsageError, InvalidInput); given all of them by name.
Check = Callable[[Mapping[str, object]], None]


def one_of(*names: str) -> Check:
    """Return a check that at most one of these flags is given."""

    def check(given: Mapping[str, object]) -> None:
        if sum(bool(given[name]) for name in names) > 1:
            written = " and ".join("--" + name.removeprefix("as_") for name in names)
            raise click.UsageError(f"{written} exclude each other.")

    return check


class Verb(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, name: str, *, examples: Sequence[str], **given: object) -> None:
        super().__init__(name, **given)  # type: ignore[arg-type]  # click's own keywords, handed on
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def verb(name: str, *, examples: Sequence[str], check: Check | None = None) -> Callable[[Work], click.Command]:
    """Make a click command of a coroutine `work(use, out, **options)`; its docstring is the help.

    Options are read, and checked by `check`, before the use cases are opened: wrong input is told without a server.
    """

    def decorate(work: Work) -> click.Command:
        @functools.wraps(work)
        def callback(
            *,
            as_json: bool,
            data: Path | None,
            url: str | None,
            api_key: str | None,
            direct: bool,
            **given: object,
        ) -> ExitCode:
            open_use_cases: Opener = click.get_current_context().obj
            if url is not None and (data or direct):
                raise click.UsageError("--url excludes --data and --direct: each names a place of its own.")
            place = Place(data=data, url=url, api_key=api_key, direct=direct)
            if check is not None:
                check({**given, "as_json": as_json})

            async def carry_out() -> ExitCode:
                async with open_use_cases(place) as use:
                    return await work(use, Output(as_json=as_json), **given) or ExitCode.DONE

            try:
                return asyncio.run(carry_out())
            except BrokenPipeError as error:
                # A closed standard output is an OutputClosed by now, so this was a connection to a server.
                raise ConnectionAbortedError(*error.args) from error

        command = click.command(name, cls=Verb, examples=examples)(callback)
        command.params += _common_options()
        return command

    return decorate


class _Family(click.Group):
    """Verbs of one noun, listed in the order of their use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def family(name: str, summary: str, *verbs: click.Command) -> click.Group:
    """Return the group of `verbs` under one noun; without a verb it prints its help."""

    @click.group(name, cls=_Family, invoke_without_command=True, help=summary)
    @click.pass_context
    def group(ctx: click.Context) -> None:
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())

    for each in verbs:
        group.add_command(each)
    return group


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document, for programs."),
        click.Option(
            ["--data"],
            type=Folder(),
            metavar="DIR",
            help="Folder of the local stack.  [default: SENDGATE_DATA, else ./.sendgate, else the environment]",
        ),
        click.Option(["--url"], metavar="URL", help="The API to ask.  [default: SENDGATE_URL, else the local stack's]"),
        click.Option(["--api-key"], metavar="KEY", help="Key of the API.  [default: SENDGATE_API_KEY, or the stack's]"),
        click.Option(["--direct"], is_flag=True, help="Work on the database and Temporal, without the API."),
        click.Option(["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an unexpected error."),
    ]


def asked_by(reason: str = "") -> AskedBy:
    """Say who asks: the user at this shell."""
    try:
        actor = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without an entry in the password file
        actor = f"uid {os.getuid()}"
    return AskedBy(actor=actor, reason=reason)
