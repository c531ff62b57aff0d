"""What tests of forms share: several values of one field, what cannot be used in any field, and what was kept."""

from __future__ import annotations

from dataclasses import replace

from tests.web.site import Element, Form, Shown

XSS = """"'></textarea><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7777777*7 }}"""
BREAKS = "one\nBcc: everybody@example.com\n\ntwo"
LONG = "x" * 3_000


def filled(form: Form, **fields: str | list[str]) -> Form:
    """The form with these fields instead of its own; a list has several values."""
    values = [(name, value) for name, value in form.values if name not in fields]
    for name, given in fields.items():
        values += [(name, each) for each in (given if isinstance(given, list) else [given])]
    return replace(form, values=values)


def wrong(shown: Shown) -> dict[str, str]:
    """What is said below which field."""
    return {
        element["id"].removesuffix("-error"): element.text
        for element in shown.tree.all("p", class_="wrong")
        if "id" in element.attributes
    }


def value_of(shown: Shown, name: str) -> str:
    """What a field, by its id, has in it."""
    (field,) = [each for each in shown.tree.walk() if each.attributes.get("id") == name]
    return field.attributes.get("value", "") if field.name == "input" else _text(field)


def _text(area: Element) -> str:
    return "".join(area.texts).removeprefix("\n")


def assert_no_markup_of_ours(shown: Shown) -> None:
    """Nothing that was typed has become an element. (`Site.shown` has looked for scripts already.)"""
    assert not shown.tree.all("img")
    assert "54444439" not in shown.text  # what the template in XSS would make of it; no time and no id has it by chance
