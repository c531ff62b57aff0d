"""The use cases over the API: `client.interface.UseCases` by HTTP. What is refused there is the same error here.

The actor of what is done is the key's name, whatever `AskedBy` says; source, reason and command id go along.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import TypeAdapter

from client.api_calls import MESSAGES, ApiCalls, at, items_of, page_of, pieces_of, quoted
from client.interface import (
    DEFAULT_WAIT,
    AskedBy,
    AudiencePreview,
    CommandResult,
    Progress,
    RecipientInDoubt,
    ResumePreview,
    SendPreview,
    SendTestOutcome,
)
from models.api_keys import ApiKey, NewApiKey, Role
from models.commands import HistoryEntry
from models.contact import Contact, ContactChanges, ImportResult, ListSummary, Suppression, id_shown
from models.errors import InvalidInput
from models.hold import Hold, HoldEntry
from models.message import ContentChanges, Message, MessageContent, MessageStatus
from models.recipient import Recipient, RecipientStatus
from models.schedule import Schedule

#: A little longer than the API gives itself.
_PATIENCE = timedelta(seconds=40)
_PAGE = 1_000


@asynccontextmanager
async def open_remote(url: str, key: str) -> AsyncIterator[Remote]:
    """Open the use cases on the API at `url`. It connects when a use case is asked for. Raises InvalidInput."""
    try:
        base = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidInput(f"{id_shown(url)} is not the address of an API: {error}.", field="url") from error
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=_PATIENCE.total_seconds()) as client:
        yield Remote(client)


class Remote(ApiCalls):
    """See `client.interface.UseCases` for each. Raises Unreachable when the API does not answer."""

    # -- contacts -----------------------------------------------------------------------------------------------

    async def import_contacts(
        self, path: str, *, list_name: str | None, on_progress: Callable[[int, int], None] | None = None
    ) -> ImportResult:
        content = pieces_of(Path(path), on_progress)
        params = {} if list_name is None else {"list": list_name}
        return await self._ask(
            ImportResult.model_validate,
            "POST",
            "/v1/contacts/import",
            params=params,
            content=content,
            timeout=None,
        )

    async def contacts(
        self, *, list_name: str | None = None, search: str = "", limit: int = 100, after: int = 0
    ) -> list[Contact]:
        params: dict[str, Any] = {"limit": limit, "after": after, "search": search}
        if list_name is not None:
            params["list"] = list_name
        return await self._ask(items_of(Contact), "GET", "/v1/contacts", params=params)

    async def contact(self, contact_id: int) -> Contact:
        return await self._ask(Contact.model_validate, "GET", f"/v1/contacts/{contact_id}")

    async def create_contact(
        self,
        address: str,
        *,
        time_zone: str | None = None,
        attributes: Mapping[str, str | None] = {},
        lists: Sequence[str] = (),
    ) -> Contact:
        new = {"address": address, "time_zone": time_zone, "attributes": dict(attributes), "lists": list(lists)}
        return await self._ask(Contact.model_validate, "POST", "/v1/contacts", json=new)

    async def change_contact(self, contact_id: int, changes: ContactChanges) -> Contact:
        given = changes.model_dump(mode="json", exclude_unset=True)
        return await self._ask(Contact.model_validate, "PATCH", f"/v1/contacts/{contact_id}", json=given)

    async def delete_contact(self, contact_id: int) -> None:
        await self._do("DELETE", f"/v1/contacts/{contact_id}")

    async def lists(self) -> list[ListSummary]:
        return await self._ask(items_of(ListSummary), "GET", "/v1/lists")

    async def contact_list(self, name: str) -> ListSummary:
        return await self._ask(ListSummary.model_validate, "GET", f"/v1/lists/{quoted(name)}")

    async def create_list(self, name: str) -> ListSummary:
        return await self._ask(ListSummary.model_validate, "PUT", f"/v1/lists/{quoted(name)}")

    async def add_to_list(self, name: str, contact_id: int) -> None:
        await self._do("PUT", f"/v1/lists/{quoted(name)}/contacts/{contact_id}")

    async def remove_from_list(self, name: str, contact_id: int) -> None:
        await self._do("DELETE", f"/v1/lists/{quoted(name)}/contacts/{contact_id}")

    async def suppressions(self, *, search: str = "", limit: int = 100, after: int = 0) -> list[Suppression]:
        params = {"search": search, "limit": limit, "after": after}
        return await self._ask(items_of(Suppression), "GET", "/v1/suppressions", params=params)

    async def suppress(self, addresses: Sequence[str], *, reason: str) -> int:
        given = {"addresses": list(addresses), "reason": reason}
        return await self._ask(_changed, "POST", "/v1/suppressions", json=given)

    async def unsuppress(self, addresses: Sequence[str]) -> int:
        given = {"addresses": list(addresses)}
        return await self._ask(_changed, "POST", "/v1/suppressions/lift", json=given)

    async def lift_suppression(self, suppression_id: int) -> None:
        await self._do("DELETE", f"/v1/suppressions/{suppression_id}")

    async def check_unsubscribe(self, token: str) -> None:
        await self._request("GET", f"/unsubscribe/{quoted(token)}")

    async def unsubscribe(self, token: str) -> None:
        await self._request("POST", f"/unsubscribe/{quoted(token)}")

    # -- messages -----------------------------------------------------------------------------------------------

    async def create(self, content: MessageContent) -> Message:
        return await self._ask(Message.model_validate, "POST", MESSAGES, json=content.model_dump(mode="json"))

    async def change(self, message_id: str, changes: ContentChanges) -> Message:
        given = changes.model_dump(mode="json", exclude_unset=True)
        return await self._ask(Message.model_validate, "PATCH", at(message_id), json=given)

    async def edit(self, message_id: str, content: MessageContent) -> Message:
        given = content.model_dump(mode="json")
        return await self._ask(Message.model_validate, "PATCH", at(message_id), json=given)

    async def delete(self, message_id: str) -> None:
        await self._do("DELETE", at(message_id))

    async def message(self, message_id: str) -> Message:
        return await self._ask(Message.model_validate, "GET", at(message_id))

    async def messages(
        self,
        *,
        statuses: Sequence[MessageStatus] = (),
        search: str = "",
        containing: str = "",
        limit: int = 50,
        after: str | None = None,
    ) -> tuple[list[Message], str | None]:
        params: dict[str, Any] = {
            "status": [status.value for status in statuses],
            "search": search,
            "containing": containing,
            "limit": limit,
        }
        if after is not None:
            params["after"] = after
        return await self._ask(page_of(Message), "GET", MESSAGES, params=params)

    async def messages_containing(self, text: str, *, statuses: Sequence[MessageStatus]) -> list[str]:
        found: list[str] = []
        after: str | None = None
        while True:
            page, after = await self.messages(statuses=statuses, containing=text, limit=500, after=after)
            found += [message.id for message in page]
            if after is None:
                return found[::-1]

    async def audience_preview(self, message_id: str, *, sample: int = 5) -> AudiencePreview:
        path = at(message_id, "/audience-preview")
        return await self._ask(AudiencePreview.model_validate, "GET", path, params={"sample": sample})

    async def rendered(self, message_id: str, contact_id: int | None = None) -> bytes:
        whose = "" if contact_id is None else f"/{contact_id}"
        response = await self._request("GET", at(message_id, f"/rendered{whose}"))
        if not response.headers.get("Content-Type", "").startswith("message/rfc822"):
            raise self._not_ours(response)
        return response.content

    async def send_test(self, message_id: str, addresses: Sequence[str]) -> list[SendTestOutcome]:
        return await self._ask(
            _outcomes,
            "PUT",
            at(message_id, "/sendtest"),
            json={"to": list(addresses)},
            timeout=_PATIENCE.total_seconds() * 10,
        )

    # -- commands -----------------------------------------------------------------------------------------------

    async def send(
        self,
        message_id: str,
        schedule: Schedule,
        asked_by: AskedBy,
        *,
        allow_empty: bool = False,
        seen: datetime | None = None,
    ) -> CommandResult:
        params = {"allow_empty": allow_empty, "reason": asked_by.reason, "command_id": asked_by.command_id}
        if seen is not None:
            params["seen"] = seen.isoformat()
        return await self._ask(
            _result,
            "PUT",
            at(message_id, "/send"),
            json=schedule.model_dump(mode="json"),
            params=params,
            headers=_source(asked_by),
        )

    async def plan(self, message_id: str, schedule: Schedule, *, allow_empty: bool = False) -> SendPreview:
        given, params = schedule.model_dump(mode="json"), {"allow_empty": allow_empty}
        return await self._ask(SendPreview.model_validate, "POST", at(message_id, "/plan"), json=given, params=params)

    async def pause(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        return await self._command(message_id, "pause", asked_by, wait)

    async def resume(
        self,
        message_id: str,
        asked_by: AskedBy,
        *,
        ends_at: datetime | None = None,
        wait: timedelta = DEFAULT_WAIT,
    ) -> CommandResult:
        more = {} if ends_at is None else {"ends_at": ends_at.isoformat()}
        return await self._command(message_id, "resume", asked_by, wait, more)

    async def cancel(self, message_id: str, asked_by: AskedBy, *, wait: timedelta = DEFAULT_WAIT) -> CommandResult:
        return await self._command(message_id, "cancel", asked_by, wait)

    async def unschedule(self, message_id: str, asked_by: AskedBy) -> CommandResult:
        return await self._command(message_id, "unschedule", asked_by, timedelta(0))

    async def copy(self, message_id: str, *, exclude_recipients: bool = False, name: str | None = None) -> Message:
        how = {"exclude_recipients": exclude_recipients, "name": name}
        return await self._ask(Message.model_validate, "POST", at(message_id, "/copy"), json=how)

    async def resume_preview(self, message_id: str, *, ends_at: datetime | None = None) -> ResumePreview:
        params = {} if ends_at is None else {"ends_at": ends_at.isoformat()}
        return await self._ask(ResumePreview.model_validate, "GET", at(message_id, "/resume-preview"), params=params)

    # -- in doubt -----------------------------------------------------------------------------------------------

    async def in_doubt(self, message_id: str, *, after: int = 0) -> AsyncGenerator[RecipientInDoubt, None]:
        following: int | None = after
        while following is not None:
            params = {"limit": _PAGE, "after": following}
            path = at(message_id, "/in-doubt")
            page, following = await self._ask(page_of(RecipientInDoubt), "GET", path, params=params)
            for recipient in page:
                yield recipient

    async def accept_in_doubt(
        self, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None = None
    ) -> CommandResult:
        return await self._decide(message_id, "accept", asked_by, whom)

    async def resend_in_doubt(
        self, message_id: str, asked_by: AskedBy, whom: Sequence[str | int] | None = None
    ) -> CommandResult:
        return await self._decide(message_id, "resend", asked_by, whom)

    async def _decide(
        self, message_id: str, action: str, asked_by: AskedBy, whom: Sequence[str | int] | None
    ) -> CommandResult:
        decision: dict[str, object] = {"action": action, **_why(asked_by)}
        if whom is not None:
            decision["contact_ids"] = [name for name in whom if isinstance(name, int)]
            decision["addresses"] = [name for name in whom if isinstance(name, str)]
        path = at(message_id, "/in-doubt")
        return await self._ask(_result, "POST", path, json=decision, headers=_source(asked_by))

    # -- looking ------------------------------------------------------------------------------------------------

    async def progress(self, message_id: str) -> Progress:
        return await self._ask(Progress.model_validate, "GET", at(message_id, "/progress"))

    async def recipients(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = ()
    ) -> AsyncGenerator[Recipient, None]:
        following: int | None = 0
        while following is not None:
            page, following = await self.recipients_page(message_id, statuses=statuses, limit=_PAGE, after=following)
            for recipient in page:
                yield recipient

    async def recipients_page(
        self, message_id: str, *, statuses: Sequence[RecipientStatus] = (), limit: int = 100, after: int = 0
    ) -> tuple[list[Recipient], int | None]:
        params = {"status": [status.value for status in statuses], "limit": limit, "after": after}
        return await self._ask(page_of(Recipient), "GET", at(message_id, "/recipients"), params=params)

    async def history(self, message_id: str) -> list[HistoryEntry]:
        return await self._ask(items_of(HistoryEntry), "GET", at(message_id, "/history"))

    # -- the hold, keys, servers --------------------------------------------------------------------------------

    async def hold(self) -> Hold:
        return await self._ask(Hold.model_validate, "GET", "/v1/hold")

    async def put_hold(self, asked_by: AskedBy) -> Hold:
        given = {"reason": asked_by.reason}
        return await self._ask(Hold.model_validate, "PUT", "/v1/hold", json=given, headers=_source(asked_by))

    async def release_hold(self, asked_by: AskedBy) -> Hold:
        why = {"reason": asked_by.reason}
        return await self._ask(Hold.model_validate, "DELETE", "/v1/hold", params=why, headers=_source(asked_by))

    async def hold_history(self, *, limit: int = 100, after: int | None = None) -> tuple[list[HoldEntry], int | None]:
        params = {"limit": limit} | ({} if after is None else {"after": after})
        return await self._ask(page_of(HoldEntry), "GET", "/v1/hold/history", params=params)

    async def create_key(self, name: str, role: Role) -> NewApiKey:
        return await self._ask(NewApiKey.model_validate, "POST", "/v1/keys", json={"name": name, "role": role})

    async def keys(self) -> list[ApiKey]:
        return await self._ask(items_of(ApiKey), "GET", "/v1/keys")

    async def revoke_key(self, key_id: int) -> ApiKey:
        return await self._ask(ApiKey.model_validate, "DELETE", f"/v1/keys/{key_id}")

    async def check_servers(self) -> None:
        await self._ask(_ready, "GET", "/readyz")

    # -- how it is asked ----------------------------------------------------------------------------------------

    async def _command(
        self, message_id: str, verb: str, asked_by: AskedBy, wait: timedelta, more: Mapping[str, object] = {}
    ) -> CommandResult:
        seconds = wait.total_seconds()
        return await self._ask(
            _result,
            "PUT",
            at(message_id, f"/{verb}"),
            json={**_why(asked_by), **more},
            params={"wait": min(seconds, 300)},
            headers=_source(asked_by),
            timeout=seconds + _PATIENCE.total_seconds(),
        )


def _why(asked_by: AskedBy) -> dict[str, str]:
    return {"reason": asked_by.reason, "command_id": asked_by.command_id}


def _source(asked_by: AskedBy) -> dict[str, str]:
    return {"Sendgate-Source": asked_by.source}


def _ready(answered: Any) -> None:
    if answered["status"] != "ready":
        raise ValueError(answered["status"])


def _changed(answered: Any) -> int:
    return int(answered["changed"])


def _outcomes(answered: Any) -> list[SendTestOutcome]:
    return TypeAdapter(list[SendTestOutcome]).validate_python(answered["outcomes"])


def _result(answered: Any) -> CommandResult:
    """Return the message and the command's receipt, which the API puts into it; null while not confirmed."""
    message = Message.model_validate(answered)
    return CommandResult(message=message, receipt=message.receipt)
