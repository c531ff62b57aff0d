"""Read a command out of whatever a signal carried: nothing a signal carries may lose a stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from models.commands import Command, Verb

_LONGEST_TEXT = 500


def read_command(verb: Verb, arguments: Sequence[RawValue], *, command_id: str, requested_at: datetime) -> Command:
    """Return the command: from `{"command_id", "actor", "reason"}`, or with any other argument as its reason.

    `command_id` and `requested_at` are for signals that bring none, such as those of `temporal workflow signal`.
    """
    value = _decode(arguments[0]) if arguments else None
    fields: Mapping[str, Any] = value if isinstance(value, Mapping) else {"reason": value}
    return Command(
        command_id=_text(fields.get("command_id")) or command_id,
        verb=verb,
        actor=_text(fields.get("actor")) or "temporal",
        reason=_text(fields.get("reason")),
        source=_text(fields.get("source")) or "temporal",
        requested_at=_instant(fields.get("requested_at")) or requested_at,
    )


def _decode(argument: RawValue) -> Any:
    try:
        return workflow.payload_converter().from_payload(argument.payload)
    except Exception:  # noqa: BLE001  # whatever it is, its bytes become the reason
        return argument.payload.data.decode("utf-8", errors="replace")


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else repr(value)
    return text.replace("\x00", "")[:_LONGEST_TEXT]


def _instant(value: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo else None
