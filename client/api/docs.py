"""`/openapi.json` and `/docs`: Swagger UI from files that a package brings, since nothing is loaded from elsewhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from client.api import commands, health, hold, keys, looking, messages, people, unsubscribe
from client.api.calls import Call, declaration_of

#: Every part of the API, in the order of the document.
ROUTERS = (
    messages.router,
    commands.router,
    looking.router,
    people.router,
    hold.router,
    unsubscribe.router,
    keys.router,
    health.router,
)
_ABOUT = """
Send one email text to many contacts, and stop it: pause, resume, cancel, unschedule.

Every call needs an API key, as `Authorization: Bearer KEY` or as the user name of HTTP Basic. Keys have roles, each of
which may do what those before it may: viewer, operator, editor, admin; `x-role` says which one a call needs.

Every error is `{"code", "message", "details"}`. Any POST or PUT takes an `Idempotency-Key`: for 24 hours the same key
gives the same answer and acts once.
"""
_ASSETS = "/docs/assets"

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """The OpenAPI document as a page on which calls can be tried."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Sendgate API",
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon.png",
    )


def document(app: FastAPI) -> None:
    """Serve all calls and their documentation, and say in the OpenAPI document how one is let in."""
    for part in ROUTERS:
        app.include_router(part)
    app.include_router(router)
    app.mount(_ASSETS, StaticFiles(directory=_asset_folder()), name="docs-assets")

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title="Sendgate", version=version("sendgate"), description=_ABOUT.strip(), routes=app.routes
            )
            schemas = made["components"]["schemas"]
            for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own shape, which nothing answers with
                schemas.pop(unused, None)
            _show_examples(made)
            made["components"]["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The key is the user name."},
            }
            made["security"] = [{"bearer": []}, {"basic": []}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way of changing the document


def methods_at(path: str) -> list[str]:
    """Return the methods that an address takes, as the first of the patterns that fit it has them."""
    here = next((call.path for call in _calls() if call.path_regex.match(path)), None)
    return sorted({method for call in _calls() if call.path == here for method in call.methods or ()})


def _calls() -> Iterator[Call]:
    return (route for router in ROUTERS for route in router.routes if isinstance(route, Call))


def _show_examples(made: dict[str, Any]) -> None:
    """Put the examples of the calls into the document."""
    declared = {call.operation_id: declaration_of(call.endpoint) for call in _calls()}
    for operation in (operation for path in made["paths"].values() for operation in path.values()):
        for status, examples in declared[operation["operationId"]].examples.items():
            for kind, example in examples.items():
                operation["responses"][str(status)]["content"][kind]["example"] = example


def _asset_folder() -> Path:
    """Return where the package fastapi-offline keeps Swagger UI; found without importing it."""
    found = importlib.util.find_spec("fastapi_offline")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "static"
