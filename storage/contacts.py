"""Contacts, lists and suppressions, one call a use. The import is in `contact_import`, the audience in `audience`.

Every function takes a connection and is one statement, or says why it is more. What a user gave is checked here, so
that no door can leave it out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import asyncpg

from models.contact import (
    Contact,
    ContactChanges,
    ListSummary,
    Suppression,
    address_key,
    check_address,
    check_attribute_name,
    check_attribute_value,
    check_list_name,
    check_time_zone,
    is_storable,
    shown,
)
from models.errors import InvalidInput, NotFound, Refused, blaming
from storage.database import Connection, Pool
from storage.named_sql import load

_sql = load("contacts")
_LARGEST_ID = 2**63 - 1
_LONGEST_REASON = 500


class AlreadyContact(Refused):
    """The address is a contact already; `details` hold its id."""

    code = "already_contact"


def contact_of(row: asyncpg.Record) -> Contact:
    """Return the contact of a row of `contacts` with `lists` and `suppressed` beside it."""
    return Contact(
        id=row["id"],
        address=row["address"],
        time_zone=row["time_zone"],
        attributes=row["attributes"],
        lists=row["lists"],
        suppressed=row["suppressed"],
    )


# contacts


async def list_contacts(
    connection: Connection, *, list_name: str | None = None, search: str = "", limit: int = 100, after: int = 0
) -> list[Contact]:
    """Return the next `limit` contacts with an id above `after`, by id, whose address begins like `search`.

    Raises NotFound if there is no such list.
    """
    if search.strip():
        list_id = None if list_name is None else await _list_id(connection, list_name)
        page = _sql.search(connection, list_id=list_id, pattern=_pattern(search), after=_id(after), limit=limit)
    elif list_name is None:
        page = _sql.page_of_contacts(connection, after=_id(after), limit=limit)
    else:
        list_id = await _list_id(connection, list_name)
        page = _sql.page_of_members(connection, list_id=list_id, after=_id(after), limit=limit)
    return [contact_of(row) async for row in page]


async def get_contact(connection: Connection, contact_id: int) -> Contact:
    """Return one contact. Raises NotFound."""
    row = await _sql.contact_by_id(connection, contact_id=_id(contact_id))
    if row is None:
        raise _no_contact(contact_id)
    return contact_of(row)


async def find_contact(connection: Connection, address: str) -> Contact | None:
    """Return the contact that has this address in any spelling of it."""
    found = await _sql.contact_id_of(connection, address_key=address_key(check_address(address)))
    return None if found is None else await get_contact(connection, found)


async def create_contact(
    connection: Connection, address: str, *, time_zone: str | None = None, attributes: Mapping[str, str | None] = {}
) -> Contact:
    """Add a contact. Raises AlreadyContact if the address, in any spelling, is one."""
    with blaming("address"):
        address = check_address(address)
    key = address_key(address)
    kept, _ = _check_attributes(attributes)
    zone = _check_zone(time_zone)
    created = await _sql.insert_contact(
        connection,
        address=address,
        address_key=key,
        time_zone=zone,
        attributes=kept,
    )
    if created is None:
        raise await _already(connection, address, key)
    return await get_contact(connection, created)


async def update_contact(connection: Connection, contact_id: int, changes: ContactChanges) -> Contact:
    """Change what `changes` was given, and return the contact. Raises NotFound, InvalidInput, AlreadyContact.

    Ledger rows keep the address they were written with.
    """
    given = changes.model_fields_set
    with blaming("address"):
        address = check_address(changes.address) if "address" in given else None
    key = address_key(address) if address is not None else None
    kept, removed = _check_attributes(changes.attributes)
    zone = _check_zone(changes.time_zone)
    try:
        # In a transaction of its own (a savepoint within the caller's), which the unique violation then ends alone.
        async with connection.transaction():
            changed = await _sql.update_contact(
                connection,
                contact_id=_id(contact_id),
                address=address,
                address_key=key,
                change_time_zone="time_zone" in given,
                time_zone=zone,
                attributes=kept,
                removed=removed,
            )
    except asyncpg.UniqueViolationError:
        assert address is not None
        assert key is not None
        raise await _already(connection, address, key) from None
    if changed is None:
        raise _no_contact(contact_id)
    return await get_contact(connection, contact_id)


async def delete_contact(connection: Connection, contact_id: int) -> None:
    """Delete the contact and its memberships; ledger rows and the suppression of its address stay. Raises NotFound."""
    if await _sql.delete_contact(connection, contact_id=_id(contact_id)) is None:
        raise _no_contact(contact_id)


# lists


async def list_lists(connection: Connection) -> list[ListSummary]:
    """Return every list with its size, by name."""
    return [ListSummary(**row) async for row in _sql.list_summaries(connection)]


async def get_list(connection: Connection, name: str) -> ListSummary:
    """Return one list with its size. Raises NotFound."""
    row = await _sql.list_summary(connection, name=_check_list(name))
    if row is None:
        raise _no_list(name)
    return ListSummary(**row)


async def create_list(connection: Connection, name: str) -> ListSummary:
    """Make sure that the list exists."""
    await _sql.create_list(connection, name=_check_list(name))
    return await get_list(connection, name)


async def add_to_list(connection: Connection, name: str, contact_id: int) -> None:
    """Make sure that the contact is on the list. Raises NotFound for either."""
    list_id = await _list_id(connection, name)
    try:
        async with connection.transaction():
            await _sql.add_member(connection, list_id=list_id, contact_id=_id(contact_id))
    except asyncpg.ForeignKeyViolationError:
        raise _no_contact(contact_id) from None


async def remove_from_list(connection: Connection, name: str, contact_id: int) -> None:
    """Make sure that the contact is not on the list. Raises NotFound if there is no such list."""
    await _sql.remove_member(connection, list_id=await _list_id(connection, name), contact_id=_id(contact_id))


# suppressions


async def suppress(connection: Connection, addresses: Sequence[str], *, reason: str = "") -> int:
    """Make sure that nothing is sent to these addresses, and return how many were not suppressed before.

    They need not be contacts. All of them or, when one cannot be an address, none. An address that is suppressed
    already keeps its reason. Every claim after this call's commit leaves them out.
    """
    reason = reason.strip()
    if len(reason) > _LONGEST_REASON or not is_storable(reason):
        raise InvalidInput(f"The reason is one text of at most {_LONGEST_REASON} characters.", field="reason")
    given = _by_key(addresses)
    return int(await _sql.suppress(connection, addresses=list(given.values()), address_keys=list(given), reason=reason))


async def unsuppress(connection: Connection, addresses: Sequence[str]) -> int:
    """Lift the suppression of these addresses, whatever its reason, and return how many were suppressed."""
    return int(await _sql.unsuppress(connection, address_keys=list(_by_key(addresses))))


async def list_suppressions(
    connection: Connection, *, search: str = "", limit: int = 100, after: int = 0
) -> list[Suppression]:
    """Return the next `limit` suppressions with an id above `after`, by id, whose address begins like `search`."""
    pattern = _pattern(search) if search.strip() else None
    page = _sql.page_of_suppressions(connection, pattern=pattern, after=_id(after), limit=limit)
    return [Suppression(**row) async for row in page]


async def delete_suppression(connection: Connection, suppression_id: int) -> None:
    """Lift one suppression by its id. Raises NotFound."""
    if await _sql.delete_suppression(connection, suppression_id=_id(suppression_id)) is None:
        raise NotFound(f"There is no suppression {suppression_id}.")


async def address_mailed(connection: Connection | Pool, message_id: str, contact_id: int) -> str | None:
    """Return the address of a recipient, or of a contact who is not one yet; None: of neither."""
    address: str | None = await _sql.address_mailed(connection, message_id=message_id, contact_id=_id(contact_id))
    return address


def _pattern(search: str) -> str:
    """Return the pattern of addresses that begin like this, as keys are written. Raises InvalidInput."""
    if not is_storable(search):
        raise InvalidInput("search has a character that no address can hold.", field="search")
    written = unicodedata.normalize("NFC", search.strip().lower())
    return written.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"


def _by_key(addresses: Sequence[str]) -> dict[str, str]:
    with blaming("addresses"):
        checked = [check_address(address) for address in addresses]
    return {address_key(address): address for address in checked}


def _check_attributes(attributes: Mapping[str, str | None]) -> tuple[dict[str, str], list[str]]:
    """Return the attributes to set and the names of those to remove: None and the empty text mean absent."""
    with blaming("attributes"):
        for name, value in attributes.items():
            check_attribute_name(name)
            if name in ("email", "time_zone"):
                raise InvalidInput(f"{name} is no attribute but a field of its own.")
            check_attribute_value(name, value or "")
    return {name: value for name, value in attributes.items() if value}, [n for n, v in attributes.items() if not v]


def _check_zone(time_zone: str | None) -> str | None:
    with blaming("time_zone"):
        return check_time_zone(time_zone) if time_zone else None


def _check_list(name: str) -> str:
    with blaming("list"):
        return check_list_name(name)


async def _list_id(connection: Connection, name: str) -> int:
    found: int | None = await _sql.list_id(connection, name=_check_list(name))
    if found is None:
        raise _no_list(name)
    return found


async def _already(connection: Connection, address: str, key: str) -> AlreadyContact:
    return AlreadyContact(
        f"{shown(address)} is a contact already.", contact_id=await _sql.contact_id_of(connection, address_key=key)
    )


def _id(number: int) -> int:
    """Return the id, kept within what a column holds; at its ends it is nobody's."""
    return max(-_LARGEST_ID, min(number, _LARGEST_ID))


def _no_contact(contact_id: int) -> NotFound:
    return NotFound(f"There is no contact {contact_id}.")


def _no_list(name: str) -> NotFound:
    return NotFound(f"There is no list {shown(name)}.")
