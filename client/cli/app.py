"""The tree of verbs, and the one place where an error becomes a sentence on standard error and an exit code.

A new verb is one entry in `SECTIONS`.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version

import click

from client.cli.contacts import contacts, lists, suppress, unsuppress
from client.cli.exits import ExitCode, OutputClosed, exit_code
from client.cli.hold import hold, release
from client.cli.in_doubt import in_doubt
from client.cli.keys import keys
from client.cli.looking import history, progress, recipients, watch
from client.cli.messages import messages
from client.cli.output import complain
from client.cli.runbooks import runbook
from client.cli.sending import cancel, copy, pause, resume, send, sendtest, unschedule
from client.cli.serve import serve
from client.cli.up import up
from client.cli.verb import Opener
from client.doors import open_use_cases
from models.errors import SendgateError

NAME = "sendgate"

#: Every verb under its heading in the help.
SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Contacts": (contacts, lists, suppress, unsuppress),
    "Messages": (messages, copy, sendtest),
    "Sending and stopping": (send, pause, resume, cancel, unschedule),
    "Looking": (watch, progress, recipients, history),
    "Stopping everything": (hold, release),
    "Deciding": (in_doubt,),
    "Runbooks": (runbook,),
    "Servers": (up, serve, keys),
}

_WALK_THROUGH = (
    "sendgate up                           # and in another terminal:",
    "sendgate contacts import people.csv --list newsletter",
    "sendgate messages create --name 'May news' --from news@example.org \\",
    "    --subject 'Hello {{ contact.first_name }}' --text may.txt \\",
    "    --audience-list newsletter        # prints the ID of the draft",
    "sendgate messages preview ID          # to whom, and how it looks",
    "sendgate send ID && sendgate watch ID # Ctrl-C ends only the watching",
    "sendgate pause ID --reason 'link is broken'",
    "sendgate resume ID                    # nobody gets it twice",
)


#: Characters; long enough for any first sentence, which is broken into lines and never cut short.
_LONGEST_SUMMARY = 200
_LONGEST_USAGE = 400


class _Tree(click.Group):
    """The top of the tree: its help groups the verbs and shows a first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(len(name) for name in self.commands)
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{c.name:<{widest}}", c.get_short_help_str(_LONGEST_SUMMARY)) for c in commands])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("A first use"):
            for line in _WALK_THROUGH:
                formatter.write(f"  {line}\n")
        formatter.write("\nEvery verb explains itself: sendgate VERB --help\n")


@click.group(cls=_Tree, name=NAME, invoke_without_command=True)
@click.version_option(version(NAME), "--version", prog_name=NAME)
@click.pass_context
def sendgate(ctx: click.Context) -> None:
    """Send batch messages that can be paused, resumed, canceled and unscheduled.

    A message is one email text for many contacts. Every verb takes --json. Exit codes: 0 done, 1 failed, 2 wrong
    usage or input, 3 refused in the present state, 4 not found, 5 cannot reach the server, 6 accepted and not yet
    confirmed.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _commands in SECTIONS.values():
    for _command in _commands:
        sendgate.add_command(_command)


def run(arguments: Sequence[str], open_use_cases: Opener = open_use_cases) -> int:
    """Carry out one command line and return its exit code. Raises nothing; an error is one line on standard error."""
    options = arguments[: list(arguments).index("--")] if "--" in arguments else arguments
    as_json, debug = "--json" in options, "--debug" in options
    try:
        _require_text(arguments)
        # Not click's own main(): that swallows EPIPE and reads an EOFError of a connection as Ctrl-C.
        with sendgate.make_context(NAME, list(arguments), obj=open_use_cases) as context:
            code = sendgate.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return int(done.exit_code)
    except (KeyboardInterrupt, click.Abort, OutputClosed, BrokenPipeError) as ended:
        return exit_code(ended)
    except click.ClickException as error:
        complain(_usage_sentence(error), as_json=as_json, code="usage")
        return exit_code(error)
    except SendgateError as error:
        complain(error.message, as_json=as_json, code=error.code, details=error.details)
        return exit_code(error)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- the last resort: a user gets a sentence, and the traceback on demand
        if debug:
            traceback.print_exc()
        where = "" if debug else " Run it again with --debug to see where."
        complain(f"unexpected {type(error).__name__}: {error}.{where}", as_json=as_json, code="unexpected")
        return exit_code(error)
    return int(code or ExitCode.DONE)


def _require_text(arguments: Sequence[str]) -> None:
    for number, argument in enumerate(arguments, 1):
        named = f"Argument {number}{_option_of(argument, arguments[number - 2] if number > 1 else '')}"
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{named} is not UTF-8.") from None
        if "\x00" in argument:  # a shell cannot give one, but who calls `run` can
            raise click.UsageError(f"{named} has a NUL character.")


def _option_of(argument: str, before: str) -> str:
    """Return ` (--reason)` for what is, or stands behind, an option, as far as a terminal can show it."""
    option = next((each.partition("=")[0] for each in (argument, before) if each.startswith("--")), "")
    return f" ({option})" if option.isprintable() and option else ""


def _usage_sentence(error: click.ClickException) -> str:
    """Return click's message on one line, with where to read on."""
    sentence = " ".join(error.format_message().split()).rstrip(".")
    if (
        len(sentence) > _LONGEST_USAGE
    ):  # what was typed stands in the middle: the option before it, what is wrong behind
        sentence = f"{sentence[: _LONGEST_USAGE // 2]}…{sentence[-_LONGEST_USAGE // 2 :]}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{sentence}; see `{context.command_path if context else NAME} --help`."
