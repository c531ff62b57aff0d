"""Rendering: what the standard library reads back is exactly what was meant."""

from __future__ import annotations

import email
import email.policy
import re
from email.header import decode_header, make_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities import mime
from activities.ports import RenderingFailed
from activities.rendering import compile_message
from activities.templates import environment
from models.recipient import ClaimedRecipient
from tests.unit.emails import as_read, body, content, parsed, raw_headers, recipient, rendered

# ------------------------------------------------------------------------------------------------ templates and parts


def test_attributes_address_and_zone_are_rendered_and_escaped_in_html_alone() -> None:
    written = "{{ contact.first_name }}|{{ contact.email }}|{{ contact.time_zone }}|{{ contact['city'] }}"
    data = rendered(
        content(subject=written, text=written, html=written),
        ClaimedRecipient(7, "a@b.example", 1, "Europe/Oslo", {"first_name": "<Ola & Co>", "city": "Bø"}),
    )
    assert parsed(data)["Subject"] == "<Ola & Co>|a@b.example|Europe/Oslo|Bø"
    assert body(data, "plain") == "<Ola & Co>|a@b.example|Europe/Oslo|Bø\n"
    assert body(data, "html") == "&lt;Ola &amp; Co&gt;|a@b.example|Europe/Oslo|Bø\n"


def test_what_a_contact_lacks_renders_empty_however_it_is_asked() -> None:
    text = (
        "[{{ contact.a }}{{ contact.a.b.c }}{{ contact['a']['b'] }}{{ contact.a.title() }}{{ contact.a | upper }}"
        "{{ contact }}{{ contact.a | int }}{% if contact.a > 5 %}x{% endif %}{{ contact.a | default('friend') }}]"
    )
    assert body(rendered(content(text=text)), "plain") == "[0friend]\n"


def test_attributes_named_like_methods_are_attributes() -> None:
    text = "{{ contact.items }} {{ contact.keys }} {{ contact.email }}"
    to = recipient("a@b.example", items="3", keys="4", email="not this")
    assert body(rendered(content(text=text), to), "plain") == "3 4 a@b.example\n"


def test_both_forms_make_an_alternative_with_html_last_and_one_form_stands_alone() -> None:
    both = parsed(rendered(content(text="t", html="<p>h</p>")))
    assert both.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in both.iter_parts()] == ["text/plain", "text/html"]
    assert parsed(rendered(content(text="t"))).get_content_type() == "text/plain"
    assert parsed(rendered(content(text=None, html="h"))).get_content_type() == "text/html"


def test_message_id_is_the_same_at_every_rendering_and_another_for_every_recipient_and_message() -> None:
    def message_id(message: str, contact: int, **options: str) -> str:
        made = compile_message(message, content(), message_id_domain=options.get("domain"))
        return raw_headers(made.render(recipient(contact_id=contact)).content)["Message-ID"]

    assert message_id("m1", 1) == message_id("m1", 1)
    assert len({message_id("m1", 1), message_id("m1", 2), message_id("m2", 1), message_id("m", 11)}) == 4
    assert message_id("m1", 1).endswith("@shop.example>")
    assert message_id("m1", 1, domain="mail.example").endswith("@mail.example>")


def test_headers_stand_in_a_sensible_order_each_once() -> None:
    data = rendered(content(from_name="Shop", reply_to="help@shop.example", html="h"))
    assert list(raw_headers(data)) == [
        *("From", "Reply-To", "MIME-Version", "To", "Subject", "Date", "Message-ID", "Content-Type")
    ]
    message = parsed(data)
    assert message["Date"].datetime is not None
    assert (message["From"], message["Reply-To"]) == ("Shop <news@shop.example>", "help@shop.example")


def test_international_domains_are_written_in_ascii_and_international_local_parts_as_they_are() -> None:
    made = compile_message("m", content(from_address="news@bücher.example"))
    sent = made.render(recipient("grüße@bücher.example"))
    assert (sent.sender, sent.recipient) == ("news@xn--bcher-kva.example", "grüße@xn--bcher-kva.example")
    assert raw_headers(sent.content)["To"] == "grüße@xn--bcher-kva.example"
    assert made.render(recipient("ola@bücher.example")).content.isascii()


# ---------------------------------------------------------------------------------- read back by the standard library

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
lines = st.lists(
    st.one_of(
        st.sampled_from(["", ".", "..", ".x", "From me", "trailing ", "tab\t", "=", "=20", "-- ", "--=_x", "\x00\x0b"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
        st.integers(60, 400).map(lambda size: "x" * size),
        st.integers(20, 90).map(lambda size: "é" * size),
    ),
    max_size=8,
)
texts = st.builds(lambda parts, end: end.join(parts), lines, st.sampled_from(["\n", "\r\n", "\r", "\n\r"]))


@given(subject=words, name=words, text=texts, html=texts)
@example(subject="a  b " + "x" * 80, name="a  b", text=".\r\n..\n", html="")
@example(subject="=?utf-8?q?x?=", name='"quoted" \\ (comment), <a@b.example>', text="x", html="x")
@example(subject=" ".join(["word"] * 40), name="x" * 90, text="\r", html="\n\r\n")
def test_what_is_read_back_is_what_was_written(subject: str, name: str, text: str, html: str) -> None:
    to = recipient(subject=subject, text=text, html=html)
    message = content(
        from_name=name, subject="{{ contact.subject }}", text="{{ contact.text }}", html="<p>{{ contact.html | safe }}"
    )
    data = rendered(message, to)
    assert data.isascii()
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) <= 76
    headers = raw_headers(data)
    assert list(headers) == ["From", "MIME-Version", "To", "Subject", "Date", "Message-ID", "Content-Type"]
    assert str(make_header(decode_header(headers["Subject"]))) == mime.one_line(subject)
    assert email.message_from_bytes(data, policy=email.policy.default)["From"].addresses[0].addr_spec == (
        "news@shop.example"
    )
    assert body(data, "plain") == as_read(text)
    assert body(data, "html") == as_read("<p>" + html)
    assert not parsed(data).defects


@given(text=texts)
def test_constant_and_personal_parts_are_encoded_alike(text: str) -> None:
    constant = content(text=text.replace("{", ""), subject="x")
    personal = content(text="{{ contact.text }}", subject="x")
    to = recipient(text=text.replace("{", ""))
    assert (
        body(rendered(constant, to), "plain") == body(rendered(personal, to), "plain") == as_read(to.attributes["text"])
    )


@given(name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
@example(name='a "b" \\ c, d; <e>')
@example(name="two  spaces")
@example(name="Ærlig talt, en ganske lang avsender som må deles over flere linjer")
def test_display_names_are_read_back(name: str) -> None:
    value = raw_headers(rendered(content(from_name=name)))["From"]
    phrase = value.rpartition("<")[0].strip() if "<" in value else ""
    if phrase.startswith('"'):
        phrase = re.sub(r"\\(.)", r"\1", phrase[1:-1])
    elif "=?" in phrase:
        phrase = str(make_header(decode_header(phrase)))
    assert phrase == mime.one_line(name)


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r", "\r\n\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\x00\n"])
@pytest.mark.parametrize("padding", ["", "x" * 70, "é" * 40, "a b " * 30])
def test_contact_data_never_injects_a_header(line_break: str, padding: str) -> None:
    evil = f"{padding}{line_break}Bcc: evil@example.com{line_break}{line_break}<p>body"
    data = rendered(content(subject="Hi {{ contact.name }}", from_name=evil), recipient(name=evil))
    assert list(raw_headers(data)) == [
        *("From", "MIME-Version", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding")
    ]
    assert body(data, "plain") == "Hello\n"


@pytest.mark.parametrize(
    "address", ["a@b.example\r\nBcc: x@y.example", "a@b\n.example", "no-at", "@b.example", "a@", ""]
)
def test_an_address_that_cannot_be_written_fails_for_this_contact_without_quoting_it(address: str) -> None:
    with pytest.raises(RenderingFailed, match=r"^The email cannot be written: its address is not usable\.$"):
        rendered(content(), recipient(address))


def test_odd_local_parts_are_quoted_so_that_they_stay_one_address() -> None:
    sent = compile_message("m", content()).render(recipient("a,b@example.com"))
    assert sent.recipient == '"a,b"@example.com'
    assert [to.addr_spec for to in parsed(sent.content)["To"].addresses] == ['"a,b"@example.com']


# ------------------------------------------------------------------------------------- what is done once and what not


def test_for_a_recipient_the_values_alone_are_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    template = (
        "Dear {{ contact.first_name }},{% if contact.city %} in {{ contact.city }}{{ '!' }}{% endif %}" + "é" * 99
    )
    message = compile_message("m", content(text=template, html="constant"))
    encoded: list[str] = []

    def encode(piece: str) -> str:
        encoded.append(piece)
        return mime.encode_piece(piece)

    monkeypatch.setattr(environment("text"), "encoded_text", encode, raising=False)
    monkeypatch.setattr(mime, "encode_text", None)  # nobody's text is encoded as a whole
    data = message.render(recipient(first_name="Ola", city="Bø")).content
    assert encoded == ["Ola", "Bø"]
    assert body(data, "plain") == "Dear Ola, in Bø!" + "é" * 99 + "\n"


def test_a_template_decides_what_is_escaped_as_jinja_does() -> None:
    html = (
        "{% autoescape false %}{{ contact.x }}{{ '&' }}{% endautoescape %}{{ contact.x }}{{ '&' }}"
        "{% autoescape contact.none %}{{ contact.x }}<i>{% endautoescape %}"
        "{% autoescape contact.x %}{{ contact.x }}<i>{% endautoescape %}{{ contact.x | safe }}"
    )
    assert body(rendered(content(text=None, html=html), recipient(x="<a>")), "html") == (
        "<a>&&lt;a&gt;&amp;<a><i>&lt;a&gt;<i><a>\n"
    )


def test_one_compiled_message_renders_many_contacts_apart() -> None:
    text = "{% set n = contact.n %}{% if n %}{% set m = n %}{% endif %}{{ m }}{{ contact.only }}"
    message = compile_message("m", content(subject="{{ contact.n }}", text=text))
    people = [recipient(n="1", only="x"), recipient(n="2"), recipient(n="")]
    emails = [message.render(to).content for to in people]
    assert [parsed(data)["Subject"] for data in emails] == ["1", "2", ""]
    assert [body(data, "plain") for data in emails] == ["1x\n", "2\n", "\n"]
