"""One request to a page: who asks, what was filled in, and the ways to answer."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from client.api.door import Door, door_of
from client.drafts import Drafts
from client.interface import AskedBy, UseCases
from client.lookups import Lookups
from client.overview import Overview
from client.web.forms import Form
from client.web.navigation import place_at
from client.web.notices import Notice, sentence_of
from client.web.rendering import Templates
from client.web.sessions import Sessions, csrf_token
from models.api_keys import Action, Principal, may
from models.hold import Hold

SOURCE = "web"


@dataclass
class Web:
    """What pages need beside the API's door. Made once, and found by each request."""

    sessions: Sessions
    overview: Overview
    templates: Templates
    lookups: Lookups
    drafts: Drafts  # in process: only there a save can ask for the version that it was opened with


def web_of(request: Request) -> Web:
    web: Web = request.app.state.web
    return web


@dataclass
class Visit:
    """A request by somebody who is signed in, or, on public pages, by anybody."""

    request: Request
    token: str  # of the cookie
    principal: Principal | None = None
    form: Form = field(default_factory=Form)
    file: Path | None = None  # that the form brought along

    @property
    def door(self) -> Door:
        return door_of(self.request)

    @property
    def use(self) -> UseCases:
        return self.door.use

    @property
    def overview(self) -> Overview:
        return web_of(self.request).overview

    @property
    def csrf_token(self) -> str:
        return csrf_token(self.token)

    @property
    def command_id(self) -> str:
        """The id that a form gives its command: the one that it had, or a new one."""
        return self.form["command_id"] or self.fresh_id

    @property
    def fresh_id(self) -> str:
        """An id for a form that, shown again after whatever became of it, is to act anew."""
        return secrets.token_urlsafe(12)

    def may(self, action: Action) -> bool:
        """Whether the key of whoever is signed in allows this; what it does not is not offered."""
        return self.principal is not None and may(self.principal.role, action)

    def asked_by(self, reason: str = "") -> AskedBy:
        """Say who asks. A form carries the id of its command, so that sending it twice acts once."""
        assert self.principal is not None, "pages that act need a key"
        return AskedBy(actor=self.principal.name, source=SOURCE, reason=reason, command_id=self.command_id)

    async def show(self, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """Answer with a page; templates have `visit`, the hold and the notice beside `values`."""
        hold = await self.use.hold() if self.principal is not None else Hold(held=False)
        html = self.render(template, hold=hold, notice=sentence_of(self.request.query_params.get("notice")), **values)
        return HTMLResponse(html, status)

    def render(self, template: str, **values: object) -> str:
        """Return a template as HTML, without asking anybody."""
        place = place_at(self.request.url.path)
        return web_of(self.request).templates.render(template, visit=self, place=place, **values)

    def go(self, path: str, *, notice: Notice | None = None) -> RedirectResponse:
        """Answer a form: the browser looks at `path` next, and loading that again sends nothing twice."""
        if notice is not None:
            path += ("&" if "?" in path else "?") + urlencode({"notice": notice})
        return RedirectResponse(path, 303)


def _visit_of(request: Request) -> Visit:
    visit: Visit = request.state.visit
    return visit


#: What every page takes as its first parameter.
Visiting = Annotated[Visit, Depends(_visit_of)]
