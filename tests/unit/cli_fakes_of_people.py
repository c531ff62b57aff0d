"""The use cases over people, keys and the hold in memory: what was asked is recorded, what is answered is fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from client.interface import AskedBy
from models.api_keys import ApiKey, NewApiKey, Role
from models.contact import Contact, ContactChanges, ListSummary, Suppression
from models.hold import Hold, HoldAct, HoldEntry

NOW = datetime(2020, 5, 4, 9, 5, 12, 345_000, tzinfo=UTC)
ADA = Contact(id=7, address="ada@example.org", time_zone=None, attributes={"city": "Oslo"}, lists=["a"])
A_KEY = ApiKey(id=3, name="ci", role=Role.VIEWER, begins_with="sg_abcde", created_at=NOW)


class Asked:
    """Records what is asked."""

    def _ask(self, what: str, detail: object = None) -> None:
        raise NotImplementedError


class FakePeople(Asked):
    async def contact(self, contact_id: int) -> Contact:
        self._ask("contact", contact_id)
        return ADA

    async def create_contact(
        self,
        address: str,
        *,
        time_zone: str | None = None,
        attributes: Mapping[str, str | None] = {},
        lists: Sequence[str] = (),
    ) -> Contact:
        self._ask("create_contact", (address, time_zone, attributes, lists))
        return ADA

    async def change_contact(self, contact_id: int, changes: ContactChanges) -> Contact:
        self._ask("change_contact", (contact_id, changes))
        return ADA

    async def delete_contact(self, contact_id: int) -> None:
        self._ask("delete_contact", contact_id)

    async def contact_list(self, name: str) -> ListSummary:
        self._ask("contact_list", name)
        return ListSummary(name=name, contacts=1)

    async def create_list(self, name: str) -> ListSummary:
        self._ask("create_list", name)
        return ListSummary(name=name, contacts=0)

    async def add_to_list(self, name: str, contact_id: int) -> None:
        self._ask("add_to_list", (name, contact_id))

    async def remove_from_list(self, name: str, contact_id: int) -> None:
        self._ask("remove_from_list", (name, contact_id))

    async def suppressions(self, *, search: str = "", limit: int = 100, after: int = 0) -> list[Suppression]:
        self._ask("suppressions", (search, limit, after))
        return [Suppression(id=5, address="ada@example.org", reason="asked by phone", created_at=NOW)]

    async def lift_suppression(self, suppression_id: int) -> None:
        self._ask("lift_suppression", suppression_id)

    async def check_unsubscribe(self, token: str) -> None:
        self._ask("check_unsubscribe", token)

    async def unsubscribe(self, token: str) -> None:
        self._ask("unsubscribe", token)


class FakeKeeping(Asked):
    held = Hold(held=True, actor="anna", reason="incident", since=NOW, in_flight=2)
    held_before = (
        HoldEntry(id=4, act=HoldAct.RELEASED, actor="bob", reason="", source="sql", at=NOW),
        HoldEntry(id=3, act=HoldAct.PUT, actor="anna", reason="incident", source="cli", at=NOW),
    )

    async def hold(self) -> Hold:
        self._ask("hold")
        return self.held

    async def put_hold(self, asked_by: AskedBy) -> Hold:
        self._ask("put_hold", asked_by.reason)
        return self.held

    async def release_hold(self, asked_by: AskedBy) -> Hold:
        self._ask("release_hold", asked_by.reason)
        return Hold(held=False)

    async def hold_history(self, *, limit: int = 100, after: int | None = None) -> tuple[list[HoldEntry], int | None]:
        self._ask("hold_history", (limit, after))
        return list(self.held_before[:limit]), self.held_before[limit - 1].id if limit < len(self.held_before) else None

    async def create_key(self, name: str, role: Role) -> NewApiKey:
        self._ask("create_key", (name, role))
        return NewApiKey(**A_KEY.model_dump() | {"name": name, "role": role}, key="sg_abcdefgh")

    async def keys(self) -> list[ApiKey]:
        self._ask("keys")
        return [A_KEY]

    async def revoke_key(self, key_id: int) -> ApiKey:
        self._ask("revoke_key", key_id)
        return A_KEY.model_copy(update={"id": key_id, "revoked_at": NOW})

    async def check_servers(self) -> None:
        self._ask("check_servers")
