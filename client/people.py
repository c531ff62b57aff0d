"""The use cases over contacts, lists and suppressions. See `client.interface.UseCases` for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from models.contact import Contact, ContactChanges, ImportResult, ListSummary, Suppression, check_list_name
from models.errors import blaming
from storage import contacts
from storage.contact_import import import_csv
from storage.database import Pool


class People:
    """Every check is in `storage.contacts`, so that no door can leave it out."""

    _pool: Pool

    async def import_contacts(
        self, path: str, *, list_name: str | None, on_progress: Callable[[int, int], None] | None = None
    ) -> ImportResult:
        return await import_csv(self._pool, path, list_name=list_name, on_progress=on_progress)

    async def contacts(
        self, *, list_name: str | None = None, search: str = "", limit: int = 100, after: int = 0
    ) -> list[Contact]:
        async with self._pool.acquire() as connection:
            return await contacts.list_contacts(
                connection, list_name=list_name, search=search, limit=limit, after=after
            )

    async def contact(self, contact_id: int) -> Contact:
        async with self._pool.acquire() as connection:
            return await contacts.get_contact(connection, contact_id)

    async def create_contact(
        self,
        address: str,
        *,
        time_zone: str | None = None,
        attributes: Mapping[str, str | None] = {},
        lists: Sequence[str] = (),
    ) -> Contact:
        with blaming("lists"):
            lists = [check_list_name(name) for name in lists]
        async with self._pool.acquire() as connection, connection.transaction():
            made = await contacts.create_contact(connection, address, time_zone=time_zone, attributes=attributes)
            for name in lists:
                await contacts.add_to_list(connection, name, made.id)
            return await contacts.get_contact(connection, made.id)

    async def change_contact(self, contact_id: int, changes: ContactChanges) -> Contact:
        async with self._pool.acquire() as connection:
            return await contacts.update_contact(connection, contact_id, changes)

    async def delete_contact(self, contact_id: int) -> None:
        async with self._pool.acquire() as connection:
            await contacts.delete_contact(connection, contact_id)

    async def lists(self) -> list[ListSummary]:
        async with self._pool.acquire() as connection:
            return await contacts.list_lists(connection)

    async def contact_list(self, name: str) -> ListSummary:
        async with self._pool.acquire() as connection:
            return await contacts.get_list(connection, name)

    async def create_list(self, name: str) -> ListSummary:
        async with self._pool.acquire() as connection:
            return await contacts.create_list(connection, name)

    async def add_to_list(self, name: str, contact_id: int) -> None:
        async with self._pool.acquire() as connection:
            await contacts.add_to_list(connection, name, contact_id)

    async def remove_from_list(self, name: str, contact_id: int) -> None:
        async with self._pool.acquire() as connection:
            await contacts.remove_from_list(connection, name, contact_id)

    async def suppressions(self, *, search: str = "", limit: int = 100, after: int = 0) -> list[Suppression]:
        async with self._pool.acquire() as connection:
            return await contacts.list_suppressions(connection, search=search, limit=limit, after=after)

    async def suppress(self, addresses: Sequence[str], *, reason: str) -> int:
        async with self._pool.acquire() as connection:
            return await contacts.suppress(connection, addresses, reason=reason)

    async def unsuppress(self, addresses: Sequence[str]) -> int:
        async with self._pool.acquire() as connection:
            return await contacts.unsuppress(connection, addresses)

    async def lift_suppression(self, suppression_id: int) -> None:
        async with self._pool.acquire() as connection:
            await contacts.delete_suppression(connection, suppression_id)
