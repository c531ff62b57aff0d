"""Calls over what is written: drafts, their audience and how they look."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from client.api import examples
from client.api.calls import Call, call
from client.api.door import use_cases
from client.api.shapes import CopyRequest, Page, SendTestOutcomes, SendTestRequest
from client.interface import AudiencePreview, SendPreview, UseCases
from models.api_keys import Action
from models.message import ContentChanges, Message, MessageContent, MessageStatus
from models.schedule import Schedule
from storage.messages import Place

router = APIRouter(route_class=Call, prefix="/v1/batchmessages", tags=["Messages"])
Use = Annotated[UseCases, Depends(use_cases)]

_A_PAGE = Page[Message, str](
    items=[examples.PAUSED.model_copy(update={"text": None, "receipt": None})], next=str(Place.of(examples.PAUSED))
)


@call(router, "POST", "", needs=Action.WRITE, status=201, example=examples.DRAFT)
async def create(use: Use, content: MessageContent, response: Response) -> Message:
    """Write a draft. Nothing is sent."""
    message = await use.create(content)
    response.headers["Location"] = f"/v1/batchmessages/{message.id}"
    return message


@call(router, "GET", "", needs=Action.LOOK, example=_A_PAGE, problems=(404,))
async def messages(
    use: Use,
    status: Annotated[list[MessageStatus], Query(description="Only these; may repeat.")] = [],  # noqa: B006
    search: Annotated[str, Query(description="Part of the name or the subject, in any case.")] = "",
    containing: Annotated[str, Query(description="Part of the subject or a body, as written.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> Page[Message, str]:
    """List messages, newest first, without their bodies and receipts."""
    items, following = await use.messages(
        statuses=status, search=search, containing=containing, limit=limit, after=after
    )
    return Page(items=items, next=following)


@call(router, "GET", "/{message_id}", needs=Action.LOOK, example=examples.PAUSED, problems=(404,))
async def message(use: Use, message_id: str) -> Message:
    """Read a message, with the receipt of the latest answered command."""
    return await use.message(message_id)


@call(router, "PATCH", "/{message_id}", needs=Action.WRITE, example=examples.DRAFT, problems=(404, 409))
async def change(use: Use, message_id: str, changes: ContentChanges) -> Message:
    """Change a draft; a field that is not given stays as it is."""
    return await use.change(message_id, changes)


@call(router, "DELETE", "/{message_id}", needs=Action.WRITE, status=204, problems=(404, 409))
async def delete(use: Use, message_id: str) -> None:
    """Delete a draft."""
    await use.delete(message_id)


@call(router, "POST", "/{message_id}/plan", needs=Action.LOOK, example=examples.PREVIEW, problems=(404, 409))
async def plan(
    use: Use,
    message_id: str,
    schedule: Schedule,
    allow_empty: Annotated[bool, Query(description="Also with nobody in the audience.")] = False,
) -> SendPreview:
    """Say what a send would do: slots, counts, problems. What it would refuse is refused; nothing is stored."""
    return await use.plan(message_id, schedule, allow_empty=allow_empty)


@call(router, "POST", "/{message_id}/copy", needs=Action.WRITE, status=201, example=examples.DRAFT, problems=(404,))
async def copy(use: Use, message_id: str, response: Response, how: CopyRequest | None = None) -> Message:
    """Copy a message as a new draft."""
    how = how or CopyRequest()
    made = await use.copy(message_id, exclude_recipients=how.exclude_recipients, name=how.name)
    response.headers["Location"] = f"/v1/batchmessages/{made.id}"
    return made


@call(
    router,
    "PUT",
    "/{message_id}/sendtest",
    needs=Action.SEND_TEST,
    example=SendTestOutcomes(outcomes=[examples.TEST_EMAIL]),
    problems=(404,),
    unhurried=True,
)
async def send_test(use: Use, message_id: str, where: SendTestRequest) -> SendTestOutcomes:
    """Send the message to a few addresses at once. Nothing is counted and no status changes."""
    return SendTestOutcomes(outcomes=await use.send_test(message_id, where.to))


@call(router, "GET", "/{message_id}/audience-preview", needs=Action.LOOK, example=examples.AUDIENCE, problems=(404,))
async def audience_preview(
    use: Use, message_id: str, sample: Annotated[int, Query(ge=0, le=100)] = 5
) -> AudiencePreview:
    """Say whom the message would reach if it were sent now, with a few of them."""
    return await use.audience_preview(message_id, sample=sample)


@call(
    router,
    "GET",
    "/{message_id}/rendered/{contact_id:digits}",
    needs=Action.LOOK,
    example=examples.EMAIL,
    media="message/rfc822",
    problems=(404,),
)
async def rendered(use: Use, message_id: str, contact_id: int) -> Response:
    """Return the email that one contact would get (RFC 5322)."""
    return _email(await use.rendered(message_id, contact_id))


@call(
    router,
    "GET",
    "/{message_id}/rendered",
    needs=Action.LOOK,
    example=examples.EMAIL,
    media="message/rfc822",
    problems=(404,),
)
async def rendered_for_the_first(use: Use, message_id: str) -> Response:
    """Return the email that the first of the audience would get (RFC 5322)."""
    return _email(await use.rendered(message_id))


def _email(content: bytes) -> Response:
    # An email is somebody's HTML: a browser must not show it as a page of ours.
    return Response(content, media_type="message/rfc822", headers={"Content-Disposition": "attachment"})
