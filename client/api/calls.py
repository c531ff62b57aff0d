"""How a call of the API is declared, and what every call has in common.

A call lets somebody in by their key and role before it reads the body, acts once for each Idempotency-Key, answers
every error in the one shape, and says all of that in the OpenAPI document.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.datastructures import Default
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from starlette.convertors import Convertor, register_url_convertor

from client.api.bodies import keep_json, read_body, spooled
from client.api.door import SOURCE, SOURCE_HEADER, SOURCES, door_of, principal_of
from client.api.errors import Problem, answer_to
from client.api.idempotency import LONGEST_KEY, command_id_of, hash_of, idempotency_key
from client.direct import database_errors_told
from models.api_keys import Action, needed_for
from models.errors import Unreachable, Unreadable

#: A call that takes longer than this beside what it was told to wait has lost its database.
PATIENCE = timedelta(seconds=30)

Result = TypeVar("Result")
Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[object]])

_at_work: set[asyncio.Task[Any]] = set()  # the event loop itself keeps only a weak reference
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "For 24 hours the same key gives the same answer and acts once; with another request it is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
}
_SOURCE = {
    "name": SOURCE_HEADER,
    "in": "header",
    "required": False,
    "description": "Through what the command is given, for the history.",
    "schema": {"enum": list(SOURCES), "default": SOURCE},
}
_COMMANDS = frozenset(
    {
        Action.SEND,
        Action.PAUSE,
        Action.RESUME,
        Action.CANCEL,
        Action.UNSCHEDULE,
        Action.ACCEPT,
        Action.HOLD,
    }
)
_PROBLEMS: Mapping[int, tuple[str, str, str, dict[str, object]]] = {
    400: ("The body cannot be parsed.", "unreadable", "The body is not JSON.", {}),
    401: (
        "No key, or one that opens nothing.",
        "no_key",
        "The API key opens nothing: it is wrong, or was revoked.",
        {},
    ),
    403: (
        "The key's role does not allow it.",
        "not_allowed",
        "The key ci is of the role viewer; this needs operator.",
        {"role": "viewer", "needed": "operator"},
    ),
    404: ("There is no such thing.", "not_found", "There is no message b94xh8qbm4qr.", {"id": "b94xh8qbm4qr"}),
    409: (
        "Right in itself, but not in the present state; nothing was changed.",
        "illegal_transition",
        "The message is draft, so pause is refused: it has not been sent. Legal now: send, copy, edit, delete.",
        {"status": "draft", "allowed": ["send", "copy", "edit", "delete"]},
    ),
    413: (
        "The body is too large.",
        "too_large",
        "The body is larger than the 16,777,216 bytes that this call takes.",
        {"largest_bytes": 16_777_216},
    ),
    422: (
        "A value is wrong; `details.fields` names each.",
        "invalid_input",
        "subject is empty.",
        {"field": "subject", "fields": {"subject": "subject is empty."}},
    ),
    429: (
        "Too many wrong keys from this address.",
        "too_many_failures",
        "Too many wrong API keys; try again in 42 s.",
        {"retry_after_seconds": 42},
    ),
    500: (
        "A fault of ours.",
        "unexpected",
        "Something went wrong on the server, and was written to its log.",
        {},
    ),
    503: (
        "PostgreSQL or Temporal does not answer.",
        "unreachable",
        "Temporal does not answer at 127.0.0.1:7233; is the server running?",
        {},
    ),
}


class _Digits(Convertor[str]):
    """Digits in an address, `{contact_id:digits}`, that are a number only once somebody has been let in.

    Starlette's `int` makes the number while it looks for the call, before anything of ours catches what it raises; of
    4,301 digits Python makes none.
    """

    regex = "[0-9]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("digits", _Digits())


@dataclass(frozen=True)
class Declaration:
    """What `call` was told of an endpoint."""

    needs: Action | None  # None: public
    takes_file: bool = False  # the body is put into a file, `request.state.file`
    takes_form: bool = False
    keeps_answer: bool = True  # under an Idempotency-Key
    unhurried: bool = False  # it waits for others than our own servers, and nobody can say how long
    waits: bool = False  # as long as its parameter `wait` says
    #: Status → type of the content → example. FastAPI would leave every null of them out of the document.
    examples: Mapping[int, Mapping[str, object]] = field(default_factory=dict)


def declaration_of(endpoint: Callable[..., object]) -> Declaration:
    """Return what an endpoint was declared as; whatever was not is a fault, for it would be open to everybody."""
    declared = getattr(endpoint, "declaration", None)
    assert isinstance(declared, Declaration), f"{endpoint} is no call"
    return declared


class Call(APIRoute):
    """One call. Its endpoint carries what `call` was told of it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        declared = declaration_of(self.endpoint)
        action = declared.needs

        async def answer(request: Request) -> Response:
            try:
                with database_errors_told():
                    if action is not None:
                        admitted = door_of(request).gatekeeper.admit(request, action)
                        request.state.principal = await patiently(admitted, timedelta(0))
                    response = await _carry_out(request, handle, declared)
            except Exception as error:  # noqa: BLE001  # every error has its answer; what is unexpected is logged there
                response = answer_to(error)
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            return response

        return answer


async def _carry_out(
    request: Request, handle: Callable[[Request], Awaitable[Response]], declared: Declaration
) -> Response:
    """Read the body, and act: once, where there is an Idempotency-Key."""
    request.state.command_id = None
    async with AsyncExitStack() as stack:
        if declared.takes_file:
            file = await stack.enter_async_context(spooled(request, door_of(request).settings.largest_import))
            request.state.file, digest = file.path, file.digest
            request._body = b""  # FastAPI is not to look for it
        else:
            body = await read_body(request)
            if body and not declared.takes_form:
                _require_json(request)
                keep_json(request, body)
            digest = hashlib.sha256(body).digest()
        acting = _act(request, handle, declared, digest)
        told_to_wait = _told_to_wait(request) if declared.waits else timedelta(0)
        return await acting if declared.unhurried else await patiently(acting, told_to_wait)


async def _act(
    request: Request, handle: Callable[[Request], Awaitable[Response]], declared: Declaration, digest: bytes
) -> Response:
    key = idempotency_key(request)
    if key is None or declared.needs is None or not declared.keeps_answer:
        return await handle(request)
    principal = principal_of(request)
    request.state.command_id = command_id_of(principal, key)

    async def act_or_refuse() -> Response:
        try:
            with database_errors_told():
                return await handle(request)
        except Exception as error:  # noqa: BLE001  # as in `answer`; a refusal is an answer that is kept
            return answer_to(error)

    return await door_of(request).answers.once(principal, key, hash_of(request, digest), act_or_refuse)


async def patiently(work: Coroutine[Any, Any, Result], told_to_wait: timedelta) -> Result:
    """Return what `work` does. Raises Unreachable when that takes too long, and waits for its end no longer then.

    A driver whose connection hangs may hang in its own cleaning up, too, and whoever asks is to hear of it.
    """
    task = asyncio.ensure_future(work)
    _at_work.add(task)
    task.add_done_callback(_forget)
    try:
        done, _ = await asyncio.wait({task}, timeout=(PATIENCE + told_to_wait).total_seconds())
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        raise Unreachable(f"There was no answer within {PATIENCE.total_seconds():g} s; it may have been done or not.")
    return task.result()


def _forget(task: asyncio.Task[Any]) -> None:
    _at_work.discard(task)
    if not task.cancelled():
        task.exception()  # of one that was given up nobody asks for it


def _told_to_wait(request: Request) -> timedelta:
    try:
        return timedelta(seconds=min(max(float(request.query_params.get("wait", "10")), 0), 300))
    except ValueError:
        return timedelta(0)  # and it is refused, soon


def _require_json(request: Request) -> None:
    given = request.headers.get("Content-Type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Unreadable(f"The body must be JSON, with Content-Type: application/json; it is {given or 'unnamed'}.")


def call(
    router: APIRouter,
    method: str,
    path: str,
    *,
    needs: Action | None,
    example: object = None,
    status: int = 200,
    also: Mapping[int, str] | None = None,
    problems: tuple[int, ...] = (),
    media: str | None = None,
    takes_file: bool = False,
    takes_form: bool = False,
    keeps_answer: bool = True,
    unhurried: bool = False,
    openapi: dict[str, Any] | None = None,
) -> Callable[[Endpoint], Endpoint]:
    """Declare a call: the least it takes to be let in (None: public), an example of its answer, and its problems.

    `example` is a model, whose class is the schema of the answer; None: the answer has no body. `also` are other
    statuses that answer in the same shape. `media` is the type of an answer that is not JSON; its example is a text.
    """
    given = {401, 403, 429} if needs is not None else set()
    given |= {500, 503, *problems} | ({422} if needs is not None or "{" in path else set())
    given |= {400, 413} if method in ("POST", "PUT", "PATCH") else set()

    def declare(endpoint: Endpoint) -> Endpoint:
        kind = media.partition(";")[0] if media else "application/json" if example is not None else None
        examples = {number: {kind: to_jsonable_python(example)} for number in (status, *(also or {})) if kind}
        endpoint.declaration = Declaration(  # type: ignore[attr-defined]
            needs,
            takes_file,
            takes_form,
            keeps_answer,
            unhurried=takes_file or unhurried,
            waits="wait" in inspect.signature(endpoint).parameters,
            examples=examples,
        )
        answers: dict[int | str, dict[str, Any]] = {
            status: {"content": {kind: {"schema": {"type": "string"}}}} if media else {}
        }
        for other, meaning in (also or {}).items():
            answers[other] = {"model": type(example), "description": meaning}
        described: dict[str, Any] = {"x-role": str(needed_for(needs))} if needs else {"security": []}
        described |= openapi or {}
        if method in ("POST", "PUT") and needs is not None and keeps_answer:
            described["parameters"] = [_IDEMPOTENCY_KEY, *([_SOURCE] if needs in _COMMANDS else [])]
        answers |= {number: _described(number) for number in sorted(given)}
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=status,
            operation_id=endpoint.__name__,
            response_model=type(example) if media is None and isinstance(example, BaseModel) else None,
            responses=answers,
            openapi_extra=described,
            response_class=Response if media or example is None else Default(JSONResponse),
        )
        return endpoint

    return declare


def _described(status: int) -> dict[str, Any]:
    description, code, message, details = _PROBLEMS[status]
    example = {"code": code, "message": message, "details": details}
    return {"model": Problem, "description": description, "content": {"application/json": {"example": example}}}
