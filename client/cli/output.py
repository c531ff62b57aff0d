"""Where answers go: standard output as JSON or as text for humans, and standard error one line at a time."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from pydantic_core import to_jsonable_python
from rich.console import Console, RenderableType

from client.cli.exits import OutputClosed

#: Columns of tables when nobody looks: a line a row, so that grep and awk have something to hold on to.
_WIDTH_OF_A_PIPE = 160


class _Console(Console):
    """A console that takes the texts as they are, and reports a closed pipe instead of ending the process."""

    def on_broken_pipe(self) -> NoReturn:
        raise OutputClosed


def console_of(stream_is_stdout: bool = True) -> Console:
    """Return a console on standard output, or else on standard error."""
    stream = sys.stdout if stream_is_stdout else sys.stderr
    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDTH_OF_A_PIPE
    return _Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


class Output:
    """Standard output of one command. With `as_json` it holds one JSON document and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = console_of()

    @property
    def is_terminal(self) -> bool:
        return self.console.is_terminal

    def answer(self, document: object, *for_humans: RenderableType) -> None:
        """Print the answer: the document as JSON, or else what humans read. A model is its fields."""
        if self.as_json:
            self.write(json.dumps(to_jsonable_python(document), ensure_ascii=False, indent=2) + "\n")
        else:
            self.say(*for_humans)

    def say(self, *texts: RenderableType) -> None:
        """Print for humans. A sentence is never broken into lines: whoever reads it through a pipe gets it whole."""
        for text in texts:
            self.console.print(text, soft_wrap=isinstance(text, str))

    def line(self, document: object) -> None:
        """Print one document as one line, at once (JSON lines)."""
        self.write(json.dumps(to_jsonable_python(document), ensure_ascii=False) + "\n")
        self.flush()

    async def items(self, items: AsyncIterator[object]) -> None:
        """Print `{"items": [...]}` as the items come, so that memory does not grow with their number.

        Nothing is written before the first item is there, so that an error leaves standard output empty.
        """
        written = 0
        async for item in items:
            self.write(",\n  " if written else '{"items": [\n  ')
            self.write(json.dumps(to_jsonable_python(item), ensure_ascii=False))
            written += 1
        self.write("\n]}\n" if written else '{"items": []}\n')

    def write(self, text: str) -> None:
        with _a_closed_pipe_is_told():
            sys.stdout.write(text)

    def write_bytes(self, content: bytes) -> None:
        with _a_closed_pipe_is_told():
            sys.stdout.flush()
            sys.stdout.buffer.write(content)

    def flush(self) -> None:
        with _a_closed_pipe_is_told():
            sys.stdout.flush()


@contextmanager
def _a_closed_pipe_is_told() -> Iterator[None]:
    """Tell a closed standard output from a connection that broke: both are a BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise OutputClosed from None


def one_line(text: str) -> str:
    """Return `text` on one line, without characters that move a terminal's cursor or change its colours."""
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())


def complain(
    message: str, *, as_json: bool, code: str, details: dict[str, object] | None = None, label: str = "Error: "
) -> None:
    """Print one line on standard error: the sentence, or as JSON the shape that errors have at every door."""
    if as_json:
        shape = {"code": code, "message": one_line(message), "details": to_jsonable_python(details or {}, fallback=str)}
        line = json.dumps(shape, ensure_ascii=False)
    else:
        line = label + message
    with suppress(OSError):  # nobody listens, and the exit code says it too
        sys.stderr.write(one_line(line) + "\n")
        sys.stderr.flush()
