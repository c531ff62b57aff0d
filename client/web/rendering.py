"""Templates → HTML. Everything that is shown is escaped: names, subjects and reasons are what somebody typed."""

from __future__ import annotations

from pathlib import Path

import jinja2

from client.web import assets, words
from client.web.navigation import PLACES
from models.api_keys import Action
from models.commands import ReceiptOutcome, Verb
from models.message import MessageStatus
from models.recipient import RecipientStatus

_FOLDER = Path(__file__).with_name("templates")


class Templates:
    """The templates, with what all of them may use: statuses are compared with the enums, never with texts."""

    def __init__(self, time_zone: str) -> None:
        self.clock = clock = words.Clock(time_zone)
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= clock.filters() | {
            "number": words.number,
            "capitalized": words.capitalized,
            "span": words.span,
            "recipient_word": words.recipient_word,
            "share": words.finished_share,
            "as_counts": words.as_counts,
        }
        self._environment.globals |= {
            "asset": assets.address_of,
            "places": PLACES,
            "time_zone": time_zone,
            "Action": Action,
            "Status": MessageStatus,
            "RecipientStatus": RecipientStatus,
            "Verb": Verb,
            "Outcome": ReceiptOutcome,
            "done_words": words.DONE,
            "status_icons": words.STATUS_ICONS,
        }

    def render(self, name: str, **values: object) -> str:
        return self._environment.get_template(name).render(**values)
