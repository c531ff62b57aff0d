"""Bad values for every field, parameter and header of every call, as the OpenAPI document names them.

Each is refused in the one shape of errors with its field named, and no table has changed; what is legal comes back as
it was given. A field that is added to the API is tried here without a change, or fails until `good_calls` has it.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from temporalio.client import Client

from client.local.postgres import PostgresCluster
from tests.acceptance.bad_input_world import World, one_of_everything, open_world
from tests.api.api import Api
from tests.api.enumeration import BadBody, Operation, bad_bodies, operations, said_under
from tests.api.good_calls import good_calls, takes
from tests.bad_values import BAD_FILES, TEXTS, assert_plain
from tests.findings import Findings, findings
from tests.kept_database import KeptDatabase

__all__ = ["findings"]

#: A refused command is in the history, with its receipt.
_RECORDS = {"commands", "receipts"}
_HUGE = 10**30
_ENCODED = {name: quote(text, safe="") for name, text in TEXTS.items() if name != "very long"} | {
    "not UTF-8": "%FF%FE",
    "a surrogate in UTF-8": "%ED%A0%80",
}

#: What an address can have in place of a part so that it is another address.
_NO_PART = {"empty"}


class Tried:
    """An application whose database is as it was before every call, and the calls that were made."""

    def __init__(self, api: Api, world: World, kept: KeptDatabase) -> None:
        self.api = api
        self.kept = kept
        self.good = good_calls(world)
        self.document = api.app.openapi()
        self.operations = operations(self.document)

    def bad_bodies(self, operation: Operation) -> Iterator[BadBody]:
        return bad_bodies(operation, self.document, self.good[operation.name].bodies)

    async def call(
        self,
        operation: Operation,
        *,
        path: dict[str, str] | None = None,
        query: str | None = None,
        body: Any = ...,
        content: bytes | None = None,
        headers: dict[str, Any] | None = None,
    ) -> httpx.Response:
        """Make the good call with some of it replaced; `path` and `query` are given as they stand in an address."""
        good = self.good[operation.name]
        written = {name: quote(str(value), safe="") for name, value in good.path.items()} | (path or {})
        address = operation.path.format(**written)
        query = urlencode(good.query) if query is None else query
        sent = content if content is not None else good.content
        if sent is None and (body is not ... or good.bodies):
            sent = json.dumps(good.bodies[0] if body is ... else body).encode()
        kind = {"Content-Type": "text/csv" if good.content else "application/json"} if sent is not None else {}
        return await self.api(
            operation.method,
            address + (f"?{query}" if query else ""),
            content=sent,
            headers={**kind, **(headers or {})},
        )

    async def refused(self, response: httpx.Response, what: str, *, name: str | None) -> dict[str, Any]:
        """It is an error in the one shape, in a plain sentence, that names the field; nothing has changed."""
        assert 400 <= response.status_code < 500, (what, response.status_code, response.text[:500])
        problem: dict[str, Any] = response.json()
        assert set(problem) == {"code", "message", "details"}, what
        fields = problem["details"].get("fields") or {}
        for sentence in [problem["message"], *fields.values()]:
            try:
                assert_plain(sentence)
            except AssertionError as error:
                raise AssertionError(what, problem) from error
        if name is not None and response.status_code == 422:
            assert any(_same_place(name, each) for each in fields), (what, problem)
        return problem

    async def unchanged(self, what: str) -> None:
        changed = await self.kept.changed()
        if changed:
            await self.kept.put_back()
        assert changed <= _RECORDS, (what, changed)


def _same_place(given: str, named: str) -> bool:
    """Whether two names are of the same field, or of one within the other; everything is within the body."""
    return given == "body" or f"{given}.".startswith(f"{named}.") or f"{named}.".startswith(f"{given}.")


@pytest.fixture(scope="module")
async def tried(
    postgres: PostgresCluster, template_database: str, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tried]:
    async with open_world(postgres, template_database, temporal, tmp_path_factory) as world:
        await one_of_everything(world)
        kept = KeptDatabase(world.harness.pool)
        await kept.keep()
        api = Api(world.harness)
        yield Tried(api, world, kept)
        await api.aclose()


@pytest.fixture(autouse=True)
async def _as_it_was(tried: Tried, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    yield
    await tried.kept.put_back()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_every_operation_has_a_good_call_that_is_taken(tried: Tried) -> None:
    """Otherwise what is refused below would be refused for another reason."""
    assert {operation.name for operation in tried.operations} == set(tried.good)
    for operation in tried.operations:
        good = tried.good[operation.name]
        assert set(good.path) == {each["name"] for each in operation.parameters_in("path")}, operation.name
        assert set(good.query) == {each["name"] for each in operation.parameters_in("query")}, operation.name
        assert bool(good.bodies) == (operation.body is not None), operation.name
        for body in good.bodies or (...,):
            response = await tried.call(operation, body=body)
            assert response.is_success, (operation.name, body, response.text)
            await tried.kept.put_back()


async def test_every_field_of_every_body(tried: Tried, findings: Findings) -> None:
    for operation in tried.operations:
        for name, bodies in groupby(tried.bad_bodies(operation), key=lambda bad: bad.name):
            for bad in bodies:
                with findings.trying():
                    await _try(tried, operation, bad)
            with findings.trying():
                await tried.unchanged(f"{operation.name} {name}")


async def _try(tried: Tried, operation: Operation, bad: BadBody) -> None:
    what = f"{operation.name} {bad.name}: {bad.kind}"
    response = await tried.call(operation, body=bad.body)
    if bad.kind not in takes(operation.name, bad.name):
        await tried.refused(response, what, name=bad.name)
        return
    assert response.is_success, (what, response.text[:500])
    shown = said_under(response.json(), bad.path[-1])
    if shown and isinstance(bad.value, str):
        assert bad.value in shown or bad.value.strip() in shown or (not bad.value and None in shown), (what, shown)
    await tried.kept.put_back()


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("no JSON", b"nonsense", 400),
        ("cut off", b'{"reason": "x', 400),
        ("not UTF-8", b'{"reason": "\xff"}', 400),
        ("UTF-16", '{"reason": "x"}'.encode("utf-16"), 400),
        ("two documents", b"{} {}", 400),
        ("nested deeply", b"[" * 100_000, 400),
        ("nested deeply, and closed", b'{"reason":' * 50_000 + b"1" + b"}" * 50_000, 400),
        ("a key twice", b'{"reason": "one", "reason": "two"}', 400),
        ("a key twice, deep within", b'{"audience": {"where": {"a": 1, "a": 2}}}', 400),
        ("NaN", b'{"reason": NaN}', 400),
        ("Infinity", b'{"reason": [-Infinity]}', 400),
        ("a number of 5,000 digits", b'{"reason": ' + b"9" * 5_000 + b"}", 400),
        ("a control character", b'{"reason": "a\nb"}', 400),
        ("too large", b'{"reason": "' + b"x" * 17_000_000 + b'"}', 413),
    ],
)
async def test_a_body_that_is_no_json_for_any_call(tried: Tried, kind: str, content: bytes, status: int) -> None:
    for operation in tried.operations:
        if operation.body is not None:
            response = await tried.call(operation, content=content)
            assert response.status_code == status, (operation.name, kind, response.text[:300])
            problem = await tried.refused(response, f"{operation.name}: {kind}", name=None)
            assert "body" in problem["message"]
    await tried.unchanged(kind)


async def test_a_body_of_another_type_or_none_at_all(tried: Tried, findings: Findings) -> None:
    for operation in tried.operations:
        if operation.body is None:
            continue
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "\xff"):
            with findings.trying():
                response = await tried.call(operation, headers={"Content-Type": kind.encode("latin-1")})
                assert response.status_code == 400, (operation.name, kind, response.text)
                problem = await tried.refused(response, f"{operation.name}: {kind}", name=None)
                assert "Content-Type: application/json" in problem["message"]
        if operation.body_required:
            response = await tried.call(operation, content=b"")
            await tried.refused(response, f"{operation.name}: no body", name="body")
            assert response.status_code == 422
    await tried.unchanged("types")


async def test_every_parameter_of_every_address(tried: Tried, findings: Findings) -> None:
    """What names nothing is not found; what can be no id or name at all may also be a wrong value."""
    for operation in tried.operations:
        for parameter in operation.parameters_in("path"):
            name, is_number = parameter["name"], parameter["schema"]["type"] == "integer"
            kinds = _ENCODED | {"dots": "..%2F..", "unknown": "987654"}
            if is_number:
                kinds |= {"-1": "-1", "zero": "0", "huge": str(_HUGE), "fraction": "1.5", "digits": "%D9%A3"}
            for kind, written in kinds.items():
                with findings.trying():
                    what = f"{operation.name} {name}: {kind}"
                    response = await tried.call(operation, path={name: written})
                    if kind == "empty" and response.is_success:
                        assert operation.method == "GET", what  # the address is that of the list of all
                    elif response.is_success:
                        assert kind in takes(operation.name, name) or kind not in TEXTS, (what, response.text)
                        assert operation.name in ("create_list", "remove_from_list"), (what, response.text)
                        if operation.name == "create_list" and kind in TEXTS:
                            assert response.json()["name"] == TEXTS[kind]
                        await tried.kept.put_back()
                    else:
                        # 405: without its last part the address is that of another call.
                        assert response.status_code in {404, 422} | ({405} if kind in _NO_PART else set()), what
                        await tried.refused(response, what, name="list" if name == "name" else name)
            with findings.trying():
                await tried.unchanged(f"{operation.name} {name}")


async def test_every_parameter_of_every_query(tried: Tried, findings: Findings) -> None:
    for operation in tried.operations:
        good = tried.good[operation.name].query
        for parameter in operation.parameters_in("query"):
            name, schema = parameter["name"], parameter["schema"]
            types = {schema.get("type")} | {each.get("type") for each in schema.get("anyOf", ())}
            kinds = dict(_ENCODED)
            if types & {"integer", "number"}:
                kinds |= {"-1": "-1", "huge": str(_HUGE), "nan": "nan", "infinity": "1e999", "fraction": "1.5.5"}
            others = urlencode({key: value for key, value in good.items() if key != name})
            for kind, written in kinds.items():
                with findings.trying():
                    what = f"{operation.name}?{name}: {kind}"
                    response = await tried.call(operation, query=f"{others}&{name}={written}")
                    is_free = "string" in types and not (schema.get("format") or parameter_format(schema))
                    if is_free and (kind in takes(operation.name, name) or (response.is_success and kind not in TEXTS)):
                        assert response.is_success, (what, response.text[:500])
                        if operation.method != "GET":
                            await tried.kept.put_back()
                    else:
                        await tried.refused(response, what, name=name)
                        assert response.status_code in (404, 422), (what, response.text)
            with findings.trying():
                await tried.unchanged(f"{operation.name}?{name}")


def parameter_format(schema: dict[str, Any]) -> str | None:
    return next((each["format"] for each in schema.get("anyOf", ()) if "format" in each), None)


async def test_every_header(tried: Tried, findings: Findings) -> None:
    headers = {
        "Idempotency-Key": ["", " ", "two words", "x" * 256, "x" * 10_240, "é", "a\x7fb"],
        "Sendgate-Source": ["", "nonsense", "<script>alert(1)</script>", "x" * 10_240, "\xff", "API"],
    }
    seen = set()
    for operation in tried.operations:
        for parameter in operation.parameters_in("header"):
            seen.add(parameter["name"])
            for value in headers[parameter["name"]]:
                with findings.trying():
                    what = f"{operation.name} {parameter['name']}: {value[:20]!r}"
                    given = {parameter["name"]: value.encode("latin-1")}
                    response = await tried.call(operation, headers=given)
                    assert response.status_code == 422, (what, response.text)
                    await tried.refused(response, what, name=parameter["name"])
        await tried.unchanged(operation.name)
    assert seen == set(headers)


async def test_any_accept_header_is_answered_as_none(tried: Tried, findings: Findings) -> None:
    for operation in tried.operations:
        if operation.method == "GET":
            for value in ("nonsense", "<script>", "x" * 10_240, "image/png", "text/html", "\xff"):
                with findings.trying():
                    response = await tried.call(operation, headers={"Accept": value.encode("latin-1")})
                    assert response.is_success, (operation.name, value[:20], response.text)


FILES = BAD_FILES | {"JSON": b'{"email": "ada@example.org"}'}


@pytest.mark.parametrize("kind", FILES)
async def test_a_file_that_is_no_csv_of_contacts(tried: Tried, kind: str) -> None:
    """As a whole it is refused; where only lines are wrong, each is named. Nobody is imported either way."""
    (operation,) = [each for each in tried.operations if each.name == "import_contacts"]
    response = await tried.call(operation, query="", content=FILES[kind])
    if response.status_code == 200:
        answer = response.json()
        assert (answer["created"], answer["updated"]) == (0, 0), answer
        for line in answer["rejected"]:
            assert_plain(line["reason"])
        assert answer["rejected"] or kind == "only a header"
    else:
        await tried.refused(response, kind, name=None)
    await tried.unchanged(kind)


async def test_a_field_that_is_added_is_met_or_told(tried: Tried) -> None:
    met = {bad.name for operation in tried.operations for bad in tried.bad_bodies(operation)}
    assert len(met) > 50
    assert {"audience.exclude_recipients_of.0", "throttle.ends_at", "throttle.max_batches", "contact_ids.0"} <= met
    document = copy.deepcopy(tried.document)
    document["components"]["schemas"]["CopyRequest"]["properties"]["colour"] = {"type": "string"}
    (copying,) = [each for each in operations(document) if each.name == "copy"]
    with pytest.raises(AssertionError, match=r"no good call of copy has .*colour"):
        list(bad_bodies(copying, document, tried.good["copy"].bodies))
