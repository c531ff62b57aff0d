"""Calls over people: contacts, lists and suppressions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from client.api import examples
from client.api.calls import Call, call
from client.api.door import use_cases
from client.api.shapes import AddressesRequest, Changed, ContactRequest, Lists, Page, SuppressRequest
from client.interface import UseCases
from models.api_keys import Action
from models.contact import Contact, ContactChanges, ImportResult, ListSummary, Suppression

router = APIRouter(route_class=Call, prefix="/v1", tags=["People"])
Use = Annotated[UseCases, Depends(use_cases)]
LARGEST_ID = 2**63 - 1
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
After = Annotated[int, Query(ge=0, le=LARGEST_ID, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Search = Annotated[str, Query(description="How the address begins.")]


# contacts


@call(
    router,
    "POST",
    "/contacts/import",
    needs=Action.EDIT_CONTACTS,
    example=examples.IMPORTED,
    takes_file=True,
    openapi={
        "requestBody": {
            "required": True,
            "content": {
                "text/csv": {
                    "schema": {"type": "string"},
                    "example": "email,first_name,time_zone\nada@example.org,Ada,Europe/Oslo\n",
                }
            },
        }
    },
)
async def import_contacts(
    use: Use,
    request: Request,
    list_name: Annotated[
        str | None, Query(alias="list", description="Also put them on this list; it is made if it is new.")
    ] = None,
) -> ImportResult:
    """Import a CSV in UTF-8: all of its good lines, or none after a crash.

    Of the rejected lines the first 10,000 are named, and all are counted.
    """
    return await use.import_contacts(str(request.state.file), list_name=list_name)


@call(
    router, "POST", "/contacts", needs=Action.EDIT_CONTACTS, status=201, example=examples.CONTACT, problems=(404, 409)
)
async def create_contact(use: Use, new: ContactRequest, response: Response) -> Contact:
    """Add a contact. One address, in any spelling, is one contact."""
    made = await use.create_contact(new.address, time_zone=new.time_zone, attributes=new.attributes, lists=new.lists)
    response.headers["Location"] = f"/v1/contacts/{made.id}"
    return made


@call(
    router,
    "GET",
    "/contacts",
    needs=Action.LOOK,
    example=Page[Contact, int](items=[examples.CONTACT], next=42),
    problems=(404,),
)
async def contacts(
    use: Use,
    list_name: Annotated[str | None, Query(alias="list", description="Only those on this list.")] = None,
    search: Search = "",
    limit: Limit = 100,
    after: After = 0,
) -> Page[Contact, int]:
    """List contacts by id."""
    found = await use.contacts(list_name=list_name, search=search, limit=limit + 1, after=after)
    return Page(items=found[:limit], next=found[limit - 1].id if len(found) > limit else None)


@call(router, "GET", "/contacts/{contact_id:digits}", needs=Action.LOOK, example=examples.CONTACT, problems=(404,))
async def contact(use: Use, contact_id: Id) -> Contact:
    """Read a contact, with its lists; `suppressed` is the reason, if its address is."""
    return await use.contact(contact_id)


@call(
    router,
    "PATCH",
    "/contacts/{contact_id:digits}",
    needs=Action.EDIT_CONTACTS,
    example=examples.CONTACT,
    problems=(404, 409),
)
async def change_contact(use: Use, contact_id: Id, changes: ContactChanges) -> Contact:
    """Change a contact; what is not given stays. Sends that have begun keep the address they began with."""
    return await use.change_contact(contact_id, changes)


@call(router, "DELETE", "/contacts/{contact_id:digits}", needs=Action.EDIT_CONTACTS, status=204, problems=(404,))
async def delete_contact(use: Use, contact_id: Id) -> None:
    """Delete a contact, also from all lists; a send that runs does not mail it any more."""
    await use.delete_contact(contact_id)


# lists: a name may hold a slash, so the longer addresses come first. What stands in place of a contact there is no part
# of a name: a mistyped id would make a list.


@call(router, "GET", "/lists", needs=Action.LOOK, example=Lists(items=[examples.LIST]))
async def lists(use: Use) -> Lists:
    """List the lists, and how many contacts are on each."""
    return Lists(items=await use.lists())


@call(
    router,
    "PUT",
    "/lists/{name:path}/contacts/{contact_id:path}",
    needs=Action.EDIT_CONTACTS,
    status=204,
    problems=(404,),
)
async def add_to_list(use: Use, name: str, contact_id: Id) -> None:
    """Put a contact on a list. Again is harmless."""
    await use.add_to_list(name, contact_id)


@call(
    router,
    "DELETE",
    "/lists/{name:path}/contacts/{contact_id:path}",
    needs=Action.EDIT_CONTACTS,
    status=204,
    problems=(404,),
)
async def remove_from_list(use: Use, name: str, contact_id: Id) -> None:
    """Take a contact off a list. Again is harmless."""
    await use.remove_from_list(name, contact_id)


@call(router, "GET", "/lists/{name:path}", needs=Action.LOOK, example=examples.LIST, problems=(404,))
async def contact_list(use: Use, name: str) -> ListSummary:
    """Read one list; its members are `GET /v1/contacts?list=NAME`."""
    return await use.contact_list(name)


@call(router, "PUT", "/lists/{name:path}", needs=Action.EDIT_CONTACTS, example=examples.LIST)
async def create_list(use: Use, name: str) -> ListSummary:
    """Make a list. Again is harmless."""
    return await use.create_list(name)


# suppressions


@call(
    router,
    "GET",
    "/suppressions",
    needs=Action.LOOK,
    example=Page[Suppression, int](items=[examples.SUPPRESSION], next=None),
)
async def suppressions(use: Use, search: Search = "", limit: Limit = 100, after: After = 0) -> Page[Suppression, int]:
    """List the addresses that are never mailed, by id."""
    found = await use.suppressions(search=search, limit=limit + 1, after=after)
    return Page(items=found[:limit], next=found[limit - 1].id if len(found) > limit else None)


@call(router, "POST", "/suppressions", needs=Action.SUPPRESS, example=Changed(changed=1))
async def suppress(use: Use, whom: SuppressRequest) -> Changed:
    """Never mail these addresses again; it holds at the next claim of a running send. All of them, or none."""
    return Changed(changed=await use.suppress(whom.addresses, reason=whom.reason))


@call(router, "POST", "/suppressions/lift", needs=Action.UNSUPPRESS, example=Changed(changed=1))
async def unsuppress(use: Use, whom: AddressesRequest) -> Changed:
    """Let these addresses be mailed again; sends that run take them up at their next resume."""
    return Changed(changed=await use.unsuppress(whom.addresses))


@call(router, "DELETE", "/suppressions/{suppression_id:digits}", needs=Action.UNSUPPRESS, status=204, problems=(404,))
async def lift_suppression(use: Use, suppression_id: Id) -> None:
    """Let one address be mailed again."""
    await use.lift_suppression(suppression_id)
