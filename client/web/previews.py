"""What a contact would get, before anybody does; and test emails.

The HTML of an email is somebody's: it is shown in a sandboxed frame under a policy of its own, and runs nothing.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from client.api.people import LARGEST_ID
from client.api.shapes import MOST_TEST_ADDRESSES, SendTestOutcomes
from client.emails import parts_of
from client.interface import SendTestOutcome
from client.web.addresses import HOME
from client.web.messages import search_in
from client.web.once import once
from client.web.pages import Page, page
from client.web.problems import problems_of
from client.web.visit import Visit, Visiting, web_of
from models.api_keys import Action
from models.contact import Contact
from models.errors import InvalidInput, NotFound
from models.recipient import Verdict

router = APIRouter(route_class=Page, prefix=f"{HOME}/{{message_id}}")
#: Nothing runs, nothing is loaded from anywhere, no form is sent; styles within the email hold.
FRAME_POLICY = "; ".join(
    (
        "sandbox",
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
    )
)
_WRONG = 422
_BECAME: dict[Verdict, str] = {
    Verdict.SENT: "sent",
    Verdict.DEFERRED: "refused for now",
    Verdict.BOUNCED: "refused",
    Verdict.FAILED: "cannot be sent",
    Verdict.IN_DOUBT: "in doubt: no reply was seen",
    Verdict.NOT_HANDED_OVER: "not sent",
    Verdict.NO_SERVER: "not sent: there was no conversation with the mail server",
}


@page(router, "GET", "/preview", needs=Action.LOOK)
async def preview(visit: Visiting, message_id: str, q: str = "") -> Response:
    """The email of the contact with this address, or whose address begins so; of the first of the audience else."""
    return await _show(visit, message_id, search_in(q))


@page(router, "GET", "/preview/body", needs=Action.LOOK)
async def body(
    visit: Visiting, message_id: str, contact: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None
) -> Response:
    """The HTML alone, for the frame."""
    html = parts_of(await visit.use.rendered(message_id, contact))["html"]
    if html is None:
        raise NotFound("The message has no HTML.")
    return HTMLResponse(html, headers={"Content-Security-Policy": FRAME_POLICY})


@page(router, "POST", "/test", needs=Action.SEND_TEST, unhurried=True)
async def send_test(visit: Visiting, message_id: str) -> Response:
    """Send test emails, and say what became of each."""

    async def send() -> Response:
        outcomes = SendTestOutcomes(outcomes=await visit.use.send_test(message_id, given))
        return Response(outcomes.model_dump_json(), media_type="application/json")

    given = [each for each in re.split(r"[\s,;]+", visit.form["to"]) if each]
    try:
        if not 1 <= len(given) <= MOST_TEST_ADDRESSES:
            raise InvalidInput(f"Give 1 to {MOST_TEST_ADDRESSES} addresses, not {len(given):,}.", field="to")
        answer = await once(visit, send)
    except InvalidInput as error:
        return await _show(visit, message_id, search_in(visit.form["q"]), problems=problems_of(error, ("to",)))
    outcomes = SendTestOutcomes.model_validate_json(bytes(answer.body)).outcomes
    return await _show(visit, message_id, search_in(visit.form["q"]), outcomes=outcomes)


async def _show(
    visit: Visit,
    message_id: str,
    search: str,
    *,
    problems: dict[str, str] | None = None,
    outcomes: list[SendTestOutcome] | None = None,
) -> Response:
    lookups = web_of(visit.request).lookups
    message = await lookups.message(message_id)
    contact, email, wrong = None, None, dict(problems or {})
    try:
        contact = await (_contact(visit, search) if search else lookups.first_of(message.audience))
        email = parts_of(await visit.use.rendered(message_id, contact.id if contact else None))
    except InvalidInput as error:
        wrong |= problems_of(error, ("q",))
    if not message.status.is_final:
        try:
            lookups.check_links(message)
        except InvalidInput as error:
            wrong |= problems_of(error, ())
    return await visit.show(
        "preview.html",
        status=_WRONG if problems else 200,
        message=message,
        search=search,
        contact=contact,
        email=email,
        problems=wrong,
        outcomes=outcomes or [],
        to=visit.form["to"],
        Verdict=Verdict,
        verdict_words=_BECAME,
    )


async def _contact(visit: Visit, search: str) -> Contact:
    """Return the contact that is meant: the address exactly, else the first that begins so. Raises InvalidInput."""
    if "@" in search:
        try:
            if exactly := await web_of(visit.request).lookups.contact_at(search):
                return exactly
        except InvalidInput:
            pass  # the beginning of an address is none
    begins_so = await visit.use.contacts(search=search, limit=1)
    if not begins_so:
        raise InvalidInput("No contact has an address that begins so.", field="q")
    return begins_so[0]
