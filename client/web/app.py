"""The web UI as a part of the API's application."""

from __future__ import annotations

from fastapi import FastAPI

from client.drafts import Drafts
from client.keys import Keys
from client.lookups import Lookups
from client.overview import Overview
from client.web import (
    assets,
    commands,
    contact_import,
    contact_lists,
    contacts,
    editor,
    holding,
    key_pages,
    message,
    messages,
    previews,
    scheduling,
    signing_in,
    suppressions,
)
from client.web.rendering import Templates
from client.web.sessions import Sessions
from client.web.visit import Web
from models.unsubscribe import missing_settings
from settings import Settings
from storage.database import Pool

#: Every part of the UI. What has an address of its own comes before what takes any name in its place.
ROUTERS = (
    signing_in.router,
    editor.router,
    previews.router,
    scheduling.router,
    messages.router,
    commands.router,
    message.router,
    contact_import.router,
    contacts.router,
    contact_lists.router,
    suppressions.router,
    holding.router,
    key_pages.router,
)


def make_web(pool: Pool, keys: Keys, settings: Settings, drafts: Drafts) -> Web:
    """Put together what pages need beside the API's door."""
    secret_key = settings.secret_key.get_secret_value() if settings.secret_key else None
    lookups = Lookups(pool, missing_settings(settings.public_url, secret_key))
    return Web(Sessions(pool, keys), Overview(pool), Templates(settings.default_time_zone), lookups, drafts)


def add_pages(app: FastAPI, web: Web) -> None:
    """Serve all pages."""
    app.state.web = web
    for part in ROUTERS:
        app.include_router(part)
    app.include_router(assets.router)
