"""Random messages, read back by the standard library: what arrives is what the templates say, and data stays data.

The oracle of a text is Jinja2 alone, without our sandbox, our compiler and our encoding.
"""

from __future__ import annotations

import base64
import email.policy
import quopri
import re
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from functools import lru_cache

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from activities import mime
from activities.ports import RenderingFailed
from activities.rendering import compile_message
from models.message import MessageContent
from models.recipient import ClaimedRecipient

# ------------------------------------------------------------------------------------------------------ what is random

unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
odd_text = st.sampled_from(
    [
        *("\r\nBcc: evil@example.com\r\n\r\n<p>", "\nSubject: x", "\r", "\x00", "\x0b\x0c\x1c\x85", "\u2028\u2029"),
        *(".", "..\n.", "\n.\n", "From me", "=", "=3D", "=\n", "=?utf-8?q?=41?=", "=?utf-8?b?QQ==?=", "?=", "--=_"),
        *(" ", "\t", "x \n", "x\t\r\n", "  two  spaces ", "\u202eRTL\u202c", "👩‍👩‍👧", "e\u0301", "\ufeff", "\xa0"),
        *("<b>&amp;\"'", '"a, b" <c@d.example>;', "\\", "(comment)", "{{ contact.a }}", "{% raw %}", "#}", "%}"),
    ]
)
long_text = st.builds(
    lambda what, times: (what * times)[:1000],
    st.sampled_from(["x", "=", ".", " ", "é", "\u20ac", "😀", "\t", "ab ", "a" * 74 + "é"]),
    st.one_of(st.integers(60, 90), st.just(1000)),
)
values = st.lists(st.one_of(unicode_text, odd_text, long_text), max_size=4).map(lambda texts: "".join(texts)[:1000])
short_values = st.lists(st.one_of(unicode_text, odd_text), max_size=2).map("".join)

literals = st.one_of(unicode_text, odd_text, long_text, st.just("\n")).map(lambda text: text.replace("{", "{ "))
EXPRESSIONS = r"""
contact.a; contact.b; contact['c']; contact.email; contact.time_zone; contact.none; contact.none.none; contact
contact.a | upper; contact.a | title | trim; contact.a | length; contact.a | first; contact.a | reverse
contact.a | truncate(20); contact.a | replace('a', 'é='); contact.none | default('—'); contact.a | urlencode
contact.a | e; contact.b | safe; contact.a + '<'; contact.a ~ '<' ~ 1; ['<', contact.b] | join('"'); [contact.a]
contact.a.upper(); contact.a is none; 'y' if contact.a else 'n'; '<é=\n.'; 'x '; 1 + 2; 1.5; none
"""
simple_tags = st.sampled_from(
    [f"{{{{ {expression} }}}}" for expression in re.split("; |\n", EXPRESSIONS.strip())]
    + ["{# é #}", "{{- contact.a -}}", "{% set x = contact.b %}{{ x }}"]
)


def with_blocks(inner: SearchStrategy[str]) -> SearchStrategy[str]:
    several = st.lists(inner, max_size=3).map("".join)
    return st.one_of(
        st.builds("{{% if contact.a %}}{}{{% else %}}{}{{% endif %}}".format, several, several),
        st.builds("{{%- if contact.a == contact.b -%}} {} {{%- endif -%}}".format, several),
        st.builds("{{% for x in contact.c.split() %}}{{{{ x }}}}{{{{ loop.index }}}}{}{{% endfor %}}".format, literals),
        st.builds("{{% for x in [1, '<'] %}}{}{{{{ x }}}}{{% else %}}no{{% endfor %}}".format, literals),
        st.builds("{{% with y = contact.a %}}{{{{ y }}}}{}{{% endwith %}}".format, several),
        st.builds("{{% autoescape false %}}{}{{% endautoescape %}}".format, several),
        st.builds("{{% autoescape contact.a == '' %}}{}{{% endautoescape %}}".format, several),
    )


tags = st.recursive(st.one_of(literals, simple_tags), with_blocks, max_leaves=6)
sources = st.lists(tags, max_size=6).map("".join)
subject_parts = st.one_of(short_values.map(lambda text: text.replace("{", "{ ")), simple_tags)
subjects = st.one_of(
    odd_text.map(lambda text: text.replace("{", "{ ")), st.lists(subject_parts, max_size=4).map("".join)
)

#: Domains, each with its ASCII form.
DOMAINS = {
    "example.com": "example.com",
    "Mail.EXAMPLE.com": "mail.example.com",
    "localhost": "localhost",
    "bücher.example": "xn--bcher-kva.example",
    "xn--bcher-kva.example": "xn--bcher-kva.example",
    "例え.テスト": "xn--r8jz45g.xn--zckzah",
    "ß.example": "xn--zca.example",
}
local_parts = st.one_of(
    st.sampled_from(["ola", "ola.nordmann+news", "O'Neil", "a/b=c", "grüße", "用户", "!#$%&'*+-/=?^_`{|}~"]),
    st.sampled_from(["a,b", "a b", ".a", "a.", "a..b", 'a"b', "a\\b", "a@b", "<a>", "(a)", "a;b:c", "[a]"]),
    st.text("abcXYZ019.,;:<>()[]\\\" @!#'-_é", min_size=1, max_size=30).filter(lambda local: local.strip() == local),
)
addresses = st.builds("{}@{}".format, local_parts, st.sampled_from([*DOMAINS]))


@st.composite
def messages(draw: st.DrawFn) -> MessageContent:
    bodies = draw(st.sampled_from([("text",), ("html",), ("text", "html"), ("text", "html")]))
    return MessageContent(
        name="News",
        from_address=draw(st.sampled_from(["news@shop.example", "news@bücher.example", "news,all@Shop.example"])),
        from_name=draw(st.one_of(short_values, values)),
        reply_to=draw(st.sampled_from([None, "help@shop.example"])),
        subject=draw(subjects),
        **{body: draw(sources) for body in bodies},
    )


contacts = st.builds(
    lambda address, zone, a, b, c: ClaimedRecipient(7, address, 1, zone, {"a": a, "b": b, "c": c}),
    addresses,
    st.sampled_from([None, "Europe/Oslo"]),
    *[values] * 3,
)

# --------------------------------------------------------------------------------------------------------- the oracles


def line_breaks(text: str) -> str:
    """A text with line breaks of one kind."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def with_line_breaks(value: object) -> object:
    """Each value's line breaks by themselves: a CR that ends one and an LF that begins the next are two."""
    return type(value)(line_breaks(value)) if isinstance(value, str) else value


JINJA = {
    html: jinja2.Environment(
        autoescape=html, undefined=jinja2.ChainableUndefined, keep_trailing_newline=True, finalize=with_line_breaks
    )
    for html in (False, True)
}


class Silent(dict[str, str]):
    """The contact as Jinja2 alone sees it; `{{ contact }}` renders empty."""

    def __str__(self) -> str:
        return ""


@lru_cache(maxsize=10)
def compiled_by_jinja(source: str, html: bool) -> jinja2.Template:
    return JINJA[html].from_string(source)


def by_jinja(source: str, to: ClaimedRecipient, *, html: bool = False) -> str:
    contact = Silent(to.attributes, email=to.address, **({"time_zone": to.time_zone} if to.time_zone else {}))
    return compiled_by_jinja(source, html).render(contact=contact)


def body_by_jinja(source: str, to: ClaimedRecipient, *, html: bool) -> str:
    text = line_breaks(by_jinja(source, to, html=html))
    return text if text.endswith("\n") else text + "\n"


def on_one_line(text: str) -> str:
    """What a header holds of a text: a space for each run of control characters and line breaks, none at the ends."""
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()


# ------------------------------------------------------------------------------------------------------ read and judge


def parsed(data: bytes) -> EmailMessage:
    return BytesParser(EmailMessage, policy=email.policy.default).parsebytes(data)


def head_lines(data: bytes) -> list[bytes]:
    return data.partition(b"\r\n\r\n")[0].split(b"\r\n")


def raw_header(data: bytes, name: str) -> str:
    """The one header of this name as it stands, unfolded."""
    head = b"\r\n".join(head_lines(data)).replace(b"\r\n ", b" ").decode()
    (value,) = [line.removeprefix(f"{name}: ") for line in head.split("\r\n") if line.startswith(f"{name}: ")]
    return value


def display_name(header: str) -> str:
    """The name before an address. The standard library's own reading puts a space between two encoded words."""
    phrase = header.rpartition("<")[0].strip()
    if phrase.startswith('"'):
        return re.sub(r"\\(.)", r"\1", phrase[1:-1])
    return str(make_header(decode_header(phrase))) if phrase else ""


def names_expected(content: MessageContent) -> list[str]:
    """The headers of every email of a message, whatever the data."""
    names = ["From", *(["Reply-To"] if content.reply_to else []), "MIME-Version", "To", "Subject", "Date", "Message-ID"]
    return names + (
        ["Content-Type"] if content.text and content.html else ["Content-Type", "Content-Transfer-Encoding"]
    )


def bodies_expected(content: MessageContent, to: ClaimedRecipient) -> dict[str, str]:
    bodies = {"text/html": body_by_jinja(content.html, to, html=True)} if content.html else {}
    if content.text or not content.html:
        bodies["text/plain"] = body_by_jinja(content.text or "", to, html=False)
    return bodies


def check_lines(body: bytes) -> None:
    """CRLF alone ends a line, and no line is longer than RFC 2045 section 6.7 allows or ends with a space."""
    lines = body.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 76
    assert not any(line.endswith((b" ", b"\t")) for line in lines)


def check_bytes(data: bytes, names: list[str]) -> None:
    """What is so by construction: no data begins a header, ends a line or leaves 7 bits."""
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", data)
    lines = data.split(b"\r\n")
    assert max(map(len, lines)) <= 998  # RFC 5322 section 2.1.1
    assert [line.partition(b": ")[0].decode() for line in head_lines(data) if line[:1] != b" "] == names
    assert all(line.strip() for line in head_lines(data))
    assert all(line.isascii() or line.startswith(b"To: ") for line in lines)
    for word in re.findall(rb"=\?.*?\?=", b"\r\n".join(head_lines(data))):  # RFC 2047 sections 2 and 5
        assert len(word) <= 75
        base64.b64decode(word.removeprefix(b"=?utf-8?b?").removesuffix(b"?="), validate=True).decode()
    check_lines(data.partition(b"\r\n\r\n")[2])


@settings(max_examples=250)
@given(content=messages(), to=st.lists(contacts, min_size=6, max_size=12))
def test_what_is_read_back_is_what_the_templates_say(content: MessageContent, to: list[ClaimedRecipient]) -> None:
    made = compile_message("m1", content)
    for one in to:
        sent = made.render(one)
        check_bytes(sent.content, names_expected(content))
        message = parsed(sent.content)
        assert message.keys() == names_expected(content)
        assert not [part.defects for part in message.walk() if part.defects]
        assert message["Subject"] == on_one_line(by_jinja(content.subject, one))
        assert display_name(raw_header(sent.content, "From")) == on_one_line(content.from_name)
        assert [to.addr_spec for to in message["From"].addresses] == [sent.sender]
        assert raw_header(sent.content, "To") == sent.recipient
        if sent.recipient.isascii():
            assert sent.content.isascii()
            local, _, domain = one.address.rpartition("@")
            assert [(to.username, to.domain) for to in message["To"].addresses] == [(local, DOMAINS[domain])]
        leaves = [part for part in message.walk() if not part.is_multipart()]
        read = {part.get_content_type(): line_breaks(part.get_content()) for part in leaves}
        assert read == bodies_expected(content, one)
        assert len(leaves) == len(read)


@pytest.mark.parametrize("space", [" ", "\t", "  ", "é ", "=\t"])
@pytest.mark.parametrize("length", range(66, 80))
def test_a_space_at_the_end_of_a_line_stays_on_the_line(length: int, space: str) -> None:
    text = "\n" + "x" * length + space + "\nx"
    encoded = mime.encode_text(text)
    check_lines(encoded)
    assert line_breaks(quopri.decodestring(encoded).decode()) == text + "\n"


@settings(max_examples=500)
@given(texts=st.lists(st.one_of(values, literals, st.sampled_from(["", "\n", "x", " ", "=", "é"])), max_size=8))
def test_pieces_encoded_apart_are_the_text_put_together(texts: list[str]) -> None:
    texts = [line_breaks(text) for text in texts]
    together = "".join(texts)
    encoded = mime.end_text("".join(map(mime.encode_piece, texts)))
    check_lines(encoded)
    expected = together if together.endswith("\n") else together + "\n"
    assert line_breaks(quopri.decodestring(encoded).decode()) == expected
    assert quopri.decodestring(mime.encode_text(together)) == quopri.decodestring(encoded)


@pytest.mark.parametrize("last", ["x", " ", "=", "é", ".", "\t"])
@pytest.mark.parametrize("length", range(70, 80))
def test_the_soft_line_break_behind_a_piece_has_its_place_on_the_line(length: int, last: str) -> None:
    text = "x" * length + last
    encoded = mime.encode_piece(text)
    check_lines(encoded.encode())
    assert encoded.endswith("=\r\n")
    assert quopri.decodestring(encoded.encode()).decode() == text


@pytest.mark.parametrize(
    ("field", "place"),
    [("subject", "The email cannot be written: it has"), ("text", "text, line 2:"), ("html", "html, line 2:")],
)
@given(before=short_values, after=short_values)
def test_half_a_character_is_refused_and_not_quoted(field: str, place: str, before: str, after: str) -> None:
    sources = {"subject": "x", "text": "x", "html": "x", field: "secret\n{{ contact.a }}"}
    content = MessageContent(name="News", from_address="news@shop.example", **sources)
    one = ClaimedRecipient(7, "ola@example.com", 1, None, {"a": f"{before}secret\ud83d{after}"})
    with pytest.raises(RenderingFailed) as refused:
        compile_message("m1", content).render(one)
    assert str(refused.value).rstrip(".") == f"{place} text that is not Unicode"
