"""API keys, for administrators: what there are, a new one, which is shown once, and revoking one."""

from __future__ import annotations

from fastapi import APIRouter, Response

from client.web.contacts import Id
from client.web.notices import Notice
from client.web.once import once
from client.web.pages import Page, page
from client.web.problems import problems_of
from client.web.visit import Visit, Visiting
from models.api_keys import Action, ApiKey, NewApiKey, Role
from models.contact import shown
from models.errors import InvalidInput, NotFound, Refused

router = APIRouter(route_class=Page)
KEYS = "/keys"
_MAY: dict[Role, str] = {
    Role.VIEWER: "looks at everything",
    Role.OPERATOR: "also stops and resumes",
    Role.EDITOR: "also writes and sends",
    Role.ADMIN: "also makes keys",
}


@page(router, "GET", KEYS, needs=Action.MANAGE_KEYS)
async def keys(visit: Visiting) -> Response:
    return await _show(visit)


@page(router, "POST", KEYS, needs=Action.MANAGE_KEYS)
async def create(visit: Visiting) -> Response:
    """Make a key, and show it: this once. When the form is sent again, say what became of it."""
    made: NewApiKey | None = None

    async def make() -> Response:
        nonlocal made
        made = await visit.use.create_key(visit.form["name"], _role(visit.form["role"]))
        # What is kept does not hold the key itself, as nothing does.
        return Response(made.model_dump_json(exclude={"key"}), media_type="application/json")

    try:
        answer = await once(visit, make)
    except (InvalidInput, Refused) as error:
        return await _show(visit, error=error)
    if made is None:
        return await _show(visit, made_before=ApiKey.model_validate_json(bytes(answer.body)))
    return await _show(visit, made=made)


@page(router, "GET", f"{KEYS}/{{key_id}}/revoke", needs=Action.MANAGE_KEYS)
async def revoke_page(visit: Visiting, key_id: Id) -> Response:
    return await visit.show("key_revoke.html", key=await _key(visit, key_id))


@page(router, "POST", f"{KEYS}/{{key_id}}/revoke", needs=Action.MANAGE_KEYS)
async def revoke(visit: Visiting, key_id: Id) -> Response:
    await visit.use.revoke_key(key_id)
    return visit.go(KEYS, notice=Notice.REVOKED)


async def _show(
    visit: Visit,
    *,
    made: NewApiKey | None = None,
    made_before: ApiKey | None = None,
    error: InvalidInput | Refused | None = None,
) -> Response:
    problems = problems_of(error, ("name", "role")) if error else {}
    if isinstance(error, Refused):
        problems = {"name": error.message}
    return await visit.show(
        "keys.html",
        status=200 if error is None else 422 if isinstance(error, InvalidInput) else 409,
        keys=await visit.use.keys(),
        made=made,
        made_before=made_before,
        typed="" if made or made_before else visit.form["name"],
        role=visit.form["role"] or Role.VIEWER,
        problems=problems,
        roles=[(each.value, f"{each.value}: {_MAY[each]}") for each in Role],
    )


async def _key(visit: Visit, key_id: int) -> ApiKey:
    found = next((key for key in await visit.use.keys() if key.id == key_id), None)
    if found is None:
        raise NotFound(f"There is no key {key_id}.", id=key_id)
    return found


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise InvalidInput(f"{shown(text)} is no role.", field="role") from None
