"""The audience's statement against real PostgreSQL, held to a plain reading of the same rules in Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.audience import Audience
from models.contact import address_key
from models.errors import InvalidInput
from models.recipient import REACHED, RecipientStatus
from models.schedule import CONTACT, Schedule
from models.slots import make_plan
from storage import contacts
from storage.audience import audience_sql, check_lists_exist, count_lacking, first, preview, size, zones
from storage.database import Connection, Pool

TEXTS = [
    *(
        "Oslo",
        "oslo",
        " Oslo ",
        "O_lo",
        "O%",
        "%",
        "_",
        "\\",
        "'; drop table contacts; --",
        "é",
        "É",
        "Ж",
        "жж",
        "a\nb",
    ),
    *("true", "TRUE", "True", " true", "false", "False", "yes", "null", "None"),
    *(
        "30",
        "30.0",
        " 30 ",
        "+30",
        "3e1",
        "-0",
        "0",
        ".5",
        "5.",
        "1e400",
        "-1e400",
        "1e9999",
        "1,5",
        "30 years",
        "30\n",
    ),
    *("nan", "NaN", "inf", "Infinity", "-Infinity", "0x1f", "1_000", "٣", "12345678901234567890", "0.1", "--1", "e1"),
    *("2026-05-17", " 2026-05-17", "2026-05-17T10:00", "2026-05-17 10:00:00.5+02:00", "2026-05-17T08:00:00Z"),
    *("2026-05-17T23:59:59-12:00", "2026-02-30", "2026-13-01", "0000-01-01", "0001-01-01", "9999-12-31T23:59:59"),
    *("2026-05-17T24:00", "2026-05-17T10:00:60", "today", "now", "infinity", "2026-05-17 BC", "17.05.2026", "20260517"),
    *("2026-05-17T10:00+15:59", "2026-05-17T10:00+16:00", "2026-05-17T10:00 Europe/Oslo", "2026-05-17\n"),
]
NUMBERS: list[int | float] = [30, 30.0, 0, -1, 0.5, 0.1, 31, 12345678901234567890, 1e300, -1e300, 1e-300]
DATES = ["2026-05-17", "2026-05-17T08:00:00Z", "2026-05-17T10:00:00+02:00", "0001-01-01", "9999-12-31"]

values = st.none() | st.sampled_from(TEXTS) | st.text(st.sampled_from("aAéÉ %_\\30.-:TZ+"), max_size=6)
scalars = st.sampled_from(TEXTS) | st.sampled_from(NUMBERS) | st.booleans()
comparable = st.sampled_from(NUMBERS) | st.sampled_from(DATES)
rules: st.SearchStrategy[Any] = st.one_of(
    scalars,
    st.none(),
    st.fixed_dictionaries({}, optional={"eq": scalars | st.none(), "ne": scalars | st.none()}).filter(bool),
    st.fixed_dictionaries({"in": st.lists(scalars, max_size=4)}),
    st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), comparable, min_size=1, max_size=2),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"contains": st.sampled_from(TEXTS) | st.text(st.sampled_from("aAéÉ%_\\"), max_size=2)}),
)


def number(value: str) -> Decimal | None:
    plain = value.strip(" ")
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", plain, re.ASCII):
        return None
    return Decimal(plain)


def instant(value: str) -> datetime | None:
    plain = value.strip(" ")
    shape = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-](0\d|1[0-5]):?\d\d)?)?"
    if not re.fullmatch(shape, plain, re.ASCII):
        return None
    try:
        read = datetime.fromisoformat(plain)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def equal(value: str | None, operand: Any) -> bool:
    if operand is None or value is None:
        return operand is value
    if isinstance(operand, bool):
        return value.lower() == str(operand).lower()
    if isinstance(operand, str):
        return value == operand
    return number(value) == Decimal(repr(operand))


def holds(value: str | None, operator: str, operand: Any) -> bool:
    match operator:
        case "eq":
            return equal(value, operand)
        case "ne":
            return not equal(value, operand)
        case "in":
            return any(equal(value, one) for one in operand)
        case "exists":
            return (value is not None) is operand
        case "contains":
            return value is not None and str(operand).lower() in value.lower()
    left: Any = None if value is None else instant(value) if isinstance(operand, str) else number(value)
    right: Any = instant(operand) if isinstance(operand, str) else Decimal(repr(operand))
    if left is None:
        return False
    return bool({"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[operator])


def meets(value: str | None, rule: Any) -> bool:
    return all(holds(value, *one) for one in (rule if isinstance(rule, dict) else {"eq": rule}).items())


async def ids(connection: Connection | Pool, audience: Audience) -> list[int]:
    statement, parameters = audience_sql(audience)
    found = [row["contact_id"] for row in await connection.fetch(statement, *parameters)]
    assert len(found) == len(set(found)), "each contact once"
    return sorted(found)


async def add(pool: Pool, address: str, *lists: str, time_zone: str | None = None, **attributes: str | None) -> int:
    async with pool.acquire() as connection:
        contact = await contacts.create_contact(connection, address, time_zone=time_zone, attributes=attributes)
        for name in lists:
            await contacts.create_list(connection, name)
            await contacts.add_to_list(connection, name, contact.id)
    return contact.id


async def reached(pool: Pool, message_id: str, address: str, status: RecipientStatus, contact_id: int = 0) -> None:
    await pool.execute(
        "insert into recipients (message_id, contact_id, address, address_key, status, due_at, position)"
        " values ($1, $2, $3, $4, $5::text::recipient_status, now(), 1)",
        message_id,
        contact_id,
        address,
        address_key(address),
        status.value,
    )


# conditions


async def fill(connection: Connection, table: Sequence[str | None]) -> None:
    """Put one contact for each value on the list `all`: contact i+1 has it as `field`."""
    await connection.execute(
        "with new as (insert into contacts (id, address, address_key, attributes) overriding system value"
        "  select i, i || '@example.com', i || '@example.com', jsonb_strip_nulls(jsonb_build_object('field', v))"
        "    from unnest($1::text[]) with ordinality as given (v, i) returning id),"
        " l as (insert into lists (name) values ('all') returning id)"
        "insert into list_members (list_id, contact_id) select l.id, new.id from l, new",
        list(table),
    )


async def assert_read_alike(connection: Connection, table: Sequence[str | None], rule: Any) -> None:
    expected = [number for number, value in enumerate(table, 1) if meets(value, rule)]
    assert await ids(connection, Audience(lists=("all",), where={"field": rule})) == expected, rule


EVERY_RULE: list[Any] = [
    *TEXTS, *NUMBERS, True, False, None,
    *({operator: operand} for operator in ("eq", "ne") for operand in [*TEXTS, *NUMBERS, True, False, None]),
    *({"contains": text} for text in [*TEXTS, ""]),
    *({operator: operand} for operator in ("gt", "gte", "lt", "lte") for operand in [*NUMBERS, *DATES]),
    *({"exists": operand} for operand in (True, False)),
    *({"in": operand} for operand in ([], ["Oslo"], ["Oslo", 30, True], [30, 0.5], [False], ["30"])),
]  # fmt: skip


async def test_every_operator_means_what_its_page_says(pool: Pool) -> None:
    table = [None, *TEXTS]
    async with pool.acquire() as connection:
        await fill(connection, table)
        for rule in EVERY_RULE:
            await assert_read_alike(connection, table, rule)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.lists(values, min_size=1, max_size=12), some_rules=st.lists(rules, min_size=1, max_size=6))
async def test_random_values_and_conditions_are_read_as_the_rules_say(
    pool: Pool, table: list[str | None], some_rules: list[Any]
) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await fill(connection, table)
            for rule in some_rules:
                await assert_read_alike(connection, table, rule)
        finally:
            await transaction.rollback()


async def test_the_zone_of_the_session_changes_no_date(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local timezone to 'Asia/Tokyo'; set local datestyle to 'SQL, DMY'")
        table = [None, *TEXTS]
        await fill(connection, table)
        for operand in DATES:
            for operator in ("gte", "lte"):
                await assert_read_alike(connection, table, {operator: operand})


async def test_all_conditions_of_all_attributes_must_hold(pool: Pool) -> None:
    await add(pool, "ann@example.com", "news", city="Oslo", age="29")
    bob = await add(pool, "bob@example.com", "news", city="Oslo", age="30")
    await add(pool, "cid@example.com", "news", city="Bergen", age="30")
    await add(pool, "dan@example.com", "news", city="Oslo", age="40")
    where = {"city": "Oslo", "age": {"gte": 30, "lt": 40}}
    assert await ids(pool, Audience(lists=("news",), where=where)) == [bob]


async def test_email_and_time_zone_are_the_contacts_own(pool: Pool) -> None:
    ann = await add(pool, "ann@example.com", "news", time_zone="Europe/Oslo")
    bob = await add(pool, "bob@example.org", "news")
    for where, expected in (
        ({"email": "ann@example.com"}, [ann]),
        ({"email": {"contains": "@EXAMPLE.org"}}, [bob]),
        ({"time_zone": "Europe/Oslo"}, [ann]),
        ({"time_zone": {"ne": "Europe/Oslo"}}, [bob]),
        ({"time_zone": {"exists": False}}, [bob]),
    ):
        assert await ids(pool, Audience.model_validate({"lists": ["news"], "where": where})) == expected


async def test_what_a_user_writes_is_never_part_of_the_statement(pool: Pool) -> None:
    nasty = "x'); drop table contacts; -- $1 \" \\"
    await add(pool, "ann@example.com", "news", city=nasty)
    audience = Audience(
        lists=("news", nasty),
        where={"city": {"eq": nasty, "contains": nasty, "in": [nasty]}, "täg": {"ne": nasty}},
        exclude_lists=(nasty,),
        exclude_recipients_of=(nasty,),
    )
    assert len(await ids(pool, audience)) == 1
    statement, parameters = audience_sql(audience)
    assert "drop" not in statement
    assert "täg" not in statement
    assert nasty in parameters


async def test_the_statement_stands_inside_another(pool: Pool) -> None:
    ann = await add(pool, "Ann@example.com", "news", city="Oslo", age="30")
    statement, parameters = audience_sql(
        Audience(lists=("news",), where={"city": "Oslo", "age": {"in": [30, "x", True]}}, exclude_lists=("no",)),
        first=2,
    )
    row = await pool.fetchrow(f"select $1::text as mine, a.* from ({statement}) as a", "mine", *parameters)
    assert row is not None
    assert dict(row) == {
        "mine": "mine",
        "contact_id": ann,
        "address": "Ann@example.com",
        "address_key": "ann@example.com",
        "time_zone": None,
        "attributes": {"age": "30", "city": "Oslo"},
        "suppressed": False,
    }


# lists and exclusions


async def test_an_audience_without_lists_is_nobody(pool: Pool) -> None:
    await add(pool, "ann@example.com", "news")
    assert await ids(pool, Audience()) == []
    assert await ids(pool, Audience(where={"city": None})) == []


async def test_lists_are_joined_and_excluded_lists_taken_out(pool: Pool) -> None:
    ann = await add(pool, "ann@example.com", "a", "b")
    bob = await add(pool, "bob@example.com", "b")
    await add(pool, "cid@example.com", "b", "staff")
    await add(pool, "dan@example.com", "staff")
    await add(pool, "eve@example.com")
    assert await ids(pool, Audience(lists=("a", "b"), exclude_lists=("staff",))) == [ann, bob]


async def test_suppressed_contacts_are_in_the_audience_and_marked(pool: Pool) -> None:
    await add(pool, "ann@example.com", "news")
    await add(pool, "bob@example.com", "news")
    async with pool.acquire() as connection:
        await contacts.suppress(connection, ["BOB@example.com"], reason="asked")
    statement, parameters = audience_sql(Audience(lists=("news",)))
    rows = await pool.fetch(statement, *parameters)
    assert {row["address"]: row["suppressed"] for row in rows} == {"ann@example.com": False, "bob@example.com": True}


async def test_those_whom_an_excluded_message_reached_or_may_have_reached_are_kept_out(pool: Pool) -> None:
    expected = []
    for status in RecipientStatus:
        address = f"{status.value}@example.com"
        contact_id = await add(pool, address, "news")
        await reached(pool, "old", address, status, contact_id)
        await reached(pool, "unrelated", address, RecipientStatus.SENT, contact_id)
        if status not in REACHED:
            expected.append(contact_id)
    assert len(expected) == 7
    assert await ids(pool, Audience(lists=("news",), exclude_recipients_of=("old", "other"))) == expected


async def test_an_exclusion_outlives_the_contact(pool: Pool) -> None:
    first = await add(pool, "ann@bücher.example", "news")
    await reached(pool, "old", "ann@bücher.example", RecipientStatus.SENT, first)
    async with pool.acquire() as connection:
        await contacts.delete_contact(connection, first)
    again = await add(pool, "ANN@xn--bcher-kva.example", "news")
    assert again != first
    assert await ids(pool, Audience(lists=("news",))) == [again]
    assert await ids(pool, Audience(lists=("news",), exclude_recipients_of=("old",))) == []


# what can be asked before a send


async def test_a_missing_list_is_named_with_one_that_comes_close(pool: Pool) -> None:
    async with pool.acquire() as connection:
        for name in ("Newsletter", "staff"):
            await contacts.create_list(connection, name)
        await check_lists_exist(connection, Audience(lists=("staff", "Newsletter"), exclude_lists=("staff",)))
        for audience, field, said in (
            (Audience(lists=("staff", "newsleter")), "audience.lists", "'newsleter'; did you mean 'Newsletter'?"),
            (Audience(lists=("zzz",)), "audience.lists", "There is no list 'zzz'."),
            (Audience(lists=("staff",), exclude_lists=("STAFF",)), "audience.exclude_lists", "did you mean 'staff'?"),
        ):
            with pytest.raises(InvalidInput) as refused:
                await check_lists_exist(connection, audience)
            assert said in refused.value.message
            assert refused.value.field == field


async def test_a_preview_counts_the_audience_the_suppressed_and_the_excluded(pool: Pool) -> None:
    for n in range(10):
        contact_id = await add(pool, f"user{n}@example.com", "news", *(["staff"] if n < 2 else []), odd=str(n % 2))
        if n in (1, 2, 3):
            await reached(pool, "old", f"user{n}@example.com", RecipientStatus.SENT, contact_id)
    async with pool.acquire() as connection:
        await contacts.suppress(connection, ["user9@example.com", "user0@example.com", "x@example.com"], reason="asked")
        everyone = await preview(connection, Audience(lists=("news",)), sample=3)
        assert (everyone.count, everyone.suppressed, everyone.excluded) == (10, 2, 0)
        assert [one.address for one in everyone.sample] == [
            "user0@example.com",
            "user1@example.com",
            "user2@example.com",
        ]
        assert everyone.sample[0].suppressed == "asked"
        assert everyone.sample[0].lists == ["news", "staff"]
        some = await preview(
            connection,
            Audience(lists=("news",), where={"odd": "1"}, exclude_lists=("staff",), exclude_recipients_of=("old",)),
        )
        assert (some.count, some.suppressed, some.excluded) == (3, 1, 2)  # 5, 7, 9; not 1 and 3
        assert [one.attributes for one in some.sample] == [{"odd": "1"}] * 3
        nobody = await preview(connection, Audience())
        assert (nobody.count, nobody.suppressed, nobody.excluded, nobody.sample) == (0, 0, 0, [])


async def test_the_size_alone_is_that_of_the_preview(pool: Pool) -> None:
    for n in range(10):
        contact_id = await add(pool, f"user{n}@example.com", "news", *(["staff"] if n < 3 else []), odd=str(n % 2))
        if n in (1, 5):
            await reached(pool, "old", f"user{n}@example.com", RecipientStatus.SENT, contact_id)
    await add(pool, "somebody@example.com", "staff")
    sizes = []
    async with pool.acquire() as connection:
        await contacts.suppress(connection, ["user9@example.com"], reason="asked")
        for audience in (
            Audience(),
            Audience(lists=("news",)),
            Audience(lists=("news", "news")),
            Audience(lists=("news", "staff", "nothing")),
            Audience(lists=("news",), where={"odd": "1"}),
            Audience(lists=("news", "staff"), exclude_lists=("staff",)),
            Audience(lists=("news",), exclude_recipients_of=("old",)),
        ):
            sizes.append(await size(connection, audience))
            assert sizes[-1] == (await preview(connection, audience, sample=0)).count
    assert sizes == [0, 10, 10, 11, 5, 7, 8]


async def test_the_first_are_found_by_id_suppressed_or_not(pool: Pool) -> None:
    for n in range(4):
        await add(pool, f"user{n}@example.com", "news", odd=str(n % 2))
    async with pool.acquire() as connection:
        await contacts.suppress(connection, ["user1@example.com"], reason="asked")
        (one,) = await first(connection, Audience(lists=("news",), where={"odd": "1"}))
        assert (one.address, one.suppressed, one.lists) == ("user1@example.com", "asked", ["news"])
        found = await first(connection, Audience(lists=("news",)), 3)
        assert [each.address for each in found] == [f"user{n}@example.com" for n in range(3)]
        assert await first(connection, Audience()) == []


async def test_the_zones_are_those_of_whom_a_send_would_mail(pool: Pool) -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    nine = datetime(2027, 6, 1, 9)  # noqa: DTZ001  # on each contact's own clocks
    by_zone = make_plan(Schedule(at=nine, time_zone=CONTACT), accepted_at=now)
    at_once = make_plan(Schedule(), accepted_at=now)
    for name, zone in (
        ("ann", "UTC"),
        ("bob", "Europe/Oslo"),
        ("cid", "Europe/Oslo"),
        ("dan", None),
        ("eve", "Asia/Tokyo"),
    ):
        await add(pool, f"{name}@example.com", "news", time_zone=zone)
    news = Audience(lists=("news",))
    async with pool.acquire() as connection:
        await contacts.suppress(connection, ["cid@example.com", "eve@example.com"], reason="asked")
        assert await zones(connection, news, by_zone) == {"UTC": 1, "Europe/Oslo": 1, None: 1}
        assert await zones(connection, news, at_once) == {None: 3}
        await contacts.suppress(connection, [f"{name}@example.com" for name in ("ann", "bob", "dan")], reason="asked")
        for plan in (by_zone, at_once):
            assert await zones(connection, news, plan) == {}
            assert await zones(connection, Audience(), plan) == {}


async def test_it_can_be_told_how_many_of_the_audience_lack_an_attribute(pool: Pool) -> None:
    await add(pool, "ann@example.com", "news", time_zone="UTC", city="Oslo", age="3")
    await add(pool, "bob@example.com", "news", city="Oslo")
    await add(pool, "cid@example.com", "news")
    await add(pool, "dan@example.com", "other")
    async with pool.acquire() as connection:
        lacking = await count_lacking(
            connection, Audience(lists=("news",)), ["city", "age", "email", "time_zone", "nothing", "city"]
        )
        assert lacking == {"city": 1, "age": 2, "email": 0, "time_zone": 2, "nothing": 3}
        assert await count_lacking(connection, Audience(lists=("news",)), []) == {}
        many = ["city", *(f"attribute{n}" for n in range(2_000))]  # more than one statement can have columns
        lacking = await count_lacking(connection, Audience(lists=("news",)), many)
        assert lacking == {"city": 1} | dict.fromkeys(many[1:], 3)
        assert await count_lacking(connection, Audience(), ["city"]) == {"city": 0}
