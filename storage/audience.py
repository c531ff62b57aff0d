"""The audience in SQL: the statement that yields its contacts, and what can be asked about it before a send.

The statement is composed of constants and placeholders; what a user wrote travels in the parameters alone.
"""

# ruff: noqa: S608 — see above; the tests put quotes and semicolons into every place that a user can fill.

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from models.audience import ORDERING, Audience, Condition, Operand, Operator, conditions, parse_instant
from models.contact import Contact, shown
from models.errors import InvalidInput
from models.recipient import REACHED
from models.slots import Plan
from storage.contacts import contact_of
from storage.database import Connection

_COMPARISON = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_NAMES_AT_ONCE = 100  # columns of one statement; PostgreSQL takes 1,664


@dataclass(frozen=True, slots=True)
class Preview:
    """Whom an audience is now."""

    count: int  # contacts in the audience, suppressed ones included
    suppressed: int  # of these, how many get nothing
    excluded: int  # contacts of the lists and conditions whom the exclusions keep out
    sample: list[Contact]  # the first few, by id


def audience_sql(audience: Audience, first: int = 1) -> tuple[str, list[object]]:
    """Return one SELECT of (contact_id, address, address_key, time_zone, attributes, suppressed), and its parameters.

    The parameters are numbered from `$first`, so that the statement can stand inside another. Each contact
    comes once, in no order. Raises InvalidInput as `models.audience.conditions` does.
    """
    values = _Parameters(first)
    tests = [f"c.id in ({_members(values, audience.lists)})", *_tests(values, audience)]
    statement = (
        "select c.id as contact_id, c.address, c.address_key, c.time_zone, c.attributes, s.id is not null as suppressed"
        " from contacts as c left join suppressions as s on s.address_key = c.address_key where " + " and ".join(tests)
    )
    return statement, values.values


def _tests(values: _Parameters, audience: Audience) -> list[str]:
    """Return what a contact `c` of the lists must meet to be in the audience."""
    tests = [_test(values, condition) for condition in conditions(audience)]
    if audience.exclude_lists:
        tests.append(
            f"not exists (select from ({_members(values, audience.exclude_lists)}) as x where x.contact_id = c.id)"
        )
    if audience.exclude_recipients_of:
        # By address: who was deleted and imported again has another id and the same mailbox.
        tests.append(
            "not exists (select from recipients as r where r.address_key = c.address_key"
            f" and r.message_id = any({values.add(list(audience.exclude_recipients_of))}::text[])"
            f" and r.status = any({values.add(sorted(REACHED))}::recipient_status[]))"
        )
    return tests


async def check_lists_exist(connection: Connection, audience: Audience) -> None:
    """Raise InvalidInput that names the first list of the audience that does not exist, and one that comes close."""
    for field, names in (("lists", audience.lists), ("exclude_lists", audience.exclude_lists)):
        known = {
            row["name"] for row in await connection.fetch("select name from lists where name = any($1)", list(names))
        }
        missing = next((name for name in names if name not in known), None)
        if missing is not None:
            raise InvalidInput(
                f"There is no list {shown(missing)}{await _hint(connection, missing)}", field=f"audience.{field}"
            )


async def size(connection: Connection, audience: Audience) -> int:
    """Return how many contacts are in the audience, suppressed ones included."""
    statement, values = _size_sql(audience)
    # `fetch` in all that counts: where one row alone is asked for, PostgreSQL does not work in parallel.
    (row,) = await connection.fetch(statement, *values)
    return int(row["count"])


async def size_and_suppressed(connection: Connection, audience: Audience) -> tuple[int, int]:
    """Return how many contacts are in the audience, and how many of these are suppressed and get nothing.

    The suppressed are looked up from their side, as they are few beside a large audience.
    """
    of_all, values = _size_sql(audience)
    kept, of_suppressed = audience_sql(audience, len(values) + 1)
    (row,) = await connection.fetch(
        f"select ({of_all}) as count, (select count(*) from ({kept}) as kept where suppressed) as suppressed",
        *values,
        *of_suppressed,
    )
    return row["count"], row["suppressed"]


async def preview(connection: Connection, audience: Audience, sample: int = 5) -> Preview:
    """Count the audience as it is now, and show its first contacts."""
    count, suppressed = await size_and_suppressed(connection, audience)
    excludes = audience.exclude_lists or audience.exclude_recipients_of
    without_exclusions = audience.model_copy(update={"exclude_lists": (), "exclude_recipients_of": ()})
    before_exclusions = await size(connection, without_exclusions) if excludes else count
    return Preview(
        count=count,
        suppressed=suppressed,
        excluded=max(0, before_exclusions - count),  # people may come and go between the two
        sample=await first(connection, audience, sample) if sample else [],
    )


async def first(connection: Connection, audience: Audience, most: int = 1) -> list[Contact]:
    """Return the first contacts of the audience, by id. Nobody is counted: it ends when so many are found.

    Each list is read in the order of its index, be it a list of everybody or of a few who came last.
    """
    values = _Parameters(1)
    tests = _tests(values, audience)
    fitting = " join contacts as c on c.id = m.contact_id and " + " and ".join(tests) if tests else ""
    lists, limit = values.add(list(audience.lists)), values.add(most)
    rows = await connection.fetch(
        "select c.*, s.reason as suppressed, array(select l.name from list_members as m"
        " join lists as l on l.id = m.list_id where m.contact_id = c.id order by l.name) as lists"
        " from (select distinct a.contact_id from lists as l cross join lateral (select m.contact_id"
        f" from list_members as m{fitting} where m.list_id = l.id order by m.contact_id limit {limit}) as a"
        f" where l.name = any({lists}::text[])"
        f" order by a.contact_id limit {limit}) as first"
        " join contacts as c on c.id = first.contact_id left join suppressions as s using (address_key) order by c.id",
        *values.values,
    )
    return [contact_of(row) for row in rows]


async def zones(connection: Connection, audience: Audience, plan: Plan) -> dict[str | None, int]:
    """Return how many contacts whom a send would mail have which time zone, as it is stored; None: none.

    By a plan that has no slots it does not matter who is in which, and takes long to ask: all stand under None then.
    """
    if not plan.slots:
        count, suppressed = await size_and_suppressed(connection, audience)
        return {None: count - suppressed} if count > suppressed else {}
    statement, values = audience_sql(audience)
    # Not `where not suppressed`: PostgreSQL takes that for next to nobody, and looks up a million members one by one.
    rows = await connection.fetch(
        "select time_zone, count(*) filter (where not suppressed) as contacts"
        f" from ({statement}) as a group by time_zone having not every(suppressed)",
        *values,
    )
    return {row["time_zone"]: row["contacts"] for row in rows}


async def count_lacking(connection: Connection, audience: Audience, names: Sequence[str]) -> dict[str, int]:
    """Return for each name how many of the audience have no such attribute (`email`: none lack it)."""
    lacking: dict[str, int] = {}
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        statement, values = audience_sql(audience)
        parameters = _Parameters(len(values) + 1)
        tests = [f"count(*) filter (where {_value(parameters, name)} is null)" for name in some]
        (row,) = await connection.fetch(
            f"select {', '.join(tests)} from ({statement}) as c",
            *values,
            *parameters.values,
        )
        lacking |= zip(some, row.values(), strict=True)
    return lacking


def _size_sql(audience: Audience) -> tuple[str, list[object]]:
    """Return the SELECT of how many contacts are in the audience, and its parameters from `$1` on."""
    if audience.where or audience.exclude_lists or audience.exclude_recipients_of:
        statement, values = audience_sql(audience)
        return f"select count(*) from ({statement}) as a", values
    # By the index of the lists alone: a member is a contact, and of one list nobody comes twice.
    whom = "*" if len(set(audience.lists)) == 1 else "distinct m.contact_id"
    return (
        f"select count({whom}) from list_members as m join lists as l on l.id = m.list_id where l.name = any($1)",
        [list(audience.lists)],
    )


class _Parameters:
    """The values of a statement under construction."""

    def __init__(self, first: int) -> None:
        self.values: list[object] = []
        self._first = first

    def add(self, value: object) -> str:
        self.values.append(value)
        return f"${self._first + len(self.values) - 1}"


def _members(values: _Parameters, lists: Sequence[str]) -> str:
    return (
        "select m.contact_id from list_members as m join lists as l on l.id = m.list_id"
        f" where l.name = any({values.add(list(lists))}::text[])"
    )


def _test(values: _Parameters, condition: Condition) -> str:
    """Return the condition as a test that is true for those who meet it."""
    operator, operand = condition.operator, condition.operand
    if operator is Operator.IN and not operand:
        return "false"
    value = _value(values, condition.attribute)
    if operator is Operator.EXISTS:
        return f"{value} is not null" if operand else f"{value} is null"
    if operator is Operator.CONTAINS:
        # Not LIKE: its wildcards would have to be escaped.
        return f"strpos(lower({value}), lower({values.add(operand)}::text)) > 0"
    if operator in ORDERING:
        return _ordered(values, value, _COMPARISON[operator], operand)
    if operator is Operator.IN:
        assert isinstance(operand, list)
        return "(" + " or ".join([_equal(values, value, one) for one in operand]) + ")"
    assert not isinstance(operand, list)
    equal = _equal(values, value, operand)
    # "is not true", so that a value that is absent or does not parse meets `ne`.
    return f"({equal}) is not true" if operator is Operator.NE else equal


def _value(values: _Parameters, attribute: str) -> str:
    match attribute:
        case "email":
            return "c.address"
        case "time_zone":
            return "c.time_zone"
        case _:
            return f"(c.attributes ->> {values.add(attribute)}::text)"


def _equal(values: _Parameters, value: str, operand: str | float | bool | None) -> str:
    if operand is None:
        return f"{value} is null"
    if isinstance(operand, bool):
        return f"lower({value}) = '{'true' if operand else 'false'}'"
    if isinstance(operand, str):
        return f"{value} = {values.add(operand)}::text"
    return f"number_or_null({value}) = {values.add(Decimal(repr(operand)))}::numeric"


def _ordered(values: _Parameters, value: str, comparison: str, operand: Operand) -> str:
    if isinstance(operand, str):
        instant = parse_instant(operand)
        assert instant is not None, "checked by models.audience.conditions"
        # As text: asyncpg takes the first and the last instant that Python knows for -infinity and infinity.
        return f"instant_or_null({value}) {comparison} {values.add(instant.isoformat())}::text::timestamptz"
    assert isinstance(operand, int | float)
    return f"number_or_null({value}) {comparison} {values.add(Decimal(repr(operand)))}::numeric"


async def _hint(connection: Connection, missing: str) -> str:
    """Return how the sentence ends: "; did you mean …?" when a name comes close, whatever its case."""
    names = {
        row["name"].casefold(): row["name"] for row in await connection.fetch("select name from lists limit 10000")
    }
    alike = difflib.get_close_matches(missing.casefold(), names, 1)
    return f"; did you mean {shown(names[alike[0]])}?" if alike else "."
