"""Rendering: what the standard library reads back is exactly what was meant, and no template can do harm."""

from __future__ import annotations

import email
import email.policy
import re
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities import mime
from activities.ports import RenderingFailed
from activities.rendering import attributes_named, check_links, check_templates, compile_message
from activities.templates import LARGEST, environment
from models.contact import LONGEST_ADDRESS
from models.errors import InvalidInput
from models.message import MessageContent
from models.recipient import ClaimedRecipient


def content(**fields: str | None) -> MessageContent:
    written = {"name": "News", "from_address": "news@shop.example", "subject": "Hello", "text": "Hello", **fields}
    return MessageContent.model_validate(written)


def recipient(address: str = "ola@example.com", contact_id: int = 7, **attributes: str) -> ClaimedRecipient:
    return ClaimedRecipient(contact_id, address, 1, None, attributes)


def rendered(message: MessageContent, to: ClaimedRecipient | None = None) -> bytes:
    return compile_message("m1", message).render(to or recipient()).content


def parsed(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)


def body(data: bytes, kind: str) -> str:
    part = parsed(data).get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).replace("\r\n", "\n")


def as_read(text: str) -> str:
    """What a reader sees of a text: line breaks of one kind, one of them at the end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def raw_headers(data: bytes) -> dict[str, str]:
    """Header names and unfolded values, by hand: the standard library drops what it does not like."""
    head = data.split(b"\r\n\r\n", 1)[0].decode()
    return dict(line.split(": ", 1) for line in re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n"))


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
        *("From", "Reply-To", "MIME-Version", "To", "Subject", "Date", "Message-ID", "Content-Type"),
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
        from_name=name,
        subject="{{ contact.subject }}",
        text="{{ contact.text }}",
        html="<p>{{ contact.html | safe }}",
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
        *("From", "MIME-Version", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding"),
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


# ------------------------------------------------------------------------------------------------ templates that harm

DOUBLING = "{% set x = 'xxxxxxxxxx' %}" + "{% set x = x OP x %}" * 30 + "{{ x | length }}"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for i in range(99999999) %}{% endfor %}", "steps in loops"),
        ("{% for i in range(999) %}{% for j in range(999) %}{% endfor %}{% endfor %}", "steps in loops"),
        ("{% for a in contact.long %}{% for b in contact.long %}{% endfor %}{% endfor %}", "steps in loops"),
        ("{% for i in range(4000) %}" + "x" * 2000 + "{% endfor %}", "5 MiB of output"),
        ("{{ 'x' * 999999999 }}", "between numbers only"),
        ("{{ [1] * 999999999 }}", "between numbers only"),
        ("{{ 9 ** 9 ** 9 ** 9 }}", "between numbers only"),
        ("{{ '%999999999d' % 1 }}", "between numbers only"),
        ("{% set x = 99 %}" + "{% set x = x * x %}" * 40 + "{{ x }}", "a number is too large"),
        (DOUBLING.replace("OP", "+"), "5 MiB of output"),
        (DOUBLING.replace("OP", "~"), "5 MiB of output"),
        ("{{ contact.long | replace('', contact.long) | replace('', contact.long) }}", "5 MiB of output"),
        ("{{ range(9000) | join(contact.long) }}", "5 MiB of output"),
        ("{{ contact.__class__ }}", "'__class__' is not available"),
        ("{{ contact.long.center }}", "'center' is not available"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ contact.long + 1 }}", "TypeError"),
        ("{{ contact.long.split(1) }}", "TypeError"),
    ],
)
def test_a_template_that_would_stop_a_worker_fails_for_the_contact(template: str, why: str) -> None:
    message = compile_message("m", content(text="\n\n" + template))
    with pytest.raises(RenderingFailed, match=re.escape(why)) as failed:
        message.render(recipient(long="secret" * 170))
    assert str(failed.value).startswith(("text, line 3: ", "text: more than"))  # all pieces together have no line
    assert "secret" not in str(failed.value)


def test_loops_and_filters_that_newsletters_use_work() -> None:
    text = (
        "{% for word in contact.words.split(',') if word %}{{ loop.index }}:{{ word | title }}"
        "{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}"
        "{% set n = contact.age | int %}{{ n + 1 }} {{ n * 2 }} {{ (n / 4) | round(1) }} {{ ['a', 'b'] | join('-') }} "
        "{{ contact.words | replace(',', ';') }} {{ 'x' ~ n ~ contact.none }}"
    )
    assert body(rendered(content(text=text), recipient(words="a,b,,c", age="41")), "plain") == (
        "1:A, 2:B, 3:C42 82 10.2 a-b a;b;;c x41\n"
    )


def test_html_stays_escaped_through_every_way_of_putting_values_together() -> None:
    html = (
        "{{ contact.x ~ '!' }}{{ contact.x + '!' }}{{ [contact.x, 1] | join(' ') }}{{ contact.x | replace('a', 'b') }}"
    )
    assert "<" not in body(rendered(content(text=None, html=html), recipient(x="<a>")), "html")


def test_an_email_over_5_mib_fails() -> None:
    two_thirds = "{% for i in range(700) %}" + "x" * 5000 + "{% endfor %}"
    assert len(rendered(content(text=two_thirds))) > LARGEST * 2 / 3
    message = compile_message("m", content(text=two_thirds, html=two_thirds))
    with pytest.raises(RenderingFailed, match="larger than 5 MiB"):
        message.render(recipient())


def test_a_part_is_bounded_by_its_size_in_the_email() -> None:
    message = compile_message("m", content(text="{% for i in range(1000) %}" + "é" * 2000 + "{% endfor %}"))
    with pytest.raises(RenderingFailed, match="more than 5 MiB of output"):
        message.render(recipient())


def test_an_address_too_long_for_an_email_fails() -> None:
    domain = ".".join(["x" * 60] * 4)
    longest = f"{'x' * (LONGEST_ADDRESS - len(domain) - 1)}@{domain}"
    assert compile_message("m", content()).render(recipient(longest)).recipient == longest
    with pytest.raises(RenderingFailed, match="its address is not usable"):
        rendered(content(), recipient(f"x{longest}"))


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


# ------------------------------------------------------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("template", "line", "column", "what"),
    [
        ("<p>\n{{ contact.first_name }\n}}", 2, 23, "unexpected '}'"),
        ("{{ contact.a | nope }}", 1, 16, "No filter named 'nope'"),
        ("{{ contact.a is strange }}", 1, 17, "No test named 'strange'"),
        ("a\r\nb\rc\n {{ }}", 4, 5, "Expected an expression, got 'end of print statement'"),
        ("{% if contact.a %}\nx", 2, 2, "Unexpected end of template"),
        ("x {% endif %}", 1, 6, "Encountered unknown tag 'endif'"),
        ("\n\n  {# never closed", 3, 3, "Missing end of comment tag"),
        ("{{ (contact.a] }}", 1, 14, "unexpected ']', expected ')'"),
        ("{{ contact.a $ }}", 1, 14, "unexpected char '$'"),
        ("{{ contact.a b }}", 1, 14, "expected token 'end of print statement', got 'b'"),
        ("{{ 'never closed }}", 1, 4, 'unexpected char "\'"'),
        ("x {{ ² }}", 1, 6, "Invalid character in identifier"),
        ("{{ '\\x' }}", 1, 4, "truncated"),
        ("{% set none = 1 %}", 1, 8, "can't assign to 'const'"),
        ("Dear {{ first_name }}", 1, 9, "unknown name 'first_name'; attributes are written contact.first_name"),
        ("{% for x in contact.a %}{{ x }}\n{{ y.x }}{% endfor %}", 2, 4, "unknown name 'y'"),
        ("{{ contact.a }}\n {%- include 'x' %}", 2, 6, "include is not available"),
        ("{% macro a() %}{% endmacro %}", 1, 4, "macro is not available"),
        ("{% set a %}x{% endset %}", 1, 4, "set without = is not available"),
        ("{% filter upper %}x{% endfilter %}", 1, 4, "filter is not available"),
        ("{% call contact.a() %}x{% endcall %}", 1, 4, "call is not available"),
        ("{% block a %}x{% endblock %}", 1, 4, "block is not available"),
        ("{% for x in [1] recursive %}{{ loop([2]) }}{% endfor %}", 1, 17, "recursive is not available"),
        ("{{ contact.a.format(contact) }}", 1, 14, "format() is not available"),
        ("{{ lipsum() }}", 1, 4, "unknown name 'lipsum'"),
    ],
)
def test_a_broken_template_is_refused_with_line_and_column(template: str, line: int, column: int, what: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_templates(content(html=template))
    assert refused.value.message.startswith(f"html, line {line}, column {column}: {what}")
    assert refused.value.message.endswith(".")
    assert (refused.value.field, refused.value.details["line"], refused.value.details["column"]) == (
        "html",
        line,
        column,
    )


@pytest.mark.parametrize("field", ["subject", "html", "text"])
def test_the_field_of_a_broken_template_is_named(field: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}, line 1, column 4: "):
        check_templates(content(**{field: "{{ }}"}))


@pytest.mark.parametrize("template", ["{{ " + "(" * 5000 + " }}", "{% if contact.a %}" * 200 + "{% endif %}" * 200])
def test_a_template_nested_too_deeply_is_refused(template: str) -> None:
    with pytest.raises(InvalidInput, match=r"^text: the template is nested too deeply\.$"):
        check_templates(content(text=template))


@pytest.mark.parametrize("field", ["html", "text"])
def test_a_template_that_says_half_a_character_is_refused(field: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{field}: the template has text that is not Unicode\.$"):
        check_templates(content(**{field: "{{ '\\ud800' }}"}))


@pytest.mark.parametrize(
    "template",
    ["{{ contact.a }}", "{% set x = 1 %}{{ x }}", "{% if contact.a %}{% set y = 1 %}{% endif %}{{ y }}", "a { b } {x"],
)
def test_right_templates_are_not_refused(template: str) -> None:
    check_templates(content(text=template))


@given(
    source=st.lists(st.sampled_from(["{{", "}}", "{% if a %}", "{%", "%}", *"{}%#-+ ()[]'\"\\\n.|=ax1²"]), max_size=25)
)
def test_any_source_is_either_compiled_or_refused_with_a_sentence(source: list[str]) -> None:
    sentence = ""
    try:
        compile_message("m", content(text="".join(source)))
    except InvalidInput as refused:
        sentence = refused.message
    assert re.fullmatch(r"(text(, line \d+, column \d+)?: .+\.)?", sentence)


def test_the_attributes_that_templates_name_are_known() -> None:
    message = content(
        subject="{{ contact.first_name }}",
        html="{% if contact['city'] %}{{ contact.a.b }}{% endif %}{{ contact.email }}",
        text="{{ contact.time_zone }} contact.not_this",
    )
    assert attributes_named(message) == {"first_name", "city", "a", "time_zone"}


# --------------------------------------------------------------------------------------------------- unsubscribe links


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
