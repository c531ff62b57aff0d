"""The web UI as somebody without JavaScript uses it: pages are loaded, their links followed, their forms sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import httpx

from client.api.app import create_app
from client.api.idempotency import Answers
from client.keys import Keys
from client.web.app import make_web
from client.web.headers import CONTENT_SECURITY_POLICY
from models.api_keys import Role
from tests.harness import Harness

ADMIN_KEY = "the-administrators-key"
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Element:
    """An element, and the text below it."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __getitem__(self, attribute: str) -> str:
        return self.attributes[attribute]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def walk(self) -> Iterable[Element]:
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, name: str, /, **wanted: str) -> list[Element]:
        """Elements of a name with these attributes; `class_` is one of the classes."""
        return [
            element
            for element in self.walk()
            if element.name == name
            and all(
                value in element.attributes.get("class", "").split()
                if key == "class_"
                else element.attributes.get(key.replace("_", "-")) == value
                for key, value in wanted.items()
            )
        ]

    def one(self, name: str, /, **wanted: str) -> Element:
        found = self.all(name, **wanted)
        assert len(found) == 1, f"{len(found)} of <{name}> {wanted}"
        return found[0]


class _Reader(HTMLParser):
    """Reads what we write; an element that is not closed, or one that is closed wrongly, fails the test."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.texts.append(data)


def read(html: str) -> Element:
    """Return a page as a tree."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader._open) == 1, f"<{reader._open[-1].name}> is not closed"
    return reader.root


@dataclass
class Form:
    """A form with what is filled in, as a browser would send it."""

    action: str
    method: str
    values: list[tuple[str, str]]
    buttons: list[str]


@dataclass
class Shown:
    """A page as it came."""

    response: httpx.Response
    tree: Element

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def address(self) -> str:
        return self.response.url.raw_path.decode()

    @property
    def text(self) -> str:
        return self.tree.one("body").text

    @property
    def links(self) -> dict[str, str]:
        """The text of each link, and its address."""
        return {link.text: link["href"] for link in self.tree.all("a")}

    def form(self, button: str) -> Form:
        """The form with this button."""
        found = [form for form in map(self._form, self.tree.all("form")) if button in form.buttons]
        assert len(found) == 1, f"{len(found)} forms with {button!r}: {self.text}"
        return found[0]

    def _form(self, form: Element) -> Form:
        values = []
        for element in form.walk():
            name = element.attributes.get("name")
            if name is None or "disabled" in element.attributes:
                continue
            if element.name == "input" and (
                element.attributes.get("type") not in ("checkbox", "radio") or "checked" in element.attributes
            ):
                values.append((name, element.attributes.get("value", "")))
            elif element.name == "textarea":
                values.append((name, "".join(element.texts).removeprefix("\n")))
            elif element.name == "select":
                options = element.all("option")
                chosen = [option for option in options if "selected" in option.attributes] or options[:1]
                values += [(name, option.attributes.get("value", option.text)) for option in chosen]
        action = urljoin(str(self.response.url), form.attributes.get("action") or str(self.response.url))
        return Form(action, form.attributes.get("method", "get"), values, [b.text for b in form.all("button")])


class Site:
    """The real application with its pages, and one browser."""

    def __init__(self, harness: Harness, *, base_url: str = "http://sendgate.test", **settings: Any) -> None:
        self.harness = harness
        made = harness.settings(**settings)
        keys = Keys(harness.pool, ADMIN_KEY)
        self.web = make_web(harness.pool, keys, made, harness.use_cases)
        self.app = create_app(harness.use_cases, keys, Answers(harness.pool), made, web=self.web)
        self._base_url = base_url
        self._clients: list[httpx.AsyncClient] = []
        self.client = self._open_client()

    def _open_client(self) -> httpx.AsyncClient:
        self._clients.append(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(self.app),
                base_url=self._base_url,
                headers={"Accept": "text/html"},
                follow_redirects=True,
            )
        )
        return self._clients[-1]

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()

    # -- what somebody does

    async def get(self, path: str, **given: Any) -> Shown:
        return self.shown(await self.client.get(path, **given))

    async def send(self, form: Form, **changes: str | None) -> Shown:
        """Fill in some fields (None: leave one out), and send."""
        values = [(name, value) for name, value in form.values if name not in changes]
        values += [(name, value) for name, value in changes.items() if value is not None]
        if form.method == "get":
            return await self.get(form.action, params=values)
        data: dict[str, list[str]] = {}
        for name, value in values:
            data.setdefault(name, []).append(value.replace("\n", "\r\n"))
        return self.shown(await self.client.post(form.action, data=data))

    async def press(self, path: str, button: str, **changes: str | None) -> Shown:
        """Load a page and send its form with this button."""
        return await self.send((await self.get(path)).form(button), **changes)

    async def sign_in(self, key: str = ADMIN_KEY) -> Shown:
        """Sign in as a browser of its own, and leave whoever was signed in alone."""
        self.client = self._open_client()
        return await self.press("/sign-in", "Sign in", key=key)

    async def sign_in_as(self, role: Role) -> Shown:
        return await self.sign_in(await self.key(role))

    async def key(self, role: Role) -> str:
        """A new key of the role."""
        made = len(await self.harness.use_cases.keys())
        return (await self.harness.use_cases.create_key(f"the {role} {made}", role)).key

    @staticmethod
    def shown(response: httpx.Response) -> Shown:
        """Read a page. Every one has the policy, is well-formed, and needs no script, style or address of elsewhere."""
        for each in [*response.history, response]:
            assert each.headers["content-security-policy"] == CONTENT_SECURITY_POLICY, each.url
            assert each.headers["x-content-type-options"] == "nosniff"
            assert each.headers["referrer-policy"] == "same-origin"
            assert each.headers["cache-control"] == "no-store"
        assert response.headers["content-type"] == "text/html; charset=utf-8", response.text
        tree = read(response.text)
        for element in tree.walk():
            assert "style" not in element.attributes, f"<{element.name} style>"
            assert not [name for name in element.attributes if name.startswith("on")], element
            assert element.name not in ("style",)
            if element.name == "script":
                assert element.attributes.get("src", "").startswith("/assets/")
        ids = [element["id"] for element in tree.walk() if "id" in element.attributes]
        assert len(ids) == len(set(ids)), f"an id twice: {sorted(ids)}"
        return Shown(response, tree)
