"""Every form of the site, as somebody meets them who opens all links and sends every form once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import httpx

from client.web.app import ROUTERS
from client.web.pages import Page
from tests.web.site import Element, Shown, Site

#: Where there is no page of ours, or one that does not end.
_NO_PAGES = ("/docs", "/assets", "/openapi", "/unsubscribe")
_NO_HTML = (".csv", "/stream", "/body")


@dataclass(frozen=True)
class FormField:
    """What can be filled in: a name, of which kind, and what stands in it."""

    name: str
    kind: str  # text, area, hidden, checkbox, radio, select, file, password, button
    values: tuple[str, ...]

    @property
    def is_typed(self) -> bool:
        """Whether a person can put any text there; what a browser chooses from a few may be answered by a page."""
        return self.kind in ("text", "area", "password")


@dataclass
class FoundForm:
    """A form on a page, with one of its buttons pressed."""

    page: str
    route: str
    method: str
    action: str
    fields: dict[str, FormField] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)  # of the browser that it was made for

    @property
    def name(self) -> str:
        return f"{self.method} {self.route}"

    def filled(self, changes: dict[str, Sequence[str] | None]) -> list[tuple[str, str]]:
        """What a browser would send with these values instead of those that are there; None: without the field."""
        values: dict[str, Sequence[str] | None] = {name: each.values for name, each in self.fields.items()}
        values |= changes
        return [(name, value) for name, given in values.items() if given is not None for value in given]


def routes(method: str) -> dict[str, Page]:
    """Return every page that is declared for a method, by the pattern of its address."""
    return {
        route.path: route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, Page) and method in (route.methods or ())
    }


def route_of(method: str, address: str) -> str:
    path = urlsplit(address).path
    found = [route for route in routes(method).values() if route.path_regex.match(path)]
    assert found, f"nothing answers {method} {path}"
    return found[0].path


def forms_on(shown: Shown) -> Iterator[FoundForm]:
    """Yield the forms of a page; one whose buttons go to several addresses is several."""
    for form in shown.tree.all("form"):
        method = form.attributes.get("method", "get").upper()
        buttons = form.all("button")
        targets = {
            each.attributes.get("formaction") or form.attributes.get("action") or shown.address for each in buttons
        }
        for target in sorted(targets):
            action = urljoin(str(shown.response.url), target)
            found = FoundForm(shown.address, route_of(method, action), method, action)
            for each in _fields(form):
                before = found.fields.get(each.name)
                together = (*before.values, *each.values) if before else each.values
                found.fields[each.name] = FormField(each.name, each.kind, together)
            yield found


def _fields(form: Element) -> Iterator[FormField]:
    for element in form.walk():
        name, value = element.attributes.get("name"), element.attributes.get("value", "")
        if name is None or "disabled" in element.attributes:
            continue
        if element.name == "input":
            kind = element.attributes.get("type", "text")
            if kind in ("checkbox", "radio"):
                yield FormField(name, kind, (value,) if "checked" in element.attributes else ())
            else:
                typed = kind not in ("hidden", "file", "password")
                yield FormField(name, "text" if typed else kind, () if kind == "file" else (value,))
        elif element.name == "textarea":
            yield FormField(name, "area", ("".join(element.texts).removeprefix("\n"),))
        elif element.name == "select":
            options = element.all("option")
            chosen = [each for each in options if "selected" in each.attributes] or options[:1]
            yield FormField(name, "select", tuple(each.attributes.get("value", each.text) for each in chosen))
        elif element.name == "button":
            yield FormField(name, "button", (value,) if element is form.all("button")[0] else ())


async def crawl(site: Site, start: str = "/messages", *, far: bool = True) -> dict[str, FoundForm]:
    """Open every link from a page on, and return a form of each kind: by its address and what can be filled in."""
    waiting, seen = [start], {start}
    found: dict[str, FoundForm] = {}
    while waiting:
        shown = await site.get(waiting.pop())
        assert shown.status < 400, shown.text
        for form in forms_on(shown):
            form.cookies = dict(site.client.cookies)
            found.setdefault(f"{form.name} {sorted(form.fields)}", form)
        for link in shown.tree.all("a") if far else ():
            address = urljoin(str(shown.response.url), link.attributes.get("href", ""))
            path = httpx.URL(address).raw_path.decode()
            ours = address.startswith(str(shown.response.url.join("/"))) and not path.startswith(_NO_PAGES)
            if ours and path not in seen and not urlsplit(path).path.endswith(_NO_HTML):
                seen.add(path)
                waiting.append(path)
    return found
