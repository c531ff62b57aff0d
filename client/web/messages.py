"""Messages, with the tabs Drafts, Scheduled and Email Sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from client.interface import Progress
from client.web.addresses import HOME
from client.web.menu import TABS, Item, Tab, menu_of
from client.web.pages import Page, page
from client.web.send_time import SendTime, send_time
from client.web.visit import Visit, Visiting, web_of
from models.api_keys import Action
from models.contact import id_shown
from models.errors import NotFound
from models.message import Message, MessageStatus
from storage.overview import Outline

router = APIRouter(route_class=Page)
ROWS_A_PAGE = 25
LONGEST_SEARCH = 200  # characters
_UNDER_WAY = (MessageStatus.SENDING, MessageStatus.PAUSED)


@dataclass(frozen=True)
class TabShown:
    """A tab as components.html takes it."""

    label: str
    count: int | None
    address: str
    present: bool


@dataclass(frozen=True)
class Row:
    """A message in the list."""

    message: Message
    time: SendTime
    menu: list[Item]


def search_in(text: str) -> str:
    """Return what is looked for: as it was typed, without what no text of ours can hold."""
    return text.replace("\x00", "").strip()[:LONGEST_SEARCH]


@page(router, "GET", HOME, needs=Action.LOOK)
async def messages(
    visit: Visiting, tab: str = "", q: str = "", after: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """One tab; without a name, the first that has something, from the right: what is being sent matters most."""
    search = search_in(q)
    tally = await visit.overview.tally(search)
    numbers = {each: sum(tally[status] for status in each.statuses) for each in TABS}
    chosen = next((each for each in TABS if each.code == tab), None) if tab else _first_with_something(numbers)
    if chosen is None:
        raise NotFound(f"There is no tab {id_shown(tab)}.")
    found, following = await visit.use.messages(
        statuses=chosen.statuses, search=search, limit=ROWS_A_PAGE, after=after or None
    )
    return await visit.show(
        "messages.html",
        tabs=[TabShown(each.label, numbers[each], _address(each, search), each is chosen) for each in TABS],
        tab=chosen,
        search=search,
        rows=await _rows(visit, found),
        first=_address(chosen, search) if after else None,
        following=_address(chosen, search, following) if following else None,
    )


def _first_with_something(numbers: dict[Tab, int]) -> Tab:
    return next((each for each in reversed(TABS) if numbers[each]), TABS[0])


def _address(tab: Tab, search: str, after: str | None = None) -> str:
    asked = {"tab": tab.code, "q": search, "after": after}
    return f"{HOME}?{urlencode({name: value for name, value in asked.items() if value})}"


async def _rows(visit: Visit, found: list[Message]) -> list[Row]:
    clock = web_of(visit.request).templates.clock
    outlines = await visit.overview.outlines([message.id for message in found])
    under_way = [message.id for message in found if message.status in _UNDER_WAY]
    progress = dict(zip(under_way, await asyncio.gather(*(_progress(visit, each) for each in under_way)), strict=True))
    return [
        Row(
            message,
            send_time(message, outlines.get(message.id, Outline()), progress.get(message.id), clock),
            menu_of(message, visit),
        )
        for message in found
    ]


async def _progress(visit: Visit, message_id: str) -> Progress | None:
    """Return the progress of a message; None of one that was deleted while the list was put together."""
    try:
        return await visit.use.progress(message_id)
    except NotFound:
        return None
