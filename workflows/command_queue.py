"""The commands a send was given and has not obeyed yet, each with its number. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from models.commands import Command, Verb
from workflows.state import BatchSendState, NumberedCommand

#: Command ids remembered to drop a signal that was sent twice. The database answers a command once in any case.
_REMEMBERED = 500


class CommandQueue:
    """First in, first out; a command that was in it before is not taken again."""

    def __init__(self, state: BatchSendState) -> None:
        """Go on where the run before left off."""
        self._waiting = list(state.queue)
        self._last_number = state.last_number
        # Id → the verbs that came with it; none where the run before noted ids alone.
        self._remembered: dict[str, list[Verb]] = {command_id: [] for command_id in state.remembered}
        self._remembered |= zip(state.remembered, map(list, state.remembered_verbs), strict=False)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __iter__(self) -> Iterator[NumberedCommand]:
        return iter(self._waiting)

    def append(self, command: Command, *, tells_verbs_apart: Callable[[], bool] = lambda: True) -> None:
        """Take a command, unless it was in the queue before: the same verb with the same id.

        Whether an id that came with another verb is another command, `tells_verbs_apart` is asked, and only then.
        """
        verbs = self._remembered.get(command.command_id)
        if verbs is not None and (command.verb in verbs or not tells_verbs_apart()):
            return
        self._remembered.setdefault(command.command_id, []).append(command.verb)
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
            "remembered_verbs": list(self._remembered.values())[-_REMEMBERED:],
        }
