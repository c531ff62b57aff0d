"""Contacts: what an address, a time zone, an attribute and a list may be, and the shapes the doors show. Pure.

The identity of a contact is its address: `address_key` is what is unique, here and in the ledger.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
import zoneinfo
from datetime import datetime
from functools import lru_cache

import idna
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InvalidInput

#: RFC 5321 section 4.5.3.1.1, in octets.
LONGEST_LOCAL_PART = 64
#: RFC 3696 erratum 1690: a path is 256 octets with its angle brackets. Leaves no room for a domain over 255.
LONGEST_ADDRESS = 254
#: Characters of one attribute's value, of an attribute's name, of a list's name.
LONGEST_VALUE = 1000
LONGEST_NAME = 100

#: Control characters that no text of ours may hold; tab and line feed may stand in an attribute.
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_LONGEST_SHOWN = 60  # characters of what a user typed, in a sentence
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+")
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class Contact(BaseModel):
    """A person known to the system."""

    model_config = ConfigDict(frozen=True)

    id: int
    address: str
    time_zone: str | None
    attributes: dict[str, str]
    lists: list[str] = []
    suppressed: str | None = Field(None, description="The reason, if the address is suppressed.")


class ContactChanges(BaseModel):
    """What to change of a contact; a field that was not given stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field("", description="The new address.")
    time_zone: str | None = Field(None, description="null removes it.")
    attributes: dict[str, str | None] = Field(
        default_factory=dict, description="Merged over the old ones; null or an empty text removes one."
    )


class ListSummary(BaseModel):
    """A list and how many contacts are on it."""

    model_config = ConfigDict(frozen=True)

    name: str
    contacts: int


class Suppression(BaseModel):
    """An address that is never mailed, whether or not it is a contact's. Unsubscribing is the reason UNSUBSCRIBED."""

    model_config = ConfigDict(frozen=True)

    id: int
    address: str
    reason: str
    created_at: datetime


UNSUBSCRIBED = "unsubscribed"


class RejectedLine(BaseModel):
    """One line of a CSV that was not imported. `line` counts from 1 and includes the header."""

    model_config = ConfigDict(frozen=True)

    line: int
    reason: str


#: Of the rejected lines of a CSV so many are named; whoever has that many wrong made one mistake in all of them.
MOST_REJECTED_NAMED = 10_000


class ImportResult(BaseModel):
    """What an import did. `rejected` names the first 10,000 rejected lines, in order; `rejected_total` counts all."""

    model_config = ConfigDict(frozen=True)

    created: int
    updated: int
    rejected: list[RejectedLine]
    rejected_total: int = Field(
        default_factory=lambda given: len(given["rejected"]),  # of a server that does not count them it names all
        description="How many lines were rejected; `rejected` names the first 10,000 of them.",
    )


def check_address(text: str) -> str:
    """Return the address without the spaces around it. Raises InvalidInput with a sentence.

    The addr-spec of RFC 5321 with the local part unquoted and, by RFC 6531, not only ASCII. The domain must be valid
    IDNA with a dot in it, or `localhost`.
    """
    address = text.strip()
    problem = _problem_of(address)
    if problem:
        raise InvalidInput(
            f"{shown(address)} is not an email address: {problem}." if address else "The address is empty."
        )
    return address


def address_key(address: str) -> str:
    """Return what makes an address one contact: NFC, lower case, the domain in IDNA's ASCII form (UTS 46).

    Raises InvalidInput when the domain is not a domain; give it what `check_address` returned.
    """
    local, _, domain = address.rpartition("@")
    if address.isascii():
        return f"{local.lower()}@{ascii_domain(domain)}"
    # Lowering may take a composed letter apart, hence NFC after it as well.
    lowered = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
    return f"{lowered}@{ascii_domain(domain)}"


@lru_cache(maxsize=65_536)
def ascii_domain(domain: str) -> str:
    """Return the domain in lower-case ASCII, its international labels as A-labels. Raises InvalidInput."""
    # A plain domain needs no tables. Two hyphens may announce an A-label, which has to be a valid one.
    if _PLAIN_DOMAIN.fullmatch(domain) and "--" not in domain and len(domain) <= LONGEST_ADDRESS:
        return domain.lower()
    try:
        # The length first: the work of decoding a label grows with its square.
        return idna.encode(domain if len(domain) <= LONGEST_ADDRESS else "", uts46=True).decode()
    except UnicodeError:
        raise InvalidInput(f"{shown(domain)} is not a domain.") from None


def _problem_of(address: str) -> str | None:
    """Return what is wrong with an address, as the end of a sentence."""
    local, at, domain = address.rpartition("@")
    if "<" in address or ">" in address:
        return "write the address alone, without a name and angle brackets"
    if local.startswith('"'):
        return "quoted local parts are not supported"
    if not address.isprintable() or " " in address:
        return "it holds a space, a line break or an invisible character"
    if not at:
        return "it has no @"
    if not local or not domain:
        return f"nothing stands {'after' if local else 'before'} the @"
    if "@" in local:
        return "it has more than one @"
    if not all(map(_ATOM.fullmatch, local.split("."))):
        return "the part before the @ holds a character or a dot where none may be"
    octets = len(local.encode())
    if octets > LONGEST_LOCAL_PART:
        return f"the part before the @ has {octets} octets and {LONGEST_LOCAL_PART} are allowed"
    return _problem_of_domain(domain, octets_left=LONGEST_ADDRESS - 1 - octets)


def _problem_of_domain(domain: str, octets_left: int) -> str | None:
    too_long = f"it is longer than {LONGEST_ADDRESS} octets"
    if len(domain.encode()) > octets_left:
        return too_long
    try:
        ascii_form = ascii_domain(domain)
    except InvalidInput:
        return f"{shown(domain)} is not a domain"
    if len(ascii_form) > octets_left:
        return too_long
    _, dot, top_level = ascii_form.rpartition(".")
    if not dot and ascii_form != "localhost":
        return f"the domain {shown(domain)} has no dot"
    if dot and not top_level:
        return f"the domain {shown(domain)} ends with a dot"
    return "its domain is a number" if top_level.isdigit() else None


def check_time_zone(text: str) -> str:
    """Return the IANA name without the spaces around it. Raises InvalidInput that suggests the name that was meant."""
    name = text.strip()
    if name in time_zones():
        return name
    meant = _time_zone_meant(name)
    hint = f"; did you mean {meant}?" if meant else " such as Europe/Oslo."
    raise InvalidInput(f"{shown(name)} is not an IANA time zone{hint}")


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """Return the names of all IANA zones."""
    # Two files of the zone database that name no place: this machine's zone, and "not set yet".
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


@lru_cache(maxsize=4096)
def _time_zone_meant(name: str) -> str | None:
    """Return the zone a wrong name comes closest to: other case, a blank for _, the city alone, a typing error."""
    wanted = name.casefold().replace(" ", "_")
    if not 3 <= len(wanted) <= 40:
        return None
    by_name = _time_zones_by_folded_name()
    if wanted in by_name:
        return by_name[wanted]
    # The same first letter: a hundred comparisons instead of six hundred, since files hold thousands of wrong names.
    alike = difflib.get_close_matches(wanted, [zone for zone in by_name if zone[0] == wanted[0]], 1, 0.75)
    return by_name[alike[0]] if alike else None


@lru_cache(maxsize=1)
def _time_zones_by_folded_name() -> dict[str, str]:
    zones = sorted(time_zones())
    cities = {zone.rpartition("/")[2].casefold(): zone for zone in zones if "/" in zone and not zone.startswith("Etc/")}
    return cities | {zone.casefold(): zone for zone in zones}


def check_attribute_name(name: str) -> str:
    """Return the name. It must work as `{{ contact.NAME }}` in a template. Raises InvalidInput."""
    if not name.isidentifier() or name.startswith("_") or len(name) > LONGEST_NAME:
        raise InvalidInput(
            f"{shown(name)} cannot be the name of an attribute: use letters, digits and _, a letter first, "
            f"at most {LONGEST_NAME} characters."
        )
    return name


def check_attribute_value(name: str, value: str) -> str:
    """Return the value of the attribute `name`. Raises InvalidInput."""
    if len(value) > LONGEST_VALUE:
        raise InvalidInput(f"{name} has {len(value):,} characters and {LONGEST_VALUE:,} are allowed.")
    if not is_storable(value) or CONTROL_CHARACTERS.search(value):
        raise InvalidInput(f"{name} holds a control character.")
    return value


def check_list_name(text: str) -> str:
    """Return the name of a list without the spaces around it. Raises InvalidInput."""
    name = text.strip()
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise InvalidInput(f"A list's name is one line of 1 to {LONGEST_NAME} characters, not {shown(name)}.")
    return name


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: no NUL and no half of a surrogate pair."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def id_shown(text: str) -> str:
    """Return an id that a user typed fit for a sentence: as it is, or as `shown` does what cannot be an id."""
    return text if text.isprintable() and text.split() == [text] and len(text) <= _LONGEST_SHOWN else shown(text)


def shown(text: str) -> str:
    """Return a user's text fit for a sentence: quoted, on one line, at most 60 characters of it."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")
