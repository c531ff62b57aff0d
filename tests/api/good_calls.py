"""A good call of every operation, with every field that it takes; and which odd values each field takes.

A field that is added must be given a value here, and an odd value that becomes legal must be said here to be so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from models.message import MessageStatus
from models.unsubscribe import links_of
from tests.acceptance.bad_input_world import World
from tests.harness import SECRET_KEY

S = MessageStatus


@dataclass(frozen=True)
class GoodCall:
    """What an operation is given where nothing is wrong. Fields that exclude each other stand in separate bodies."""

    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    bodies: tuple[dict[str, Any], ...] = ()
    content: bytes | None = None  # of a body that is no JSON


def _schedules(world: World) -> tuple[dict[str, Any], ...]:
    retry = {"first_wait": "PT1S", "longest_wait": "PT1H", "tries": 5, "max_age": "P1D"}
    later = world.words["next_year"]
    throttle = {"batch_size": 50, "every": "PT15M", "ends_at": None}
    return (
        {
            "at": later,
            "time_zone": "contact",
            "fallback_time_zone": "Europe/Oslo",
            "passed_zones": "send",
            "throttle": throttle,
            "emails_per_second": 10.5,
            "retry": retry,
        },
        {"at": later, "time_zone": "Europe/Oslo", "throttle": {"max_batches": 5, "every": "PT15M"}},
    )


def good_calls(world: World) -> dict[str, GoodCall]:
    """Return a call for every operation, by its name."""
    draft, words = world.words[S.DRAFT], world.words
    content = {
        "name": "News",
        "from_address": "news@example.com",
        "from_name": "The News",
        "reply_to": "answers@example.com",
        "subject": "Hello {{ contact.first_name }}",
        "html": "<p>Dear reader</p>",
        "text": "Dear reader",
        "audience": {
            "lists": ["everybody"],
            "where": {"first_name": {"ne": "Nobody"}, "time_zone": None},
            "exclude_lists": ["empty"],
            "exclude_recipients_of": [words[S.SENT]],
        },
    }
    why = {"reason": "the link is broken", "command_id": "mine"}
    of_draft, of_sent, of_paused = ({"message_id": words[status]} for status in (S.DRAFT, S.SENT, S.PAUSED))
    throttled = {"message_id": words["throttled"]}
    link = links_of(words[S.SENT], "http://sendgate.test", SECRET_KEY)
    assert link is not None
    token = link(1).rpartition("/")[2]
    page = {"limit": "2", "after": "0"}
    return {
        "create": GoodCall(bodies=(content,)),
        "messages": GoodCall(
            query={"status": "draft", "search": "dra", "containing": "Hello", "limit": "2", "after": words["nobody"]}
        ),
        "message": GoodCall(of_draft),
        "change": GoodCall(of_draft, bodies=(content,)),
        "delete": GoodCall(of_draft),
        "plan": GoodCall(of_draft, {"allow_empty": "true"}, _schedules(world)),
        "copy": GoodCall(of_draft, bodies=({"exclude_recipients": True, "name": "Again"},)),
        "send_test": GoodCall(of_draft, bodies=({"to": ["me@example.com"]},)),
        "audience_preview": GoodCall(of_draft, {"sample": "2"}),
        "rendered": GoodCall({"message_id": draft, "contact_id": 1}),
        "rendered_for_the_first": GoodCall(of_draft),
        "send": GoodCall(
            of_draft,
            {"allow_empty": "true", "reason": "it is time", "command_id": "mine", "seen": words["draft_changed_at"]},
            _schedules(world),
        ),
        "pause": GoodCall({"message_id": words[S.SENDING]}, {"wait": "0"}, (why,)),
        "resume": GoodCall(throttled, {"wait": "0"}, (why | {"ends_at": words["tomorrow"]},)),
        "cancel": GoodCall(of_paused, {"wait": "0"}, (why,)),
        "unschedule": GoodCall({"message_id": words[S.SCHEDULED]}, {"wait": "0"}, (why,)),
        "resume_preview": GoodCall(throttled, {"ends_at": words["tomorrow"]}),
        "decide_in_doubt": GoodCall(
            of_sent,
            bodies=({"action": "accept", "contact_ids": [1], "addresses": ["c2@example.com"], **why},),
        ),
        "in_doubt": GoodCall(of_sent, page),
        "progress": GoodCall(of_draft),
        "progress_stream": GoodCall(of_sent),
        "recipients": GoodCall(of_sent, page | {"status": "sent"}),
        "history": GoodCall(of_sent),
        "import_contacts": GoodCall(query={"list": "everybody"}, content=b"email,city\nada@example.org,Oslo\n"),
        "create_contact": GoodCall(
            bodies=(
                {
                    "address": "ada@example.org",
                    "time_zone": "Europe/Oslo",
                    "attributes": {"city": "Oslo"},
                    "lists": ["everybody"],
                },
            )
        ),
        "contacts": GoodCall(query=page | {"list": "everybody", "search": "c"}),
        "contact": GoodCall({"contact_id": 1}),
        "change_contact": GoodCall(
            {"contact_id": 1},
            bodies=({"address": "ada@example.org", "time_zone": "Europe/Oslo", "attributes": {"city": "Oslo"}},),
        ),
        "delete_contact": GoodCall({"contact_id": 1}),
        "lists": GoodCall(),
        "add_to_list": GoodCall({"name": "empty", "contact_id": 1}),
        "remove_from_list": GoodCall({"name": "everybody", "contact_id": 1}),
        "contact_list": GoodCall({"name": "everybody"}),
        "create_list": GoodCall({"name": "friends"}),
        "suppressions": GoodCall(query=page | {"search": "gone"}),
        "suppress": GoodCall(bodies=({"addresses": ["ada@example.org"], "reason": "asked by phone"},)),
        "unsuppress": GoodCall(bodies=({"addresses": ["gone@example.com"]},)),
        "lift_suppression": GoodCall({"suppression_id": 1}),
        "hold": GoodCall(),
        "put_hold": GoodCall(bodies=({"reason": "the wrong price"},)),
        "hold_history": GoodCall(query={"limit": "2", "after": "1"}),
        "release_hold": GoodCall(query={"reason": "the right price"}),
        "unsubscribe_page": GoodCall({"token": token}),
        "unsubscribe": GoodCall({"token": token}),
        "keys": GoodCall(),
        "create_key": GoodCall(bodies=({"name": "anna", "role": "viewer"},)),
        "revoke_key": GoodCall({"key_id": 1}),
        "healthz": GoodCall(),
        "readyz": GoodCall(),
    }


_ANY_TEXT = {"empty", "blank", "a word", "markup", "line breaks", "control characters"}
_ONE_LINE = {"a word", "markup"}
_OPTIONAL_LINE = {"empty", "blank", *_ONE_LINE}
_BODY = _ANY_TEXT | {"long"}
_SECONDS = {"7", "1.5"}  # of an interval
_LOOKED_FOR = _BODY | {"very long"}
#: Which of what is tried a field takes, by operation and name; "*" is any operation. All others take none.
TAKES: dict[tuple[str, str], set[str]] = {
    ("*", "name"): _ONE_LINE,
    ("*", "from_name"): _OPTIONAL_LINE,
    ("*", "subject"): _ONE_LINE,
    ("*", "html"): _BODY,
    ("*", "throttle.every"): _SECONDS,
    ("*", "retry.first_wait"): _SECONDS,
    ("*", "retry.longest_wait"): _SECONDS,
    ("*", "retry.max_age"): _SECONDS,
    ("*", "text"): _BODY,
    ("*", "audience.where.first_name.ne"): _LOOKED_FOR,
    ("*", "audience.where.first_name"): _LOOKED_FOR,
    ("*", "audience.where.time_zone"): _LOOKED_FOR,
    ("*", "reason"): _ANY_TEXT,
    ("*", "command_id"): {"blank", "a word", "markup"},
    ("put_hold", "reason"): _ANY_TEXT - {"empty", "blank"},
    ("create_contact", "time_zone"): {"empty"},  # none
    ("change_contact", "time_zone"): {"empty"},
    ("*", "attributes.city"): {"empty", "blank", "a word", "markup"},
    ("import_contacts", "list"): _ONE_LINE,
    ("create_list", "name"): _ONE_LINE,
    # what is only looked for
    ("messages", "search"): _LOOKED_FOR,
    ("messages", "containing"): _LOOKED_FOR,
    ("*", "search"): _LOOKED_FOR,
}


def takes(operation: str, name: str) -> set[str]:
    return TAKES.get((operation, name), TAKES.get(("*", name), set()))
