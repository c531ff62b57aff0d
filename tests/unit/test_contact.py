"""What an address, a time zone, an attribute and a list may be."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contact import (
    address_key,
    ascii_domain,
    check_address,
    check_attribute_name,
    check_attribute_value,
    check_list_name,
    check_time_zone,
    shown,
)
from models.errors import InvalidInput


def reason(check: object, *given: str) -> str:
    assert callable(check)
    with pytest.raises(InvalidInput) as refused:
        check(*given)
    assert "\n" not in refused.value.message
    assert refused.value.message.endswith((".", "?"))
    return refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "  ann@example.com\t",
        "Ann.O'Neil+news@sub.example.co.uk",
        "!#$%&'*+-/=?^_`{|}~@example.com",
        "josé@bücher.example",
        "用户@例え.jp",
        "ann@xn--bcher-kva.example",
        "root@localhost",
        "x" * 64 + "@example.com",
        "a@" + ".".join(["b" * 62] * 3 + ["c" * 60, "de"]),  # 254 octets
    ],
)
def test_an_address_that_can_be_mailed_is_returned_trimmed(text: str) -> None:
    assert check_address(text) == text.strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("ann", "no @"),
        ("@example.com", "before the @"),
        ("ann@", "after the @"),
        ("ann@bob@example.com", "more than one @"),
        ("Ann <ann@example.com>", "angle brackets"),
        ('"ann b"@example.com', "quoted"),
        ("ann b@example.com", "a space"),
        ("ann\r\nBcc: eve@example.com", "line break"),
        ("ann@example.com\nBcc: eve", "line break"),
        ("ann\x00@example.com", "invisible"),
        ("ann\u200b@example.com", "invisible"),
        ("ann\u2028@example.com", "line break"),
        ("ann@ex\udc80mple.com", "invisible"),
        (".ann@example.com", "a dot where none may be"),
        ("ann.@example.com", "a dot where none may be"),
        ("a..n@example.com", "a dot where none may be"),
        ("a,b@example.com", "a character"),
        ("ann(x)@example.com", "a character"),
        ("x" * 65 + "@example.com", "65 octets and 64"),
        ("é" * 33 + "@example.com", "66 octets and 64"),
        ("a@" + ".".join(["b" * 62] * 3 + ["c" * 61, "de"]), "longer than 254"),
        ("a@" + "b" * 100_000 + ".de", "longer than 254"),
        ("a@" + "xé." * 40 + "de", "is not a domain"),  # 164 octets in UTF-8, 402 as A-labels
        ("a" * 20 + "@" + "xé." * 24 + "de", "longer than 254"),  # 119 and 263
        ("ann@example", "no dot"),
        ("ann@example.com.", "ends with a dot"),
        ("ann@example..com", "is not a domain"),
        ("ann@-example.com", "is not a domain"),
        ("ann@exam_ple.com", "is not a domain"),
        ("ann@" + "b" * 64 + ".com", "is not a domain"),
        ("ann@xn--\x61.com", "is not a domain"),
        ("ann@[127.0.0.1]", "is not a domain"),
        ("ann@127.0.0.1", "a number"),
        ("ann@☃.net", "is not a domain"),
    ],
)
def test_a_text_that_is_no_address_is_refused_with_its_reason(text: str, said: str) -> None:
    assert said in reason(check_address, text)


@pytest.mark.parametrize(
    "spellings",
    [
        ("ann@example.com", "Ann@Example.COM", "ANN@EXAMPLE.COM"),
        ("a@straße.de", "a@STRASSE.de", "a@xn--strae-oqa.de")[::2],
        ("a@bücher.example", "A@BÜCHER.example", "a@xn--bcher-kva.example", "a@bu\u0308cher.example"),
        ("josé@example.com", "JOSÉ@example.com", "jose\u0301@example.com"),
        ("a@例え.jp", "a@例え。jp"),
    ],
)
def test_one_address_has_one_key_however_it_is_spelled(spellings: tuple[str, ...]) -> None:
    assert len({address_key(check_address(spelling)) for spelling in spellings}) == 1


def test_different_addresses_have_different_keys() -> None:
    apart = [
        "ann@example.com",
        "an.n@example.com",
        "ann+x@example.com",
        "ann@example.org",
        "a@strasse.de",
        "a@straße.de",
    ]
    assert len({address_key(address) for address in apart}) == len(apart)


@given(st.text(min_size=1, max_size=20), st.sampled_from(["example.com", "Bücher.example", "例え.jp"]))
def test_the_key_of_a_key_is_the_key(local: str, domain: str) -> None:
    try:
        address = check_address(f"{local}@{domain}")
    except InvalidInput:
        return
    key = address_key(address)
    assert address_key(check_address(key)) == key
    assert unicodedata.is_normalized("NFC", key)
    assert address_key(address.upper().lower()) == address_key(address.upper())


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    try:
        address = check_address(text)
    except InvalidInput as refused:
        message = refused.message
        assert message.isprintable()
    else:
        assert address_key(address).encode().count(b"@") == 1


def test_a_domain_that_takes_long_to_decode_is_refused_at_once() -> None:
    assert "not a domain" in reason(ascii_domain, "xn--" + "a" * 1_000_000)
    assert "not a domain" in reason(ascii_domain, "a-" * 1_000_000)


@pytest.mark.parametrize("name", ["Europe/Oslo", "UTC", " America/Argentina/Buenos_Aires ", "Asia/Kathmandu"])
def test_an_iana_name_is_a_time_zone(name: str) -> None:
    assert check_time_zone(name) == name.strip()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("europe/oslo", "Europe/Oslo"),
        ("utc", "UTC"),
        ("America/New York", "America/New_York"),
        ("Oslo", "Europe/Oslo"),
        ("Europe/Olso", "Europe/Oslo"),
    ],
)
def test_a_time_zone_nearly_right_is_refused_with_the_right_name(text: str, meant: str) -> None:
    assert reason(check_time_zone, text).endswith(f"did you mean {meant}?")


@pytest.mark.parametrize("text", ["", "Mars/Olympus", "+02:00", "localtime", "../etc/passwd", "x" * 100_000, "a\x00b"])
def test_a_text_that_is_no_time_zone_is_refused(text: str) -> None:
    assert "is not an IANA time zone" in reason(check_time_zone, text)


def test_an_attribute_must_work_in_a_template() -> None:
    for name in ("first_name", "Age", "städt", "x1"):
        assert check_attribute_name(name) == name
    for name in ("", "first name", "first-name", "1st", "_private", "__class__", "a.b", "a}}{{b", "x" * 101):
        assert "name of an attribute" in reason(check_attribute_name, name)


def test_an_attribute_holds_a_thousand_printable_characters() -> None:
    assert check_attribute_value("note", "é" * 1000) == "é" * 1000
    assert check_attribute_value("note", "two\nlines\tand a tab") == "two\nlines\tand a tab"
    assert "1,001 characters" in reason(check_attribute_value, "note", "é" * 1001)
    for bad in ("\x00", "\x1b[2J", "\x85", "\udc80", "a\rb"):
        assert reason(check_attribute_value, "note", bad) == "note holds a control character."


def test_a_list_is_named_in_one_line() -> None:
    assert check_list_name(" News & more ") == "News & more"
    for name in ("", " ", "two\nlines", "x" * 101, "\udc80"):
        assert "list's name" in reason(check_list_name, name)


def test_what_a_user_gave_is_shown_quoted_short_and_on_one_line() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert shown("é" * 61) == "'" + "é" * 60 + "…'"
    assert shown("\udc80") == r"'\udc80'"
