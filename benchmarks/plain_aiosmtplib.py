"""Our other measure, what one would write first: an `EmailMessage` a recipient, sent by aiosmtplib.

`python -m benchmarks.plain_aiosmtplib PORT EMAILS CONNECTIONS` prints the seconds that it took, over kept connections
and on uvloop, like a worker.
"""

from __future__ import annotations

import asyncio
import sys
import time
from email.message import EmailMessage

import aiosmtplib
import uvloop
from jinja2 import Environment, Template

from benchmarks.newsletter import HTML, SUBJECT, TEXT, example
from client.local.ports import HOST


def main() -> None:
    """Send, and print the seconds."""
    port, emails, connections = (int(argument) for argument in sys.argv[1:])
    print(uvloop.run(_send(port, emails, connections)))


async def _send(port: int, emails: int, connections: int) -> float:
    templates = [Environment(autoescape=escaped).from_string(source) for source, escaped in _SOURCES]
    clients = [aiosmtplib.SMTP(hostname=HOST, port=port, start_tls=False) for _ in range(connections)]
    for client in clients:
        await client.connect()
    numbers = iter(range(emails))

    async def converse(client: aiosmtplib.SMTP) -> None:
        for number in numbers:
            await client.send_message(_email(templates, number))

    began = time.perf_counter()
    await asyncio.gather(*(converse(client) for client in clients))
    seconds = time.perf_counter() - began
    await asyncio.gather(*(client.quit() for client in clients))
    return seconds


_SOURCES = ((SUBJECT, False), (TEXT, False), (HTML, True))


def _email(templates: list[Template], number: int) -> EmailMessage:
    subject, text, html = (template.render(contact=_CONTACT | {"first_name": f"Ada{number}"}) for template in templates)
    email = EmailMessage()
    email["From"] = "Northern Lines <news@example.com>"
    email["To"] = f"reader{number}@example.com"
    email["Subject"] = subject
    email.set_content(text)
    email.add_alternative(html, subtype="html")
    return email


_CONTACT = dict(example()[0].attributes)

if __name__ == "__main__":
    main()
