"""Templates that are text with blanks: filled in, they are what the template engine makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.blanks import blanks_of
from activities.ports import RenderingFailed
from activities.templates import LARGEST, Contact, Template, environment
from models.recipient import ClaimedRecipient

NAMES = ("first_name", "city", "email", "time_zone", "items", "first name", "not_there")
FIELDS = ("subject", "text", "html")

plain = st.text("abc XYZ.019", max_size=100)
anything = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("<>&\"'=\r\n\t. "), max_size=200)
values = plain | anything
literals = anything.map(lambda text: text.replace("{", "").replace("\r", ""))
blanks = st.sampled_from(
    [f"{{{{ contact.{name} }}}}" for name in NAMES if " " not in name]
    + [f"{{{{contact['{name}']}}}}" for name in NAMES]
    + ["{{ unsubscribe_url }}", "{# nothing #}"]
)
sources = st.lists(literals | blanks, min_size=1, max_size=12).map("".join)
contacts = st.builds(
    lambda attributes, zone: ClaimedRecipient(7, "ola@example.com", 1, zone, attributes),
    st.dictionaries(st.sampled_from(("first_name", "city", "items", "first name")), values),
    st.none() | st.just("Europe/Oslo"),
)


@given(st.sampled_from(FIELDS), sources, contacts, st.just("") | st.just("https://example.com/u/a-b=_c"))
def test_blanks_filled_in_are_what_the_engine_makes(field: str, source: str, to: ClaimedRecipient, url: str) -> None:
    template, contact = Template(field, source), Contact(to)
    assert template._blanks is not None
    assert template._blanks.filled_in(contact.__dict__, url, most=LARGEST) == template._run(contact, url)


@pytest.mark.parametrize(
    "source",
    [
        "{{ contact }}",
        "{{ contact.a.b }}",
        "{{ contact.a | upper }}",
        "{{ contact.a or 'friend' }}",
        "{{ contact[0] }}",
        "{{ contact[unsubscribe_url] }}",
        "{{ contact.__class__ }}",
        "{{ contact['__class__'] }}",
        "{{ contact.a() }}",
        "{{ other.a }}",
        "{{ 'a constant' }}",
        "a{% if contact.a %}b{% endif %}",
        "{% set contact = unsubscribe_url %}{{ contact.a }}",
        "{% autoescape false %}{{ contact.a }}{% endautoescape %}",
    ],
)
@pytest.mark.parametrize("field", FIELDS)
def test_whatever_else_a_template_does_is_the_engines(field: str, source: str) -> None:
    sandbox = environment(field)
    assert blanks_of(sandbox.parse(source), constant=str, value=str) is None


def test_what_cannot_be_filled_in_is_told_as_the_engine_tells_it() -> None:
    to = ClaimedRecipient(7, "ola@example.com", 1, None, {"name": "\ud800", "long": "x" * (LARGEST // 2)})
    with pytest.raises(RenderingFailed, match=r"^text, line 2: text that is not Unicode$"):
        Template("text", "Hello\n{{ contact.name }}").render(Contact(to))
    with pytest.raises(RenderingFailed, match="more than 5 MiB of output"):
        Template("text", "{{ contact.long }}" * 3).render(Contact(to))


def test_a_contact_that_lacks_something_leaves_no_trace_of_the_one_before() -> None:
    template = Template("text", "{{ contact.city }}|{{ contact.city }}")
    first, second = (ClaimedRecipient(n, "ola@example.com", 1, None, a) for n, a in ((1, {"city": "Oslo"}), (2, {})))
    assert template.render(Contact(first)) == template._run(Contact(first), "")
    assert template.render(Contact(second)) == template._run(Contact(second), "")
    assert "Oslo" not in template.render(Contact(second))
