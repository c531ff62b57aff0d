"""A form that makes something acts once, however often it is sent, and each time leads to the same page.

Its `command_id` is kept with the answer, as an `Idempotency-Key` of the API is. Commands over messages need none of
this: the command itself has the id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable

from fastapi import Response

from client.api.idempotency import hash_of
from client.web.visit import Visit
from models.errors import InvalidInput, Refused

#: Which button sent a form, and for which session it was made, is not what it was filled in with.
_NOT_FILLED_IN = ("csrf", "do", "command_id")


async def once(visit: Visit, act: Callable[[], Awaitable[Response]]) -> Response:
    """Return what `act` answers; when the same form is sent again, what it answered then.

    The answer is kept in the database for a day. What `act` raises is not: the form can be corrected and sent again.
    Raises Refused when the form was sent before with something else in it.
    """
    assert visit.principal is not None, "pages that act need a key"
    filled_in = [pair for pair in visit.form.pairs() if pair[0] not in _NOT_FILLED_IN]
    request_hash = hash_of(visit.request, hashlib.sha256(json.dumps(filled_in).encode()).digest())
    key = "form-" + hashlib.sha256(f"{visit.request.url.path}\x00{visit.command_id}".encode()).hexdigest()
    try:
        return await visit.door.answers.once(visit.principal, key, request_hash, act)
    except InvalidInput as error:
        if error.code != "idempotency_key_reused":
            raise
        raise Refused(
            "This form was sent already, filled in otherwise, and that was done. Nothing was done now; if this is"
            " wanted as well, load the page again and send it from there."
        ) from None
