"""`sendgate up`: the local stack under one command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import click
from rich.table import Table
from rich.text import Text

from client.cli.exits import ExitCode, OutputClosed
from client.cli.inputs import Folder, WholeFrom
from client.cli.output import Output, console_of
from client.cli.verb import Verb
from client.local.stack_file import FILE_NAME, Stack, data_directory

_PORTS = {
    "temporal": "Temporal",
    "ui": "Temporal's UI",
    "postgres": "PostgreSQL",
    "smtp": "the mail catcher",
    "api": "the API",
}


def _port_options(command: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    for part, name in reversed(_PORTS.items()):
        command = click.option(
            f"--{part}-port", type=WholeFrom(1, 65535), metavar="PORT", help=f"Port of {name}, if it must be this."
        )(command)
    return command


@click.command(
    "up",
    cls=Verb,
    examples=("sendgate up", "sendgate up --data /tmp/second", "SENDGATE_SMTP_HOST=mail.example.org sendgate up"),
)
@click.option(
    "--data",
    type=Folder(),
    metavar="DIR",
    help="Folder to keep everything in.  [default: SENDGATE_DATA, else ./.sendgate]",
)
@click.option("--no-ui", is_flag=True, help="Without Temporal's web UI.")
@_port_options
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as one JSON document once all is ready.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an unexpected error.")
def up(*, data: Path | None, no_ui: bool, as_json: bool, **ports: int | None) -> ExitCode:
    """Run the local stack: PostgreSQL, Temporal with its UI, a mail catcher, a worker and the API.

    Prints the addresses when everything is ready, then one line per event; a part that dies is started again. Ctrl-C
    stops all of it, a second Ctrl-C at once. The next run finds the data, and ends what a killed one left.

    Other commands find the stack in the folder they are run in, or by --data. Ports are the well-known ones where
    they are free, and the same at the next run. Where SENDGATE_DATABASE_URL, TEMPORAL_ADDRESS or SENDGATE_SMTP_HOST
    is set, that is used instead of starting one.
    """
    # Imported here: PostgreSQL's client is nothing that the help of other verbs should wait for.
    from client.local.stack import StackOptions, run_stack

    out = Output(as_json=as_json)
    events = console_of(stream_is_stdout=not as_json)

    def say(line: str) -> None:
        # A terminal that has gone away is no reason to leave processes behind.
        with suppress(OSError, OutputClosed):
            events.print(Text(f"{datetime.now().astimezone():%H:%M:%S} ", style="dim") + line, soft_wrap=True)

    def show(stack: Stack) -> None:
        with suppress(OSError, OutputClosed):
            out.answer(_without_password(stack), _table(stack))
            out.flush()

    options = StackOptions(
        data=data_directory(data),
        ui=not no_ui,
        ports={name.removesuffix("_port"): port for name, port in ports.items() if port is not None},
    )
    asyncio.run(run_stack(options, on_ready=show, say=say))
    return ExitCode.DONE


def _table(stack: Stack) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "Web UI, API": stack.api_url,
        "Temporal UI": stack.ui_url,
        "Temporal": f"{stack.temporal_address}, namespace {stack.temporal_namespace}"
        + ("" if "temporal" in stack.pids else " (TEMPORAL_ADDRESS)"),
        "PostgreSQL": _without_password(stack).database_url
        + ("" if "postgres" in stack.pids else " (SENDGATE_DATABASE_URL)"),
        "SMTP": f"{stack.smtp_host}:{stack.smtp_port}" + ("" if stack.mailbox else " (SENDGATE_SMTP_HOST)"),
        "Mailbox": str(stack.mailbox) if stack.mailbox else None,
        "Logs": str(stack.data / "logs"),
        "Passwords": str(stack.data / FILE_NAME),
    }
    for label, value in rows.items():
        if value is not None:
            table.add_row(label, value)
    return table


def _without_password(stack: Stack) -> Stack:
    """What a terminal or a log may show; `stack.json` has the password and the key."""
    stack = stack.model_copy(update={"api_key": "***" if stack.api_key else None})
    parts = urlsplit(stack.database_url)
    if parts.password is None:
        return stack
    place = f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"
    return stack.model_copy(update={"database_url": urlunsplit(parts._replace(netloc=place))})
