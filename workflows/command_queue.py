"""The commands a send was given and has not obeyed yet, each with its number. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from models.commands import Command
from workflows.state import BatchSendState, NumberedCommand

#: Command ids remembered to drop a signal that was sent twice. The database answers a command once in any case.
_REMEMBERED = 500


class CommandQueue:
    """First in, first out; a command that was in it before is not taken again."""

    def __init__(self, state: BatchSendState) -> None:
        """Go on where the run before left off."""
        self._waiting = list(state.queue)
        self._last_number = state.last_number
        self._remembered = dict.fromkeys(state.remembered)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __iter__(self) -> Iterator[NumberedCommand]:
        return iter(self._waiting)

    def append(self, command: Command) -> None:
        if command.command_id in self._remembered:
            return
        self._remembered[command.command_id] = None
        self._last_number += 1
        self._waiting.append(NumberedCommand(number=self._last_number, command=command))

    def pop(self) -> NumberedCommand:
        """Take the first. Raises IndexError when there is none."""
        return self._waiting.pop(0)

    @property
    def is_stop_next(self) -> bool:
        return bool(self._waiting) and self._waiting[0].command.verb.is_stop

    @property
    def first_stop(self) -> NumberedCommand | None:
        return next((entry for entry in self._waiting if entry.command.verb.is_stop), None)

    def carried_over(self) -> dict[str, object]:
        """Return the fields of the next run's state that this queue stands for."""
        return {
            "queue": list(self._waiting),
            "last_number": self._last_number,
            "remembered": list(self._remembered)[-_REMEMBERED:],
        }
