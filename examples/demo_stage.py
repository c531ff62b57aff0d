"""What the demo plays on: command lines that are run as they are shown, the mailbox, and claims that are checked."""

from __future__ import annotations

import io
import json
import os
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.rule import Rule
from rich.text import Text

from client.cli.app import run
from client.cli.exits import ExitCode
from client.local.mail_catcher import CaughtEmail, read_mailbox
from models.errors import SendgateError

_LOOK_EVERY_SECONDS = 0.05
_ASK_EVERY_SECONDS = 0.5
_INDENT = 4


class DemoFailed(SendgateError):
    """The story cannot go on; the sentence says at what."""


class Mailbox:
    """The stack's Maildir: what the mail catcher took, which is what a recipient would have got."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._earlier: set[Path] = set()

    def begin(self) -> None:
        """Leave out, from here on, what has arrived so far."""
        self._earlier = {email.path for email in read_mailbox(self.path)}

    def arrived(self) -> list[CaughtEmail]:
        """Return the emails since `begin`, in the order of their arrival."""
        return [email for email in read_mailbox(self.path) if email.path not in self._earlier]

    def count(self) -> int:
        """Return how many arrived since `begin`, without reading them."""
        return len(os.listdir(self.path / "new")) - len(self._earlier)


class Stage:
    """The terminal and the mailbox, and every claim made so far."""

    def __init__(self, console: Console, mailbox: Mailbox) -> None:
        self.console = console
        self.mailbox = mailbox
        self.claims = 0
        self.false_claims: list[str] = []

    # -- saying

    def heading(self, title: str) -> None:
        self.console.print()
        self.console.print(Rule(Text(title, style="bold"), align="left", style="dim"))

    def say(self, text: str) -> None:
        self.console.print(text)

    def claim(self, sentence: str, *, broken: Sequence[str]) -> None:
        """Print a claim with a mark that tells whether it is true, which is when nothing is `broken`."""
        self.claims += 1
        mark, style = ("✘", "bold red") if broken else ("✔", "green")
        self._indented(Text.assemble((f"{mark} ", style), sentence), 2)
        for reason in broken:
            self._indented(Text(reason, style="red"))
        if broken:
            self.false_claims.append(" ".join((sentence, *broken)))

    def show(self, *arguments: str) -> None:
        """Show a command line as one types it."""
        self.console.print(_shown(arguments), soft_wrap=True)

    # -- doing

    def sendgate(self, *arguments: str, lines: int | None = None) -> None:
        """Show a command line, run it, and show (the first `lines` of) what it printed.

        Raises DemoFailed unless it ends with 0.
        """
        self.show(*arguments)
        printed = _run(arguments).rstrip().splitlines()
        for line in printed[:lines]:
            self._indented(Text(line, style="dim"))
        if len(printed[:lines]) < len(printed):
            self._indented(Text("...", style="dim"))

    def ask(self, *arguments: str) -> Any:
        """Run a command line with --json, unseen, and return its document. Raises DemoFailed unless it ends with 0."""
        return json.loads(_run((*arguments, "--json")))

    def message(self, message_id: str) -> Any:
        return self.ask("messages", "show", message_id)

    def newest(self) -> str:
        """Return the id of the message that was made last."""
        return str(self.ask("messages", "list", "--limit", "1")["items"][0]["id"])

    # -- waiting, with an eye on the mailbox

    def watch_mailbox(self, until: int, total: int, *, within_seconds: float = 60.0) -> None:
        """Show the mailbox fill until it holds so many. Raises DemoFailed when it takes too long."""
        self._follow(total, lambda count: count >= until, f"{until:,} emails", within_seconds)

    def watch_until(self, message_id: str, status: str, total: int, *, within_seconds: float = 120.0) -> None:
        """Show the mailbox fill until the message has this status. Raises DemoFailed when it takes too long."""
        ask_again_at = 0.0

        def reached(_: int) -> bool:
            nonlocal ask_again_at
            if time.monotonic() < ask_again_at:
                return False
            reached = bool(self.message(message_id)["status"] == status)
            ask_again_at = time.monotonic() + _ASK_EVERY_SECONDS
            return reached

        self._follow(total, reached, f"the message to be {status}", within_seconds)

    def watch_silence(self, seconds: float, total: int) -> list[str]:
        """Keep looking at the mailbox for so long; return what breaks the silence, nothing if it holds."""
        before, deadline = self.mailbox.count(), time.monotonic() + seconds
        self._follow(total, lambda _: time.monotonic() >= deadline, "a silence", seconds + 60)
        more = self.mailbox.count() - before
        return [f"{more:,} more arrived."] if more else []

    def _indented(self, text: Text, by: int = _INDENT) -> None:
        self.console.print(Padding(text, (0, 0, 0, by), expand=False) if text else "")

    def _follow(self, total: int, done: Callable[[int], bool], awaited: str, within_seconds: float) -> None:
        deadline = time.monotonic() + within_seconds
        columns = TextColumn("    In the mailbox"), BarColumn(), TextColumn("{task.completed:,} of {task.total:,}")
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task("", total=total)
            while True:
                count = self.mailbox.count()
                progress.update(bar, completed=count)
                if done(count):
                    progress.update(bar, completed=self.mailbox.count())
                    return
                if time.monotonic() > deadline:
                    raise DemoFailed(f"Waited {within_seconds:g} s for {awaited}; {count:,} emails have arrived.")
                time.sleep(_LOOK_EVERY_SECONDS)


def _run(arguments: Sequence[str]) -> str:
    """Run a command line in this process and return what it printed: what the program `sendgate` does, without its
    half a second of start."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        code = run(arguments)
    if code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code != ExitCode.DONE:
        said = errors.getvalue().strip().removeprefix("Error: ")
        raise DemoFailed(f"`{shlex.join(('sendgate', *arguments))}` ended with exit code {code}: {said}")
    return output.getvalue()


def _shown(arguments: Sequence[str]) -> Text:
    """Return a command line as one types it: a long one with an option a line."""
    words = [shlex.quote(word) for word in arguments]
    text = " ".join(words)
    if len(text) > 80:
        text = " ".join(f"\\\n      {word}" if word.startswith("--") else word for word in words)
    return Text.assemble(("  $ ", "dim"), (f"sendgate {text}", "bold cyan"))
