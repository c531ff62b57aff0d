"""Bad values for every field of every form that the site shows.

The site is crawled: each form is met where a person meets it. What does not fit is said at its field, all that was
typed is kept, and no table has changed; what is legal is taken. A form or a field that is added is tried here without
a change, or fails.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from client.local.postgres import PostgresCluster
from client.web import commands
from tests.acceptance.bad_input_world import World, one_of_everything, open_world
from tests.bad_values import BAD_FILES, TEXTS, assert_plain
from tests.findings import Findings, findings
from tests.harness import asked_by
from tests.kept_database import KeptDatabase
from tests.web.forms_found import FormField, FoundForm, crawl, forms_on, routes
from tests.web.good_forms import Filling, Values, good_forms, takes
from tests.web.site import Shown, Site, read

__all__ = ["findings"]

#: A refused command is in the history, with its receipt.
_RECORDS = {"commands", "receipts"}
#: What a form carries and nobody types; another value of it comes from no page of ours.
_NOT_SHOWN_AGAIN = {"csrf", "command_id", "do", "look", "key"}
RELEASE = "/hold/release"
_NAMES = re.compile("<datalist.*?</datalist>", re.DOTALL)
#: What is tried where nobody types: what a person or program makes of a page that they change.
_OF_ALL = {"empty", "a word", "NUL", "long"}


class Tried:
    """A site whose database is as it was before every form, and the forms that are on it."""

    def __init__(self, site: Site, world: World, kept: KeptDatabase, forms: dict[str, FoundForm]) -> None:
        self.site = site
        self.use = world.harness.use_cases
        self.kept = kept
        self.forms = forms
        self.good = good_forms(world)

    @asynccontextmanager
    async def shown(self, form: FoundForm) -> AsyncIterator[list[Filling]]:
        """Return how a form is filled in; the one that releases the hold is shown only while there is one."""
        if form.route != RELEASE:
            yield self.fillings(form)
            return
        await self.use.put_hold(asked_by("the wrong price"))
        await self.kept.keep()
        try:
            yield self.fillings(form)
        finally:
            await self.use.release_hold(asked_by("the right price"))
            await self.kept.keep()

    def fillings(self, form: FoundForm) -> list[Filling]:
        return self.good.get(form.name, [Filling({})])

    async def send(
        self, form: FoundForm, values: Values, *, further: bool = False, **changes: list[str] | None
    ) -> Shown:
        """Send a form as a browser would; `further`: and look at the page that it leads to."""
        fitting: dict[str, Sequence[str] | None] = {name: values[name] for name in values if name in form.fields}
        pairs = form.filled({**fitting, **changes})
        data: dict[str, list[str]] = {}
        for name, value in pairs:
            data.setdefault(name, []).append(value)
        if form.method == "GET":
            return await self.ask(form, "GET", form.action.partition("?")[0], params=pairs)
        files = {"file": ("people.csv", GOOD_FILE)} if "file" in form.fields else None
        return await self.ask(form, "POST", form.action, data=data, files=files, follow_redirects=further)

    async def ask(self, form: FoundForm, method: str, address: str, **given: Any) -> Shown:
        """Ask as the browser that the form was made for."""
        self.site.client.cookies = httpx.Cookies(form.cookies)
        response = await self.site.client.request(method, address, **given)
        # Reading the names of all time zones again and again takes most of the time.
        return Shown(response, read(_NAMES.sub("<datalist></datalist>", response.text)))

    async def unchanged(self, what: str) -> None:
        changed = await self.kept.changed()
        if changed:
            await self.kept.put_back()
        assert changed <= _RECORDS, (what, changed)


@pytest.fixture(scope="module")
async def tried(
    postgres: PostgresCluster, template_database: str, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tried]:
    async with open_world(postgres, template_database, temporal, tmp_path_factory) as world:
        await one_of_everything(world)
        site = Site(world.harness)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(commands, "WAIT", timedelta(0))
            forms = await crawl(site, "/sign-in", far=False)
            await site.sign_in()
            kept = KeptDatabase(world.harness.pool)
            await kept.keep()
            forms |= await crawl(site)
            await world.harness.use_cases.put_hold(asked_by("the wrong price"))
            forms |= await crawl(site, RELEASE, far=False)
            await kept.put_back()
            made = Tried(site, world, kept, forms)
            await _follow(made)
            yield made
        await site.aclose()


async def _follow(tried: Tried) -> None:
    """Send every form as it should be, and add the forms of the pages that are the answers."""
    for form in list(tried.forms.values()):
        for filling in tried.fillings(form):
            shown = await tried.send(form, filling.values, further=True)
            for found in forms_on(shown) if form.route not in ("/sign-in", "/sign-out") else ():
                found.cookies = form.cookies
                tried.forms.setdefault(f"{found.name} {sorted(found.fields)}", found)
            await tried.kept.put_back()


@pytest.fixture(autouse=True)
async def _as_it_was(tried: Tried, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    yield
    await tried.kept.put_back()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_every_form_that_is_answered_is_found_and_taken_when_nothing_is_wrong(
    tried: Tried, findings: Findings
) -> None:
    """Otherwise what is refused below would be refused for another reason."""
    assert {form.route for form in tried.forms.values() if form.method == "POST"} == set(routes("POST"))
    assert set(tried.good) <= {form.name for form in tried.forms.values()}
    for form in tried.forms.values():
        fields = set().union(*(filling.tried or form.fields for filling in tried.fillings(form)))
        assert set(form.fields) <= fields, (form.name, set(form.fields) - fields)
        async with tried.shown(form) as fillings:
            for filling in fillings:
                with findings.trying():
                    shown = await tried.send(form, filling.values, further=True)
                    assert shown.status < 400, (form.name, form.page, shown.text)
                    await tried.kept.put_back()


async def test_every_field_of_every_form(tried: Tried, findings: Findings) -> None:
    seen = set[tuple[str, str, str]]()
    for form in tried.forms.values():
        async with tried.shown(form) as fillings:
            for filling in fillings:
                for field in form.fields.values():
                    same = (form.name, field.name, field.kind)  # on several pages
                    if same in seen or not (filling.tried is None or field.name in filling.tried):
                        continue
                    seen.add(same)
                    for kind, given in _bad_values(field):
                        with findings.trying():
                            await _try(tried, form, filling, field, kind, given)
                    with findings.trying():
                        await tried.unchanged(f"{form.name} {field.name}")


def _bad_values(field: FormField) -> Iterator[tuple[str, list[str] | None]]:
    if field.kind == "file":
        return  # has tests of its own
    for kind, text in TEXTS.items():
        if (kind in _OF_ALL or field.is_typed) and (kind != "very long" or field.kind == "area"):
            yield kind, [text]
    yield "missing", None


async def _try(
    tried: Tried, form: FoundForm, filling: Filling, field: FormField, kind: str, given: list[str] | None
) -> None:
    what = f"{form.name} {field.name} ({field.kind}): {kind}"
    values = filling.values
    good = values.get(field.name, list(field.values))
    changed = None if given is None else given + good[1:]
    shown = await tried.send(form, values, further=False, **{field.name: changed})
    assert shown.status < 500, (what, shown.text[:300])
    if kind in takes(form, field):
        assert shown.status < 400, (what, shown.status, shown.text[:300])
        if form.method != "GET":
            await tried.kept.put_back()
        return
    assert shown.status >= 400, (what, shown.status, shown.text[:300])
    again = [each for each in forms_on(shown) if each.action == form.action and set(form.fields) & set(each.fields)]
    _said_somewhere(shown, what)
    if not again:
        assert not field.is_typed, (what, shown.status, shown.text[:300])
        return
    if field.is_typed:
        _said_at(shown, field, what)
    sent = form.filled({**{name: each for name, each in values.items() if name in form.fields}, field.name: changed})
    there = {pair for each in again for pair in each.filled({})}
    for name, value in sent:
        typed = form.fields[name].kind in ("text", "area")
        if name not in _NOT_SHOWN_AGAIN and (typed or name != field.name):
            assert (name, value.replace("\r\n", "\n")) in there, (what, "lost", name, value[:50], sorted(there)[:20])


def _said_somewhere(shown: Shown, what: str) -> None:
    """A sentence says what is wrong, also where nobody types: at its place, or announced."""
    places = [("class", "wrong"), ("class", "flash"), ("role", "alert")]
    said = [e for e in shown.tree.walk() if any(word in e.attributes.get(key, "").split() for key, word in places)]
    assert any(each.text for each in said), (what, shown.text[:400])


def _said_at(shown: Shown, field: FormField, what: str) -> None:
    """A sentence stands at the field, and the field points at it."""
    said = [each for each in shown.tree.all("p", class_="wrong") if "id" in each.attributes and each.text]
    assert said, (what, shown.text[:400])
    for each in said:
        assert_plain(each.text)
    pointing = [
        element
        for element in shown.tree.walk()
        if element.attributes.get("name") == field.name
        and element.attributes.get("aria-invalid") == "true"
        and set(element.attributes.get("aria-describedby", "").split()) & {each["id"] for each in said}
    ]
    assert pointing, (what, [each["id"] for each in said])


async def test_a_field_twice_a_field_too_many_or_a_body_that_is_no_form(tried: Tried, findings: Findings) -> None:
    for form in tried.forms.values():
        if form.method == "GET" or form.route == "/contacts/import":
            continue
        values = tried.fillings(form)[0].values
        with findings.trying():
            good = {name: values.get(name, list(field.values)) for name, field in form.fields.items()}
            shown = await tried.send(form, {name: [*each, *each] for name, each in good.items()})
            assert shown.status < 500, (form.name, shown.text)
            await tried.kept.put_back()
        with findings.trying():
            shown = await tried.send(form, values, unknown=["<script>alert(1)</script>"])
            assert shown.status < 400, (form.name, shown.status, shown.text)
            await tried.kept.put_back()
        for kind, content in NO_FORMS.items():
            with findings.trying():
                shown = await tried.ask(form, "POST", form.action, content=content, headers={"Content-Type": kind})
                assert shown.status in (400, 403), (form.name, kind, shown.status)
                assert_plain(shown.tree.one("main").all("p")[0].text)
        with findings.trying():
            await tried.unchanged(form.name)


NO_FORMS: dict[str, bytes] = {
    "application/x-www-form-urlencoded": b"csrf=%FF&name=%C3%28",
    "application/x-www-form-urlencoded; charset=latin-1": "name=é".encode("latin-1"),
    "application/json": b'{"name": "x"}',
    "text/plain": b"name=x",
}
GOOD_FILE = b"email,city\nada@example.org,Oslo\n"


@pytest.mark.parametrize("kind", BAD_FILES)
async def test_a_file_that_is_no_csv_of_contacts(tried: Tried, kind: str) -> None:
    (form,) = [form for form in tried.forms.values() if form.route == "/contacts/import"]
    data = {name: value for name, value in form.filled({"list": ["friends"]}) if name != "file"}
    shown = await tried.ask(form, "POST", form.action, data=data, files={"file": ("x.csv", BAD_FILES[kind])})
    if shown.status == 200:  # only lines are wrong, each is named, and none went in
        assert "0 created, 0 updated" in shown.text
        for row in shown.tree.all("tr")[1:]:
            assert_plain(row.all("td")[1].text)
    else:
        assert shown.status == 422
        assert_plain(shown.tree.one("p", id="file-error").text)
        assert shown.tree.one("input", id="file")["aria-describedby"] == "file-error"
    assert shown.tree.one("input", id="list")["value"] == "friends"
    assert await tried.kept.changed() <= {"lists"}


async def test_a_request_for_a_page_with_odd_parts_is_answered(tried: Tried, findings: Findings) -> None:
    """Ids and questions in the address, whatever somebody puts there."""
    signed_in = next(form.cookies for form in tried.forms.values() if form.route == "/messages")
    tried.site.client.cookies = httpx.Cookies(signed_in)
    odd = ["nonsense", "%00%FF", "%0A", "<script>", "x" * 5_000, "9" * 40, "%D9%A3"]
    for path, route in routes("GET").items():
        parts = list(route.param_convertors)
        questions = [each.alias for each in route.dependant.query_params]
        for value in odd:
            address = path
            for part in parts:
                address = address.replace("{" + part + "}", value)
            for asked in [""] + [f"?{name}={value}" for name in questions]:
                with findings.trying():
                    response = await tried.site.client.get(address + asked)
                    assert response.status_code < 500, (address, asked)
                    if response.status_code >= 400:
                        shown = tried.site.shown(response)
                        assert_plain(shown.tree.one("main").all("p")[0].text)
    with findings.trying():
        await tried.unchanged("pages")
