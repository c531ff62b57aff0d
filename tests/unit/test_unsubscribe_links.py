"""Links to unsubscribe: each email has that of its recipient, and one that would be dead is named before the send."""

from __future__ import annotations

import pytest

from activities.rendering import check_links, compile_message
from models.errors import InvalidInput
from tests.unit.emails import body, content, raw_headers, recipient, rendered


def test_an_email_has_the_link_of_its_recipient_in_headers_and_texts() -> None:
    message = content(
        text="Enough? {{ unsubscribe_url }}", html='<a href="{{ unsubscribe_url }}">Enough?</a>', subject="Hello"
    )
    compiled = compile_message(
        "m1", message, unsubscribe_link=lambda contact: f"https://x.example/unsubscribe/{contact}"
    )
    for contact_id in (7, 8):
        data = compiled.render(recipient(contact_id=contact_id)).content
        url = f"https://x.example/unsubscribe/{contact_id}"
        headers = raw_headers(data)
        assert headers["List-Unsubscribe"] == f"<{url}>"  # RFC 8058 section 3.1
        assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert body(data, "plain") == f"Enough? {url}\n"
        assert f'href="{url}"' in body(data, "html")


def test_without_links_there_is_no_header_and_the_name_renders_empty() -> None:
    data = rendered(content(text="[{{ unsubscribe_url }}]"))
    assert not [name for name in raw_headers(data) if name.startswith("List-")]
    assert body(data, "plain") == "[]\n"


MISSING = ["SENDGATE_PUBLIC_URL", "SENDGATE_SECRET_KEY"]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("{{ unsubscribe_url }}", 1),
        ("Hello,\n\n{{ unsubscribe_url | upper }}", 3),
        ("{% if contact.city %}\n{{ unsubscribe_url }}{% endif %}", 2),
        ("{% set link = unsubscribe_url %}{{ link }}", 1),
        ("{% if unsubscribe_url %}{{ unsubscribe_url }}{% endif %}\n{{ unsubscribe_url }}", 2),
    ],
)
def test_a_link_that_would_be_dead_is_named_with_what_is_to_be_set(source: str, line: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_links(content(text=source), MISSING)
    assert caught.value.message == (
        f"text, line {line}: unsubscribe_url would be empty, a dead link; set SENDGATE_PUBLIC_URL and"
        " SENDGATE_SECRET_KEY, or take the name out."
    )
    check_links(content(text=source), [])


@pytest.mark.parametrize(
    "source",
    [
        "unsubscribe_url",
        "{% if unsubscribe_url %}{{ unsubscribe_url }}{% else %}Write to us.{% endif %}",
        "{{ unsubscribe_url if unsubscribe_url else contact.email }}",
        "{{ contact.unsubscribe_url }}",
    ],
)
def test_a_text_that_does_without_a_link_needs_none(source: str) -> None:
    check_links(content(text=source), MISSING)


def test_dead_links_of_subject_html_and_text_are_all_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_links(content(subject="{{ unsubscribe_url }}", html="{{ unsubscribe_url }}", text="x"), MISSING)
    assert set(caught.value.details["fields"]) == {"subject", "html"}
