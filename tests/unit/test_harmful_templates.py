"""Templates that would stop a worker or inject something fail for their contact; those of newsletters work."""

from __future__ import annotations

import re

import pytest

from activities.ports import RenderingFailed
from activities.rendering import compile_message
from activities.templates import LARGEST
from models.contact import LONGEST_ADDRESS
from tests.unit.emails import body, content, recipient, rendered

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
