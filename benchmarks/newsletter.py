"""The email of the benchmarks: 3 KB of HTML and text, personalised in the subject and in both bodies."""

from __future__ import annotations

from activities.rendering import compile_message
from models.audience import Audience
from models.message import MessageContent
from models.recipient import ClaimedRecipient

SUBJECT = "{{ contact.first_name }}, the May news from {{ contact.city }}"

TEXT = """\
Dear {{ contact.first_name }} {{ contact.last_name }},

spring has come to {{ contact.city }}, and with it the new timetable: more trains
in the early morning, a later last one on Fridays, and a seat for your bicycle in
every carriage. Your plan is {{ contact.plan }} and stays as it is.

What is new, in short:

- The 06:14 runs on every day of the week.
- Tickets for {{ contact.city }} can be shared with one more person.
- Whoever was a member before {{ contact.member_since }} keeps the old price.

Have a good journey,
the people of Northern Lines

https://www.example.com/may?utm_source=newsletter
"""

HTML = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>The May news</title></head>
<body style="margin:0;padding:24px;font-family:Helvetica,Arial,sans-serif;color:#222">
<h1 style="font-size:22px">Good morning, {{ contact.first_name }}!</h1>
<p>Dear {{ contact.first_name }} {{ contact.last_name }},</p>
<p>spring has come to <b>{{ contact.city }}</b>, and with it the new timetable: more
trains in the early morning, a later last one on Fridays, and a seat for your bicycle
in every carriage. Your plan is <i>{{ contact.plan }}</i> and stays as it is.</p>
<table role="presentation" width="100%" cellpadding="8" style="border:1px solid #ddd">
<tr><td width="90">06:14</td><td>runs on every day of the week</td></tr>
<tr><td>Tickets</td><td>for {{ contact.city }} can be shared with one more person</td></tr>
<tr><td>Prices</td><td>stay for members since {{ contact.member_since }}</td></tr>
</table>
<p>The bridge over the fjord is open again. From {{ contact.city }} it takes twenty minutes
less to the coast than last year, and the dining car is back on the two trains that
leave before noon: coffee, bread from the bakery at the station, and soup of the day.</p>
<p>On the first Sunday of June everybody travels for the price of a child. Bring a friend,
{{ contact.first_name }}: the platform band plays from ten, and the old steam engine
comes out of its shed for the afternoon.</p>
<p><a href="https://www.example.com/may?utm_source=newsletter"
style="background:#2563eb;color:#fff;padding:10px 18px;text-decoration:none">See the
timetable</a></p>
<p style="font-size:12px;color:#777">Northern Lines, 1 Station Road. You get this because
you are a member. If you would rather not, answer this email with the word stop.</p>
</body>
</html>
"""

#: The attributes of contact number n, as SQL.
ATTRIBUTES = """
    jsonb_build_object('first_name', 'Ada' || n, 'last_name', 'Lovelace' || n % 977, 'city', 'Hardanger ' || n % 83,
                       'plan', (array['Basic', 'Plus', 'Family'])[1 + n % 3], 'member_since', (1990 + n % 36)::text)
"""


def content(list_name: str, *, name: str = "May news") -> MessageContent:
    """Return the draft's content, to everybody on the list."""
    return MessageContent(
        name=name,
        from_address="news@example.com",
        from_name="Northern Lines",
        subject=SUBJECT,
        html=HTML,
        text=TEXT,
        audience=Audience(lists=(list_name,)),
    )


def example() -> tuple[ClaimedRecipient, bytes]:
    """Return one recipient and the bytes of the email to them."""
    attributes = {
        "first_name": "Ada123",
        "last_name": "Lovelace123",
        "city": "Hardanger 40",
        "plan": "Family",
        "member_since": "2005",
    }
    recipient = ClaimedRecipient(123, "reader123@example.com", 1, None, attributes)
    return recipient, compile_message("bench0000000", content("all")).render(recipient).content
