"""Recipients in doubt, and an operator's decision about them: accepted as sent, or sent again.

Accepting says "take it as sent", resending "take it as not sent": from there on the row is like any other of its
status. So whoever is sent again is suppressed or withdrawn at the claim, canceled by a cancel, and withdrawn by the
next resume after leaving the audience; the decision itself reads no audience, since the operator named whom.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.audience import Audience
from models.commands import Command, ReceiptOutcome, Verb
from models.contact import id_shown
from models.errors import NotFound, Refused
from models.message import MessageStatus
from models.recipient import Recipient, RecipientStatus
from models.transitions import require
from storage import commands, messages, unheard
from storage.database import Connection
from storage.named_sql import load

_sql = load("in_doubt")
_PAGE = 500
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a decision is about: address key → address as given, and contact ids."""

    addresses: Mapping[str, str]
    contact_ids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decision did, and to which scheduling of the message."""

    generation: int
    name: str
    status: MessageStatus  # after it
    reopened: bool = False  # it was sent, and has no workflow yet


async def listed(connection: Connection, message_id: str, after: int = 0) -> AsyncGenerator[Recipient, None]:
    """Stream those in doubt by contact id, a page at a time, each page as it is when it is read."""
    after = min(after, _LARGEST_ID)
    while True:
        rows = _sql.page(connection, message_id=message_id, after=after, most=_PAGE)
        page = [Recipient(**dict(row)) async for row in rows]
        for recipient in page:
            yield recipient
        if len(page) < _PAGE:
            return
        after = page[-1].contact_id


async def decide(connection: Connection, message_id: str, command: Command, named: Named | None) -> Decision:
    """Accept or resend those who are named, or (None) everybody in doubt, with the receipt: all of them or nobody.

    In the caller's own transaction, which an error rolls back: NotFound for somebody who is no recipient, Refused for
    somebody who is not in doubt (any more), when nobody is, when the message does not allow it, or while one that
    excludes it, or that it excludes, could mail the same people. A command that has
    been answered meanwhile changes nothing. A sent message to which somebody is returned is sending again under its
    next generation; a crash before its workflow is started leaves a message that nobody has adopted.
    """
    message = await _sql.lock(connection, message_id=message_id)
    if message is None:
        raise NotFound(f"There is no message {id_shown(message_id)}.", id=message_id)
    status, generation = MessageStatus(message["status"]), message["generation"]
    if await commands.receipt(connection, message_id, command) is not None:
        return Decision(generation, message["name"], status)
    require(status, command.verb)
    reopens = command.verb is Verb.RESEND and status is MessageStatus.SENT
    if reopens:
        await _refuse_if_excluded(connection, message_id)
        await messages.require_excluded_over(connection, Audience.model_validate(message["audience"]))
    await _sql.count_apart(connection)
    decided = await _change(connection, message_id, command, named)
    if reopens:
        await unheard.answer_all(connection, message_id, status)
        generation = (await _sql.reopen(connection, message_id=message_id))["generation"]
    after = MessageStatus.SENDING if reopens else status
    await commands.record(
        connection,
        message_id,
        generation,
        command,
        ReceiptOutcome.DONE,
        before=status,
        after=after,
        effective_at=await _sql.now(connection),
        explanation=_explanation(command.verb, len(decided), reopens=reopens),
        details={"recipients": len(decided), "contact_ids": decided},
    )
    return Decision(generation, message["name"], after, reopens)


async def _change(connection: Connection, message_id: str, command: Command, named: Named | None) -> list[int]:
    """Move the rows and return whose they are, by contact id."""
    wanted = await _doubtful(connection, message_id, named) if named is not None else {}
    change = _sql.accept if command.verb is Verb.ACCEPT else _sql.resend
    ids = list(wanted) or None
    rows = change(connection, message_id=message_id, contact_ids=ids, actor=command.actor)
    decided = sorted([row["contact_id"] async for row in rows])
    if missed := sorted(wanted.keys() - decided):
        await _doubtful(connection, message_id, Named({}, missed))  # by now it may be seen what became of them
        address = wanted[missed[0]]
        raise Refused(f"What became of {address} is being written at this moment; look again. Nothing was changed.")
    if not decided:
        raise Refused("Nobody is in doubt. Nothing was changed.")
    return decided


async def _doubtful(connection: Connection, message_id: str, named: Named) -> dict[int, str]:
    """Return contact id → address of those named. Raises NotFound or Refused unless each of them is in doubt."""
    contact_ids = [contact_id for contact_id in named.contact_ids if 0 < contact_id <= _LARGEST_ID]
    found = _sql.named(connection, message_id=message_id, address_keys=list(named.addresses), contact_ids=contact_ids)
    rows: list[Mapping[str, Any]] = [row async for row in found]
    keys, ids = {row["address_key"] for row in rows}, {row["contact_id"] for row in rows}
    strangers = [address for key, address in named.addresses.items() if key not in keys]
    strangers += [f"contact {contact_id}" for contact_id in named.contact_ids if contact_id not in ids]
    if strangers:
        raise NotFound(f"{_names(strangers, 'is', 'are')} no recipient of this message. Nothing was changed.")
    others = [f"{row['address']} ({row['status']})" for row in rows if row["status"] != RecipientStatus.IN_DOUBT]
    if others:
        raise Refused(f"{_names(others, 'is', 'are')} not in doubt. Nothing was changed.")
    return {row["contact_id"]: row["address"] for row in rows}


def _names(names: Sequence[str], one: str, many: str) -> str:
    """Return the subject of a sentence with its verb: the first name, and how many more there are."""
    return f"{names[0]} {one}" if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more {many}"


async def _refuse_if_excluded(connection: Connection, message_id: str) -> None:
    """Refuse to send again what another message, which is not over, counts as reached."""
    other = await _sql.excluded_by(connection, message_id=message_id)
    if other is not None:
        raise Refused(
            f"{other['name']} ({other['id']}) excludes the recipients of this message, is {other['status']}, and could"
            " mail whoever is to be sent this one again; cancel that one first, or wait until it is sent.",
            excluded_by=other["id"],
            status=other["status"],
        )


def _explanation(verb: Verb, decided: int, *, reopens: bool) -> str:
    who = f"{decided:,} recipient{'' if decided == 1 else 's'} in doubt"
    if verb is Verb.ACCEPT:
        return f"{who} accepted as sent."
    return f"{who} to be sent again" + ("; the message, which was sent, is sending again." if reopens else ".")
