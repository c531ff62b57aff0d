"""Templates as they are written: a broken one is refused with a sentence that says where, before anything is sent."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.rendering import attributes_named, check_templates, compile_message
from models.errors import InvalidInput
from tests.unit.emails import content


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
