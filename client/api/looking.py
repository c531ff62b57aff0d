"""Calls that only look at a send: progress, also live, recipients, who is in doubt, history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from client import recipients_csv
from client.api import examples
from client.api.access import key_of
from client.api.calls import Call, call, patiently
from client.api.door import Door, door_of, use_cases
from client.api.shapes import History, Page
from client.direct import database_errors_told
from client.interface import Progress, RecipientInDoubt, UseCases
from models.api_keys import Action
from models.errors import SendgateError
from models.recipient import Recipient, RecipientStatus

router = APIRouter(route_class=Call, prefix="/v1/batchmessages/{message_id}", tags=["Looking"])
Use = Annotated[UseCases, Depends(use_cases)]
LargestId = 2**63 - 1
After = Annotated[int, Query(ge=0, le=LargestId, description="`next` of the page before.")]
Statuses = Annotated[list[RecipientStatus], Query(description="Only these; may repeat.")]

LOOK_EVERY_SECONDS = 0.5
#: Without a sign of life proxies take a connection for dead.
HEARTBEAT_EVERY_SECONDS = 15.0
_ROWS_A_PAGE = 2_000
_EVENT: dict[str, object] = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["progress", "end"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Progress"},
        },
    },
}
# As OpenAPI 3.2 has it: `schema` is that of the whole stream, `itemSchema` that of each event.
_EVENTS = {"schema": {"type": "array", "items": _EVENT}, "itemSchema": _EVENT}


@call(router, "GET", "/progress", needs=Action.LOOK, example=examples.PROGRESS, problems=(404,))
async def progress(use: Use, message_id: str) -> Progress:
    """Counts, slots, pace, and when it will be done. The counts add up to the total at every moment."""
    return await use.progress(message_id)


@call(
    router,
    "GET",
    "/progress/stream",
    needs=Action.LOOK,
    example=examples.EVENTS,
    media="text/event-stream",
    problems=(404,),
    openapi={"responses": {"200": {"content": {"text/event-stream": _EVENTS}}}},
)
async def progress_stream(request: Request, message_id: str) -> StreamingResponse:
    """Follow the progress as server-sent events: `progress` at each change, with the same JSON as `/progress`.

    When the message is final an event `end` with the same follows, and the stream is over. It also ends, without that
    event, when the server shuts down, a server that it needs is away, the message is deleted or the key revoked:
    connect again, and the answer says which it was.
    """
    door = door_of(request)
    first = await door.use.progress(message_id)  # what is not there is a 404, and no stream
    key = key_of(request.headers.get("Authorization"))
    assert key is not None, "somebody was let in"
    return StreamingResponse(_events(door, key, first), media_type="text/event-stream")


async def _events(door: Door, key: str, current: Progress) -> AsyncIterator[str]:
    async def look() -> Progress | None:
        return None if await door.keys.principal_of(key) is None else await door.use.progress(current.id)

    told: Progress | None = None
    silent_for = 0.0
    while True:
        if current != told:
            yield f"event: progress\ndata: {current.model_dump_json()}\n\n"
            told, silent_for = current, 0.0
        if current.status.is_final:
            yield f"event: end\ndata: {current.model_dump_json()}\n\n"
            return
        try:
            await asyncio.wait_for(door.stopping.wait(), LOOK_EVERY_SECONDS)
        except TimeoutError:
            silent_for += LOOK_EVERY_SECONDS
        else:
            return
        if silent_for >= HEARTBEAT_EVERY_SECONDS:
            yield ": still here\n\n"
            silent_for = 0.0
        following = await unless_over(look())
        if following is None:
            return
        current = following


async def unless_over(look: Coroutine[Any, Any, Progress | None]) -> Progress | None:
    """Return what a look finds; None when the stream that it is for ends: nobody may look, or there is nothing to see.

    The answer has begun, so nothing that goes wrong now can be answered: whoever follows connects again, and is told.
    """
    try:
        with database_errors_told():
            return await patiently(look, timedelta(0))
    except SendgateError:  # deleted, or a server is away
        return None


@call(
    router,
    "GET",
    "/recipients",
    needs=Action.LOOK,
    example=Page[Recipient, int](items=[examples.RECIPIENT], next=42),
    problems=(404,),
    openapi={"responses": {"200": {"content": {"text/csv": {"schema": {"type": "string"}, "example": examples.CSV}}}}},
)
async def recipients(
    use: Use,
    message_id: str,
    status: Statuses = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    after: After = 0,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Page[Recipient, int] | StreamingResponse:
    """List the recipients and what became of each, by contact id; before the send begins there is nobody.

    With `Accept: text/csv` all of them from `after` on, streamed: `limit` is for pages of JSON.
    """
    if "text/csv" in accept:
        first = await use.recipients_page(message_id, statuses=status, limit=_ROWS_A_PAGE, after=after)
        return StreamingResponse(
            _csv(use, message_id, status, *first),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="recipients-{message_id}.csv"'},
        )
    items, following = await use.recipients_page(message_id, statuses=status, limit=limit, after=after)
    return Page[Recipient, int](items=items, next=following)


async def _csv(
    use: UseCases, message_id: str, statuses: list[RecipientStatus], rows: list[Recipient], following: int | None
) -> AsyncIterator[str]:
    """Yield the CSV a page at a time: no connection to the database waits for a slow reader."""
    yield recipients_csv.header()
    while True:
        yield recipients_csv.lines(rows)
        if following is None:
            return
        rows, following = await use.recipients_page(message_id, statuses=statuses, limit=_ROWS_A_PAGE, after=following)


@call(
    router,
    "GET",
    "/in-doubt",
    needs=Action.LOOK,
    example=Page[RecipientInDoubt, int](items=[examples.IN_DOUBT], next=None),
    problems=(404,),
)
async def in_doubt(
    use: Use, message_id: str, limit: Annotated[int, Query(ge=1, le=1_000)] = 100, after: After = 0
) -> Page[RecipientInDoubt, int]:
    """List those whose email the next hop may have taken, each with the Message-ID that its log knows."""
    found: list[RecipientInDoubt] = []
    async with aclosing(use.in_doubt(message_id, after=after)) as rows:
        async for row in rows:
            found.append(row)
            if len(found) > limit:
                break
    return Page(items=found[:limit], next=found[limit - 1].contact_id if len(found) > limit else None)


@call(router, "GET", "/history", needs=Action.LOOK, example=History(items=[examples.HISTORY]), problems=(404,))
async def history(use: Use, message_id: str) -> History:
    """List every command: who, when, why, through what, and what it did."""
    return History(items=await use.history(message_id))
