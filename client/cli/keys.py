"""Verbs over API keys: make one, list them, revoke one."""

from __future__ import annotations

import click

from client.cli.inputs import WholeFrom
from client.cli.output import Output, one_line
from client.cli.receipts import moment
from client.cli.show import add_row, table
from client.cli.verb import family, verb
from client.interface import UseCases
from models.api_keys import Role


@verb(
    "create",
    examples=(
        "sendgate keys create anna --role operator",
        "sendgate keys create ci --role editor --json | jq -r .key",
    ),
)
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="viewer looks; operator also stops and resumes; editor also writes and sends; admin also makes keys.",
)
async def create(use: UseCases, out: Output, *, name: str, role: str) -> None:
    """Make a key of the API and print it, the one time that it can be read.

    NAME is the actor in the receipts of what is done with it: one for each person or program.
    """
    made = await use.create_key(name, Role(role))
    out.answer(made, made.key)


@verb("list", examples=("sendgate keys list",))
async def list_keys(use: UseCases, out: Output) -> None:
    """List the keys, revoked ones too; of each only the beginning is known."""
    found = await use.keys()
    rows = table("id", "name", "role", "begins with", "made", "revoked", numbers=("id",), whole=("name",))
    for key in found:
        revoked = moment(key.revoked_at) if key.revoked_at else ""
        add_row(rows, str(key.id), key.name, key.role.value, key.begins_with, moment(key.created_at), revoked)
    out.answer({"items": found}, rows if found else "No keys yet; `sendgate keys create NAME --role ROLE` makes one.")


@verb("revoke", examples=("sendgate keys revoke 3",))
@click.argument("key_id", metavar="ID", type=WholeFrom(1, 2**63 - 1))
async def revoke(use: UseCases, out: Output, *, key_id: int) -> None:
    """Have a key open nothing from now on. Its name stays in the receipts, and is free for another key."""
    revoked = await use.revoke_key(key_id)
    out.answer(revoked, f"Revoked: {one_line(revoked.name)}.")


keys = family("keys", "Make and revoke the keys of the API.", create, list_keys, revoke)
