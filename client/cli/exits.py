"""How the command line ends: its exit codes, and which error ends with which. Nothing else decides that."""

from __future__ import annotations

from enum import IntEnum

import click

from models.errors import InvalidInput, NotFound, Refused, SendgateError, Unreachable


class ExitCode(IntEnum):
    """What scripts rely on."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # wrong usage or wrong input
    REFUSED = 3  # right in itself, not in the present state
    NOT_FOUND = 4
    UNREACHABLE = 5
    NOT_CONFIRMED = 6  # accepted and not confirmed yet: nobody may read it as stopped
    INTERRUPTED = 130  # Ctrl-C; what a shell reports for SIGINT
    OUTPUT_CLOSED = 141  # whoever read our output went away; what a shell reports for SIGPIPE


class OutputClosed(Exception):
    """Standard output is a pipe that nobody reads any more (`sendgate recipients ID | head`)."""


#: The nearest class of an error's ancestry decides; an error that is not here is a fault of ours.
EXIT_CODES: dict[type[BaseException], ExitCode] = {
    SendgateError: ExitCode.FAILED,
    InvalidInput: ExitCode.USAGE,
    Refused: ExitCode.REFUSED,
    NotFound: ExitCode.NOT_FOUND,
    Unreachable: ExitCode.UNREACHABLE,
    click.ClickException: ExitCode.USAGE,
    click.Abort: ExitCode.INTERRUPTED,
    KeyboardInterrupt: ExitCode.INTERRUPTED,
    OutputClosed: ExitCode.OUTPUT_CLOSED,
    BrokenPipeError: ExitCode.OUTPUT_CLOSED,  # click's help; `verb` lets none of a connection through
}


def exit_code(error: BaseException) -> ExitCode:
    """Return how the program ends after `error`."""
    return next((EXIT_CODES[ancestor] for ancestor in type(error).__mro__ if ancestor in EXIT_CODES), ExitCode.FAILED)
