"""Verbs over what is written: create, look at, change, delete and preview messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click
from rich.text import Text

from client.cli import show
from client.cli.inputs import Body, Where, WholeFrom
from client.cli.output import Output, one_line
from client.cli.verb import Work, family, one_of, verb
from client.emails import parts_of
from client.interface import UseCases
from models.audience import Audience
from models.errors import InvalidInput
from models.message import Message, MessageContent, MessageStatus


def _content_options(*, required: bool) -> Callable[[Work], Work]:
    """Add the options that say what a message is; not given is None (or no values)."""
    options = (
        click.option("--name", required=required, help="What operators call it; recipients never see it."),
        click.option("--from", "from_address", required=required, metavar="ADDRESS", help="The sender."),
        click.option("--from-name", metavar="NAME", help="The sender's name."),
        click.option("--reply-to", metavar="ADDRESS", help="Where answers go."),
        click.option("--subject", required=required, help="Jinja2 template, one line."),
        click.option("--html", type=Body(), metavar="FILE", help="Jinja2 template, UTF-8, at most 1 MiB."),
        click.option("--text", type=Body(), metavar="FILE", help="The same as plain text."),
        click.option(
            "--audience-list", "lists", multiple=True, required=required, metavar="LIST", help="To whom; may repeat."
        ),
        click.option("--where", type=Where(), metavar="JSON", help="Only contacts for whom all of this holds."),
        click.option("--exclude-list", "exclude_lists", multiple=True, metavar="LIST", help="Not to them; may repeat."),
        click.option(
            "--exclude-recipients-of",
            "exclude_recipients_of",
            multiple=True,
            metavar="ID",
            help="Not to those whom that message reached or may have reached; may repeat.",
        ),
    )

    def add(work: Work) -> Work:
        for option in reversed(options):
            work = option(work)
        return work

    return add


@verb(
    "create",
    examples=(
        "sendgate messages create --name 'May news' --from news@example.org \\\n"
        "      --subject 'Hello {{ contact.first_name }}' --html may.html \\\n"
        "      --text may.txt --audience-list newsletter",
        """sendgate messages create --name Oslo --from news@example.org \\\n"""
        """      --subject Hi --text hi.txt --audience-list newsletter \\\n"""
        """      --where '{"city": "Oslo", "age": {"gte": 30}}'""",
    ),
)
@_content_options(required=True)
async def create(use: UseCases, out: Output, **given: object) -> None:
    """Write a new draft. Nothing is sent.

    Subject, HTML and text are templates: {{ contact.first_name }} is an attribute of the contact, empty where it is
    missing. A template that does not compile is refused with its line and column. At least one of --html and --text
    is needed.
    """
    _say(out, await use.create(_merged(None, given)), "Draft")


def _require_a_change(given: Mapping[str, object]) -> None:
    if not any(_is_given(value) for name, value in given.items() if name not in ("message_id", "as_json")):
        raise InvalidInput("There is nothing to change; give at least one option.")


def _is_given(value: object) -> bool:
    return value is not None and value != ()


@verb(
    "edit",
    examples=(
        "sendgate messages edit ID --subject 'The right date'",
        "sendgate messages edit ID --html corrected.html --exclude-list ''",
    ),
    check=_require_a_change,
)
@click.argument("message_id", metavar="ID")
@_content_options(required=False)
async def edit(use: UseCases, out: Output, *, message_id: str, **given: object) -> None:
    """Change a draft: only what is given, everything else stays.

    An empty value takes something away: --reply-to '', --html '', --exclude-list ''. A list option replaces all
    its former values. What is scheduled is unscheduled first; what has begun can only be copied.
    """
    message = await use.message(message_id)
    _say(out, await use.edit(message_id, _merged(message, given)), "Changed")


def _merged(message: Message | None, given: dict[str, object]) -> MessageContent:
    """Return the content of `message` (none: an empty one) with the given options over it."""
    values: dict[str, object] = message.model_dump(include=set(MessageContent.model_fields)) if message else {}
    audience: dict[str, object] = message.audience.model_dump() if message else {}
    for name, value in given.items():
        if not _is_given(value):
            continue
        if isinstance(value, tuple):
            value = tuple(entry for entry in value if entry != "")
        elif value == "" and name in ("reply_to", "html", "text"):
            value = None
        (audience if name in Audience.model_fields else values)[name] = value
    return MessageContent.model_validate({**values, "audience": audience})


def _say(out: Output, message: Message, what: str) -> None:
    estimate = message.audience_estimate
    size = f" to about {estimate:,} contacts" if estimate is not None else ""
    out.answer(
        message,
        f"{what}: {message.id} ({one_line(message.name)}){size}.",
        f"Look at it with `sendgate messages preview {message.id}`, send it with `sendgate send {message.id}`.",
    )


@verb("list", examples=("sendgate messages list", "sendgate messages list --status sending --status paused"))
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in MessageStatus]),
    help="Only these; may repeat.",
)
@click.option("--limit", type=WholeFrom(1, 1000), default=50, show_default=True, help="How many at most.")
@click.option("--after", metavar="NEXT", help="Go on where the page before ended.")
async def list_messages(use: UseCases, out: Output, *, statuses: Sequence[str], limit: int, after: str | None) -> None:
    """List messages, newest first, with status and counts.

    "of" is the number of recipients; with a ~ it is the size the audience has now, since nobody is chosen before the
    send begins. "when" is the instant a scheduled message waits for, else the last change.
    """
    wanted = [MessageStatus(status) for status in statuses]
    found, following = await use.messages(statuses=wanted, limit=limit, after=after)
    more = [f"There are more: --after {following}"] if following else []
    nothing = [
        "No messages." if wanted else "No messages yet; `sendgate messages create --help` shows how to write one."
    ]
    out.answer({"items": found, "next": following}, *([show.messages_table(found), *more] if found else nothing))


@verb("show", examples=("sendgate messages show ID", "sendgate messages show ID --json | jq .counts"))
@click.argument("message_id", metavar="ID")
async def show_message(use: UseCases, out: Output, *, message_id: str) -> None:
    """Show one message with its counts and last receipt.

    The bodies are in --json.
    """
    message = await use.message(message_id)
    out.answer(message, show.message_sheet(message))


@verb("delete", examples=("sendgate messages delete ID",))
@click.argument("message_id", metavar="ID")
async def delete(use: UseCases, out: Output, *, message_id: str) -> None:
    """Delete a draft. It asks nothing, and there is no way back.

    Only drafts can be deleted: what was sent stays on record.
    """
    await use.delete(message_id)
    out.answer({"deleted": message_id}, f"Deleted: {one_line(message_id)}.")


@verb(
    "preview",
    examples=("sendgate messages preview ID", "sendgate messages preview ID --contact 42 --raw > email.eml"),
    check=one_of("raw", "as_json"),
)
@click.argument("message_id", metavar="ID")
@click.option("--contact", "contact_id", type=WholeFrom(1, 2**63 - 1), help="Render it for this contact.")
@click.option("--raw", is_flag=True, help="Print only the email, byte for byte as it would be sent.")
async def preview(use: UseCases, out: Output, *, message_id: str, contact_id: int | None, raw: bool) -> None:
    """Show whom it would reach now, and the first email.

    That is the email which the first of the audience, or --contact, would get. It counts the attributes that some
    contacts lack: they render empty.
    """
    if raw:
        out.write_bytes(await use.rendered(message_id, contact_id))
        return
    audience = await use.audience_preview(message_id)
    content = await use.rendered(message_id, contact_id) if contact_id is not None or audience.count else None
    parsed = parts_of(content) if content is not None else None
    out.answer(
        {**audience.model_dump(mode="json"), "email": parsed},
        *show.audience_report(audience),
        *(_email_report(parsed) if parsed else []),
    )


def _email_report(parsed: dict[str, str | None]) -> list[Text]:
    """Return the email as a reader of plain text sees it; the HTML source where there is no text."""
    head = [Text(f"{name.capitalize()}: {one_line(parsed[name] or '')}") for name in ("from", "to", "subject")]
    body = parsed["text"] if parsed["text"] is not None else parsed["html"] or ""
    lines = [Text("".join(c for c in line if c.isprintable() or c == "\t")) for line in body.rstrip().splitlines()]
    return [Text(), *head, Text(), *lines]


messages = family(
    "messages", "Write messages and look at them.", create, list_messages, show_message, edit, delete, preview
)
