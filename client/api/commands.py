"""Calls that send and stop: each answers with the message and what the command did to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from client.api import examples
from client.api.calls import Call, Endpoint, call
from client.api.door import asked_by, use_cases
from client.api.shapes import CommandRequest, InDoubtRequest, ResumeRequest
from client.interface import AskedBy, CommandResult, ResumePreview, UseCases
from models.api_keys import Action
from models.commands import ReceiptOutcome, Verb
from models.errors import Refused
from models.message import Message
from models.schedule import Schedule, Time
from models.transitions import allowed_commands

router = APIRouter(route_class=Call, prefix="/v1/batchmessages", tags=["Sending and stopping"])
Use = Annotated[UseCases, Depends(use_cases)]
Wait = Annotated[
    float, Query(ge=0, le=300, description="Seconds to wait for the receipt; without it in time the answer is 202.")
]

_DEFAULT_WAIT_SECONDS = 10.0


def _asked(request: Request, why: CommandRequest | None = None) -> AskedBy:
    why = why or CommandRequest()
    return asked_by(request, why.reason, why.command_id)


Asked = Annotated[AskedBy, Depends(_asked)]


def _command(verb: Verb, needs: Action, example: Message) -> Callable[[Endpoint], Endpoint]:
    """Declare a command about a message that has been sent off: it is answered with its receipt, or not in time."""
    not_confirmed = {202: "Accepted, and not confirmed yet: `receipt` is null. Do not take it as stopped."}
    path = f"/{{message_id}}/{verb}"
    return call(router, "PUT", path, needs=needs, example=example, also=not_confirmed, problems=(404, 409))


@call(
    router, "PUT", "/{message_id}/send", needs=Action.SEND, status=202, example=examples.SCHEDULED, problems=(404, 409)
)
async def send(
    use: Use,
    request: Request,
    message_id: str,
    schedule: Schedule | None = None,
    allow_empty: Annotated[bool, Query(description="Also with nobody in the audience.")] = False,
    seen: Annotated[
        Time | None, Query(description="Send only this version: the draft's `updated_at` when it was looked at.")
    ] = None,
    reason: Annotated[str, Query(description="Kept in the history.")] = "",
    command_id: Annotated[str | None, Query(description="As of every command: asking again acts once.")] = None,
) -> Message:
    """Send the draft, now or at a time. Accepted means scheduled: workers begin it when it is due."""
    result = await use.send(
        message_id,
        schedule or Schedule(),
        asked_by(request, reason, command_id),
        allow_empty=allow_empty,
        seen=seen,
    )
    return _shown(result)


@_command(Verb.PAUSE, Action.PAUSE, examples.PAUSED)
async def pause(
    use: Use, response: Response, message_id: str, asked: Asked, wait: Wait = _DEFAULT_WAIT_SECONDS
) -> Message:
    """Stop a send so that it can go on later. Nothing leaves after the receipt's `effective_at`."""
    return _answered(await use.pause(message_id, asked, wait=timedelta(seconds=wait)), response)


@_command(Verb.RESUME, Action.RESUME, examples.PAUSED)
async def resume(
    use: Use,
    request: Request,
    response: Response,
    message_id: str,
    why: ResumeRequest | None = None,
    wait: Wait = _DEFAULT_WAIT_SECONDS,
) -> Message:
    """Go on with a paused send. The audience is read again; nobody gets it twice."""
    why = why or ResumeRequest()
    asked = _asked(request, why)
    return _answered(await use.resume(message_id, asked, ends_at=why.ends_at, wait=timedelta(seconds=wait)), response)


@_command(Verb.CANCEL, Action.CANCEL, examples.PAUSED)
async def cancel(
    use: Use, response: Response, message_id: str, asked: Asked, wait: Wait = _DEFAULT_WAIT_SECONDS
) -> Message:
    """Stop a send for good. What has not left is never sent."""
    return _answered(await use.cancel(message_id, asked, wait=timedelta(seconds=wait)), response)


@_command(Verb.UNSCHEDULE, Action.UNSCHEDULE, examples.DRAFT)
async def unschedule(
    use: Use, response: Response, message_id: str, asked: Asked, wait: Wait = _DEFAULT_WAIT_SECONDS
) -> Message:
    """Make a scheduled message a draft again; nothing of it has left. It is decided at once, whatever `wait` is."""
    return _answered(await use.unschedule(message_id, asked), response)


@call(router, "GET", "/{message_id}/resume-preview", needs=Action.LOOK, example=examples.RESUME, problems=(404, 409))
async def resume_preview(
    use: Use,
    message_id: str,
    ends_at: Annotated[Time | None, Query(description="As a resume to another end date would have it.")] = None,
) -> ResumePreview:
    """Say what a resume would do now. Nothing is changed."""
    return await use.resume_preview(message_id, ends_at=ends_at)


@call(router, "POST", "/{message_id}/in-doubt", needs=Action.ACCEPT, example=examples.PAUSED, problems=(404, 409))
async def decide_in_doubt(
    use: Use, request: Request, response: Response, message_id: str, decision: InDoubtRequest
) -> Message:
    """Decide about those whose email the next hop may have taken: accept them as sent, or mail them again."""
    whom: list[str | int] | None = None
    if decision.contact_ids is not None or decision.addresses is not None:
        whom = [*(decision.contact_ids or ()), *(decision.addresses or ())]
    decide = use.accept_in_doubt if decision.action == "accept" else use.resend_in_doubt
    asked = asked_by(request, decision.reason, decision.command_id)
    return _answered(await decide(message_id, asked, whom), response)


def _answered(result: CommandResult, response: Response) -> Message:
    """Return the message with the receipt of this command; 202 without one. Raises Refused if it did nothing."""
    if result.receipt is None:
        response.status_code = 202
    return _shown(result)


def _shown(result: CommandResult) -> Message:
    message, receipt = result.message, result.receipt
    if receipt is not None and receipt.outcome is not ReceiptOutcome.DONE:
        why = receipt.explanation or f"The {receipt.command} was {receipt.outcome}; nothing was changed."
        allowed = allowed_commands(message.status)
        raise Refused(why, status=message.status, allowed=allowed, receipt=receipt)
    return message.model_copy(update={"receipt": receipt})  # an older one must not be read as the answer
