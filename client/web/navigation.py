"""The places of the web UI, in the order of the navigation."""

from __future__ import annotations

from typing import NamedTuple

from models.api_keys import Action


class Place(NamedTuple):
    """One entry; it is marked as the present one where the address begins with its path."""

    label: str
    path: str
    needs: Action = Action.LOOK


PLACES = (
    Place("Messages", "/messages"),
    Place("Contacts", "/contacts"),
    Place("Lists", "/lists"),
    Place("Suppressions", "/suppressions"),
    Place("Keys", "/keys", Action.MANAGE_KEYS),
)


def place_at(path: str) -> Place | None:
    """Return the place that an address belongs to."""
    return next((place for place in PLACES if path == place.path or path.startswith(f"{place.path}/")), None)
