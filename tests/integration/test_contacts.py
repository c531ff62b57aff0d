"""Contacts, lists and suppressions in real PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from models.contact import UNSUBSCRIBED, ContactChanges, ListSummary
from models.errors import InvalidInput, NotFound
from storage import contacts
from storage.contacts import AlreadyContact
from storage.database import Connection, Pool

NOBODY = (0, -1, 999, 2**63, -(2**70))


async def add(connection: Connection, address: str, **attributes: str) -> int:
    return (await contacts.create_contact(connection, address, attributes=attributes)).id


async def test_a_contact_is_stored_as_given_and_found_by_any_spelling(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await contacts.create_contact(
            connection,
            " Ann@Bücher.example ",
            time_zone="Europe/Oslo",
            attributes={"city": "Oslo", "none": "", "no": None},
        )
        assert (made.address, made.time_zone, made.attributes) == (
            "Ann@Bücher.example",
            "Europe/Oslo",
            {"city": "Oslo"},
        )
        assert (made.lists, made.suppressed) == ([], None)
        assert await contacts.get_contact(connection, made.id) == made
        assert await contacts.find_contact(connection, "ANN@xn--bcher-kva.example") == made
        assert await contacts.find_contact(connection, "bob@example.com") is None


async def test_one_address_is_one_contact(pool: Pool) -> None:
    async with pool.acquire() as connection:
        ann = await add(connection, "ann@example.com")
        bob = await add(connection, "bob@example.com", city="Oslo")
        with pytest.raises(AlreadyContact, match=r"'ANN@example.com' is a contact already") as refused:
            await contacts.create_contact(connection, "ANN@example.com")
        assert refused.value.details == {"contact_id": ann}
        # Also within a transaction of the caller's, which stays usable.
        async with connection.transaction():
            with pytest.raises(AlreadyContact):
                await contacts.update_contact(connection, bob, ContactChanges(address="Ann@example.com"))
            unchanged = await contacts.get_contact(connection, bob)
        assert (unchanged.address, unchanged.attributes) == ("bob@example.com", {"city": "Oslo"})


async def test_a_change_touches_only_what_it_was_given(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await contacts.create_contact(
            connection, "ann@example.com", time_zone="UTC", attributes={"city": "Oslo", "age": "3", "team": "red"}
        )
        changes = ContactChanges(attributes={"city": "Bergen", "age": None, "team": "", "new": "x"})
        after = await contacts.update_contact(connection, made.id, changes)
        assert after == made.model_copy(update={"attributes": {"city": "Bergen", "new": "x"}})
        after = await contacts.update_contact(connection, made.id, ContactChanges(address="ANN@example.com"))
        assert (after.address, after.time_zone) == ("ANN@example.com", "UTC")
        after = await contacts.update_contact(connection, made.id, ContactChanges(time_zone=None))
        assert (after.address, after.time_zone, after.attributes["new"]) == ("ANN@example.com", None, "x")
        assert await contacts.update_contact(connection, made.id, ContactChanges()) == after
        await contacts.update_contact(connection, made.id, ContactChanges(address="new@example.com"))
        assert await contacts.find_contact(connection, "ann@example.com") is None


async def test_two_changes_at_once_both_count(pool: Pool) -> None:
    async with pool.acquire() as connection:
        ann = await add(connection, "ann@example.com")

    async def change(name: str) -> None:
        async with pool.acquire() as connection:
            await contacts.update_contact(connection, ann, ContactChanges(attributes={name: "x"}))

    await asyncio.gather(*(change(f"a{n}") for n in range(10)))
    async with pool.acquire() as connection:
        assert len((await contacts.get_contact(connection, ann)).attributes) == 10


async def test_bad_values_are_refused_with_a_sentence_and_change_nothing(pool: Pool) -> None:
    async with pool.acquire() as connection:
        ann = await add(connection, "ann@example.com", city="Oslo")
        before = await contacts.get_contact(connection, ann)
        for changes, said in (
            (ContactChanges(address="ann"), "has no @"),
            (ContactChanges(address=""), "The address is empty"),
            (ContactChanges(time_zone="Mars"), "not an IANA time zone"),
            (ContactChanges(attributes={"first name": "x"}), "name of an attribute"),
            (ContactChanges(attributes={"email": "x@example.com"}), "email is no attribute"),
            (ContactChanges(attributes={"time_zone": "UTC"}), "time_zone is no attribute"),
            (ContactChanges(attributes={"city": "a\x00b"}), "control character"),
            (ContactChanges(attributes={"city": "x" * 1001}), "1,001 characters"),
        ):
            with pytest.raises(InvalidInput, match=said):
                await contacts.update_contact(connection, ann, changes)
            with pytest.raises(InvalidInput, match=said):
                await contacts.create_contact(
                    connection,
                    changes.address if "address" in changes.model_fields_set else "new@example.com",
                    time_zone=changes.time_zone,
                    attributes=changes.attributes,
                )
        assert await contacts.list_contacts(connection) == [before]


async def test_what_is_not_there_is_not_found(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await contacts.create_list(connection, "news")
        for nobody in NOBODY:
            with pytest.raises(NotFound, match=f"no contact {nobody}"):
                await contacts.get_contact(connection, nobody)
            with pytest.raises(NotFound, match=f"no contact {nobody}"):
                await contacts.update_contact(connection, nobody, ContactChanges(address="x@example.com"))
            with pytest.raises(NotFound, match=f"no contact {nobody}"):
                await contacts.delete_contact(connection, nobody)
            with pytest.raises(NotFound, match=f"no contact {nobody}"):
                await contacts.add_to_list(connection, "news", nobody)
            with pytest.raises(NotFound, match=f"no suppression {nobody}"):
                await contacts.delete_suppression(connection, nobody)
        ann = await add(connection, "ann@example.com")
        for call in (
            contacts.get_list(connection, "none"),
            contacts.list_contacts(connection, list_name="none"),
            contacts.add_to_list(connection, "none", ann),
            contacts.remove_from_list(connection, "none", ann),
        ):
            with pytest.raises(NotFound, match="There is no list 'none'"):
                await call


async def test_pages_follow_one_another_without_a_gap(pool: Pool) -> None:
    async with pool.acquire() as connection:
        everyone = [await add(connection, f"user{n}@example.com") for n in range(10)]
        await contacts.create_list(connection, "odd")
        for contact_id in everyone[1::2]:
            await contacts.add_to_list(connection, "odd", contact_id)
        for list_name, expected in ((None, everyone), ("odd", everyone[1::2])):
            seen: list[int] = []
            while page := await contacts.list_contacts(
                connection, list_name=list_name, limit=3, after=seen[-1] if seen else 0
            ):
                assert len(page) <= 3
                seen += [one.id for one in page]
            assert seen == expected
        assert await contacts.list_contacts(connection, after=2**70) == []


async def test_lists_say_their_size_and_a_contact_its_lists(pool: Pool) -> None:
    async with pool.acquire() as connection:
        ann, bob = await add(connection, "ann@example.com"), await add(connection, "bob@example.com")
        for name in ("news", "empty", "a"):
            assert await contacts.create_list(connection, name) == ListSummary(name=name, contacts=0)
        for _ in range(2):  # repeating changes nothing
            await contacts.add_to_list(connection, "news", ann)
            await contacts.add_to_list(connection, "news", bob)
            await contacts.add_to_list(connection, "a", ann)
            await contacts.create_list(connection, "news")
        assert [(one.name, one.contacts) for one in await contacts.list_lists(connection)] == [
            ("a", 1),
            ("empty", 0),
            ("news", 2),
        ]
        assert (await contacts.get_contact(connection, ann)).lists == ["a", "news"]
        for _ in range(2):
            await contacts.remove_from_list(connection, "news", ann)
        assert (await contacts.get_list(connection, "news")).contacts == 1
        await contacts.delete_contact(connection, bob)
        assert (await contacts.get_list(connection, "news")).contacts == 0


async def test_suppressing_is_by_address_and_may_be_repeated(pool: Pool) -> None:
    async with pool.acquire() as connection:
        ann = await add(connection, "ann@example.com")
        assert await contacts.suppress(connection, ["ANN@example.com", "x@example.com"], reason=UNSUBSCRIBED) == 2
        assert await contacts.suppress(connection, ["ann@Example.com", "y@example.com"], reason="again") == 1
        assert (await contacts.get_contact(connection, ann)).suppressed == UNSUBSCRIBED
        found = await contacts.list_suppressions(connection)
        assert [(one.address, one.reason) for one in found] == [
            ("ANN@example.com", UNSUBSCRIBED),
            ("x@example.com", UNSUBSCRIBED),
            ("y@example.com", "again"),
        ]
        assert await contacts.list_suppressions(connection, limit=1, after=found[0].id) == found[1:2]
        assert await contacts.suppress(connection, ["z@example.com", "Z@EXAMPLE.com"], reason="") == 1
        assert await contacts.suppress(connection, [], reason="") == 0


async def test_a_suppression_outlives_the_contact_and_is_lifted_by_address_or_id(pool: Pool) -> None:
    async with pool.acquire() as connection:
        ann = await add(connection, "ann@example.com")
        await contacts.suppress(connection, ["ann@example.com", "bob@example.com"], reason="asked")
        await contacts.delete_contact(connection, ann)
        ann = await add(connection, "Ann@example.com")
        assert (await contacts.get_contact(connection, ann)).suppressed == "asked"
        assert await contacts.unsuppress(connection, ["ann@EXAMPLE.com", "nobody@example.com"]) == 1
        assert await contacts.unsuppress(connection, ["ann@EXAMPLE.com"]) == 0
        assert (await contacts.get_contact(connection, ann)).suppressed is None
        (left,) = await contacts.list_suppressions(connection)
        await contacts.delete_suppression(connection, left.id)
        assert await contacts.list_suppressions(connection) == []


async def test_suppressing_is_all_or_none(pool: Pool) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(InvalidInput, match="'bob' is not an email address"):
            await contacts.suppress(connection, ["ann@example.com", "bob"], reason="asked")
        for reason in ("x" * 501, "a\x00b", "\udc80"):
            with pytest.raises(InvalidInput, match="The reason"):
                await contacts.suppress(connection, ["ann@example.com"], reason=reason)
        assert await contacts.list_suppressions(connection) == []


async def test_the_same_addresses_suppressed_at_once_in_any_order_are_suppressed_once(pool: Pool) -> None:
    addresses = [f"user{n}@example.com" for n in range(500)]

    async def suppress(some: list[str]) -> int:
        async with pool.acquire() as connection:
            return await contacts.suppress(connection, some, reason="asked")

    counts = await asyncio.gather(*(suppress(addresses[:: 1 if n % 2 else -1]) for n in range(8)))
    assert sum(counts) == 500
