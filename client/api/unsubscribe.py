"""The link in every email (RFC 8058): a GET shows a page and changes nothing, since scanners follow links; a POST acts.

Without an API key: the token of the link is the key, to one thing. Who opens it in a browser gets pages.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.responses import HTMLResponse

from client.api.calls import Call, call
from client.api.door import use_cases
from client.interface import UseCases
from models.errors import LinkOfPreview, NotFound

router = APIRouter(route_class=Call, tags=["Unsubscribe"])
Use = Annotated[UseCases, Depends(use_cases)]

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 18vh auto 0; padding: 0 1.5rem }}
button {{ font: inherit; padding: .6rem 1.4rem; border-radius: .4rem; cursor: pointer }}
</style>
<main>
<h1>{title}</h1>
<p>{text}</p>
{form}</main>
</html>
"""
_ASK = _PAGE.format(
    title="Unsubscribe",
    text="You will get no more emails from us at this address.",
    form='<form method="post"><button>Unsubscribe</button></form>\n',
)
_DONE = _PAGE.format(title="You are unsubscribed", text="We will not write to this address again.", form="")
_NOT_GOOD = _PAGE.format(
    title="This link is not good",
    text="It was cut off, or is not one of ours. Try the link in the email again.",
    form="",
)
_OF_PREVIEW = _PAGE.format(
    title="This is the link of a preview",
    text="It is that of a preview or a test email, and unsubscribes nobody; it acts in the real email.",
    form="",
)
Accept = Annotated[str, Header(include_in_schema=False)]


@call(
    router, "GET", "/unsubscribe/{token}", needs=None, example=_ASK, media="text/html; charset=utf-8", problems=(404,)
)
async def unsubscribe_page(use: Use, token: str, accept: Accept = "") -> HTMLResponse:
    """Show the page with the button. Nothing is changed."""
    try:
        await use.check_unsubscribe(token)
    except NotFound as error:
        return _not_good(error, accept)
    return HTMLResponse(_ASK, headers=_HEADERS)


@call(
    router,
    "POST",
    "/unsubscribe/{token}",
    needs=None,
    example=_DONE,
    media="text/html; charset=utf-8",
    problems=(404,),
    takes_form=True,
)
async def unsubscribe(use: Use, token: str, accept: Accept = "") -> HTMLResponse:
    """Unsubscribe, by one click: it holds at the next claim of a running send. Again is harmless."""
    try:
        await use.unsubscribe(token)
    except NotFound as error:
        return _not_good(error, accept)
    return HTMLResponse(_DONE, headers=_HEADERS)


def _not_good(error: NotFound, accept: str) -> HTMLResponse:
    """Return a page to whoever can read one; a program gets the one shape of errors. Raises NotFound."""
    if "text/html" not in accept:
        raise error
    return HTMLResponse(_OF_PREVIEW if isinstance(error, LinkOfPreview) else _NOT_GOOD, 404, headers=_HEADERS)
