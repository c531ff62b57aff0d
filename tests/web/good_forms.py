"""What every form of the site is filled in with where nothing is wrong, and which odd values its fields take."""

from __future__ import annotations

from dataclasses import dataclass

from tests.acceptance.bad_input_world import World
from tests.web.forms_found import FormField, FoundForm
from tests.web.site import ADMIN_KEY

Values = dict[str, list[str]]


@dataclass(frozen=True)
class Filling:
    """Values for the fields of a form that are to differ from what stands in them; `tried`: None is all fields."""

    values: Values
    tried: frozenset[str] | None = None


def good_forms(world: World) -> dict[str, list[Filling]]:
    """Return how each form is filled in, by its method and address; where one is not here, as it is shown."""
    draft = {
        "name": ["News"],
        "from_address": ["news@example.com"],
        "from_name": ["The News"],
        "reply_to": ["answers@example.com"],
        "subject": ["Hello {{ contact.first_name }}"],
        "html": ["<p>Dear reader</p>"],
        "text": ["Dear reader"],
        "lists": ["everybody"],
        "exclude_lists": ["empty"],
        "where_attribute": ["first_name", ""],
        "where_operator": ["ne", "eq"],
        "where_value": ["Nobody", ""],
        "do": ["save"],
    }
    later = world.words["next_year"]
    batches = {
        "when": ["zone"],
        "at": [later],
        "time_zone": ["Europe/Oslo"],
        "batches": ["size"],
        "batch_size": ["5"],
        "every": ["15m"],
        "ends_at": [later.replace("T09", "T23")],
        "ends_at_zone": ["Europe/Rome"],
        "emails_per_second": ["5"],
        "first_wait": ["1s"],
        "allow_empty": ["yes"],
        "do": ["confirm"],
    }
    number = batches | {"batches": ["number"], "max_batches": ["5"]}
    contacts = batches | {"when": ["contacts"], "batches": ["none"], "passed_zones": ["skip"]}
    of_contacts, of_number = frozenset({"fallback_time_zone", "passed_zones"}), frozenset({"max_batches"})
    of_batches = frozenset({*batches, "tries", "longest_wait", "max_age", "csrf", "seen"})
    everybody = Filling({"whom": ["everybody"]}, frozenset({"csrf", "command_id", "whom", "reason"}))
    decisions = [everybody, Filling({"contact": ["1"]}, frozenset({"contact"}))]
    return {
        "POST /messages/new": [Filling(draft)],
        "POST /messages/{message_id}/edit": [Filling(draft)],
        "POST /messages/{message_id}/send": [
            Filling(batches, of_batches),
            Filling(contacts, of_contacts),
            Filling(number, of_number),
            Filling(batches | {"do": ["send"]}, frozenset({"command_id"})),
        ],
        "POST /messages/{message_id}/test": [Filling({"to": ["me@example.com"]})],
        "POST /contacts/new": [
            Filling({"address": ["ada@example.org"], "attribute_name": ["city", ""], "attribute_value": ["Oslo", ""]})
        ],
        "POST /contacts/{contact_id}": [Filling({"attribute_name": ["city", ""], "attribute_value": ["Oslo", ""]})],
        "POST /lists": [Filling({"name": ["friends"]})],
        "POST /lists/members": [Filling({"address": ["c1@example.com"], "list": ["empty"]})],
        "POST /suppressions": [Filling({"addresses": ["ada@example.org"]})],
        "POST /keys": [Filling({"name": ["anna"]})],
        "POST /messages/{message_id}/in-doubt/accept": decisions,
        "POST /messages/{message_id}/in-doubt/resend": decisions,
        "POST /hold": [Filling({"reason": ["the wrong price"]})],
        "POST /sign-in": [Filling({"key": [ADMIN_KEY]})],
    }


_ANY_TEXT = {"empty", "blank", "a word", "markup", "line breaks", "control characters"}
_ONE_LINE = {"a word", "markup"}
_NOTHING = {"empty", "blank", "missing"}
_ANYTHING = _ANY_TEXT | {"NUL", "long", "missing"}
_LEFT_OUT = {"empty", "missing"}
#: Which of what is tried a field takes, by the form and its field; "*" is any form. All others take none.
TAKES: dict[tuple[str, str], set[str]] = {
    ("*", "q"): _ANYTHING,
    ("*", "tab"): _LEFT_OUT,
    ("*", "status"): _LEFT_OUT,
    ("*", "do"): _ANYTHING,
    ("*", "look"): _ANYTHING,
    ("*", "next"): _ANYTHING,
    ("*", "exclude_recipients"): _ANYTHING,
    ("*", "allow_empty"): {"a word", "NUL", "long"},  # of an audience of nobody
    # a draft
    ("*", "name"): _ONE_LINE,
    ("*", "from_name"): _ONE_LINE | _NOTHING,
    ("*", "reply_to"): _NOTHING,
    ("*", "subject"): _ONE_LINE,
    ("*", "html"): _ANY_TEXT | {"long", "missing"},
    ("*", "text"): _ANY_TEXT | {"long", "missing"},
    ("*", "lists"): {"missing"},
    ("*", "exclude_lists"): {"missing"},
    ("*", "exclude_recipients_of"): _LEFT_OUT,
    ("*", "further_messages"): _NOTHING,
    ("*", "where_attribute"): {"a word"},
    ("*", "where_operator"): _LEFT_OUT,
    ("*", "where_value"): _ANY_TEXT | {"long", "missing"},
    # a schedule
    ("*", "when"): _LEFT_OUT,
    ("*", "batches"): _LEFT_OUT,
    ("*", "passed_zones"): _LEFT_OUT,
    **{
        ("*", name): _NOTHING
        for name in (
            *("fallback_time_zone", "ends_at", "ends_at_zone", "emails_per_second"),
            *("tries", "first_wait", "longest_wait", "max_age"),
        )
    },
    # commands
    ("*", "reason"): _ANY_TEXT | {"missing"},
    ("*", "command_id"): _NOTHING | _ONE_LINE,
    ("POST /hold", "reason"): {"a word", "markup", "line breaks", "control characters"},
    # forms that make something know one another by any text
    **{
        (form, "command_id"): _ANYTHING
        for form in (
            *("POST /messages/new", "POST /messages/{message_id}/copy"),
            *("POST /messages/{message_id}/test", "POST /keys"),
        )
    },
    # contacts; what a form was opened with is only compared
    **{("*", f"before_{name}"): _ANYTHING for name in ("address", "time_zone", "attribute_name", "attribute_value")},
    ("*", "time_zone"): _NOTHING,
    ("POST /messages/{message_id}/send", "time_zone"): set(),
    ("*", "attribute_name"): {"a word"},
    ("*", "attribute_value"): (_ANY_TEXT | {"missing"}) - {"control characters"},
    ("POST /contacts/import", "list"): _NOTHING | _ONE_LINE,
}


def takes(form: FoundForm, field: FormField) -> set[str]:
    return TAKES.get((form.name, field.name), TAKES.get(("*", field.name), set()))
