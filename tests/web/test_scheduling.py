"""Sending a draft from its form: the plan, problems before sending, and a confirmation that names how many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from client.web.forms import Form as Fields
from client.web.schedule_form import empty_form, schedule_in
from models.errors import InvalidInput
from models.message import MessageStatus
from models.schedule import PassedZones, Schedule
from tests.harness import SECRET_KEY
from tests.web.filling import XSS, filled, value_of, wrong
from tests.web.site import Shown, Site

AT = "2032-06-01T09:00"


@pytest.fixture
async def draft(site: Site) -> str:
    await site.harness.add_contacts(3, time_zone="Europe/Oslo")
    await site.harness.add_contacts(2, prefix="t", time_zone="Asia/Tokyo")
    await site.harness.add_contacts(2, prefix="n")
    await site.harness.add_contacts(1, prefix="w", time_zone="Mars/Olympus")
    return await site.harness.draft()


async def asked(site: Site, draft: str, do: str, **fields: str) -> Shown:
    form = (await site.get(f"/messages/{draft}/send")).form("Continue…")
    return await site.send(filled(form, do=do, **fields))


def plan(shown: Shown) -> list[str]:
    """The sentences of the plan."""
    paragraphs = shown.tree.one("div", id="plan").all("p")
    return [each.text for each in paragraphs if each.attributes.get("class") != "legend"]


async def test_the_form_begins_with_a_plan_for_now_that_the_page_does_not_wait_for(
    site: Site, draft: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(type(site.harness.use_cases), "plan", None)
        shown = await site.get(f"/messages/{draft}/send")
        assert plan(shown) == ["Working it out… Not worked out yet."]  # the one with a script, the other without
        assert "data-at-once" in shown.tree.one("form", class_="schedule").attributes
    shown = await site.send(shown.form("Work out the plan"), do="plan")
    assert plan(shown) == ["8 contacts, from now on."]
    assert not wrong(shown)


async def test_the_plan_says_slots_contacts_without_a_zone_and_zones_that_do_not_exist(site: Site, draft: str) -> None:
    shown = await asked(site, draft, "plan", when="contacts", at=AT, fallback_time_zone="Europe/Oslo")
    assert plan(shown) == [
        "8 contacts in 2 slots from 1 Jun 2032, 00:00 to 1 Jun 2032, 07:00.",
        "2 contacts without a zone go by Europe/Oslo.",
        "1 contact with a zone that does not exist (Mars/Olympus 1) goes by Europe/Oslo.",
    ]
    rows = [row.text for row in shown.tree.one("div", id="plan").all("tr")[1:]]
    assert rows == [
        "09:00 Asia/Tokyo 1 Jun 2032, 00:00:00 2",
        "09:00 Europe/Oslo 1 Jun 2032, 07:00:00 6",
    ]
    assert len(shown.tree.one("svg", class_="timeline").all("g")) == 2
    assert value_of(shown, "at") == AT


async def test_the_plan_says_batches_and_who_gets_nothing_before_the_end_date(site: Site, draft: str) -> None:
    shown = await asked(
        site,
        draft,
        "plan",
        when="zone",
        at=AT,
        time_zone="Europe/Oslo",
        batches="size",
        batch_size="3",
        every="1h",
        ends_at="2032-06-01T10:30",
    )
    assert plan(shown) == [
        "8 contacts, at 1 Jun 2032, 07:00.",
        "2 batches (in batches of 3 every 1 h), the last at 1 Jun 2032, 08:00.",
        "No batch opens from 1 Jun 2032, 08:30 on: 2 contacts get nothing.",
    ]
    shown = await site.send(filled(shown.form("Continue…"), do="confirm"))
    assert "6 contacts get it." in shown.text


async def test_the_plan_says_what_the_clocks_do(site: Site, draft: str) -> None:
    (autumn,) = [
        line
        for line in plan(await asked(site, draft, "plan", when="contacts", at="2032-10-31T02:30"))
        if "clocks" in line
    ]
    assert autumn == "In Europe/Oslo the clocks go back on that day: 02:30 comes twice, and the first is meant."
    (spring,) = [
        line
        for line in plan(await asked(site, draft, "plan", when="contacts", at="2032-03-28T02:30"))
        if "clocks" in line
    ]
    assert "02:30 does not exist" in spring


async def test_sending_now_asks_first_and_names_how_many(site: Site, draft: str) -> None:
    await site.harness.use_cases.suppress(["c1@example.com"], reason="")
    shown = await asked(site, draft, "confirm")
    assert "Send “News”?" in shown.text
    assert "7 contacts get it." in shown.text
    assert "1 contact of the audience is suppressed and gets nothing." in shown.text
    assert await site.harness.status(draft) is MessageStatus.DRAFT, "nothing is done before somebody says so"
    form = filled(shown.form("Send"), do="send")
    shown = await site.send(form)
    assert shown.address == f"/messages/{draft}?notice=sending"
    assert await site.harness.status(draft) is MessageStatus.SCHEDULED
    await site.send(form)
    assert len(await site.harness.use_cases.history(draft)) == 1, "the button pressed twice acts once"


async def test_scheduling_stores_what_was_typed(site: Site, draft: str) -> None:
    shown = await asked(
        site,
        draft,
        "confirm",
        when="contacts",
        at=AT,
        fallback_time_zone="Asia/Tokyo",
        passed_zones="skip",
        batches="size",
        batch_size="100",
        every="1h",
        ends_at="2032-06-02T09:00",
        ends_at_zone="Europe/Oslo",
        emails_per_second="12.5",
        tries="3",
        first_wait="2m",
        longest_wait="10m",
        max_age="2h",
    )
    shown = await site.send(filled(shown.form("Schedule"), do="send"))
    assert shown.address == f"/messages/{draft}?notice=scheduled"
    schedule = (await site.harness.use_cases.message(draft)).schedule
    assert schedule == Schedule.model_validate(
        {
            "at": "2032-06-01T09:00:00",
            "time_zone": "contact",
            "fallback_time_zone": "Asia/Tokyo",
            "passed_zones": PassedZones.SKIP,
            "throttle": {"batch_size": 100, "every": "1h", "ends_at": "2032-06-02T07:00:00+00:00"},
            "emails_per_second": 12.5,
            "retry": {"tries": 3, "first_wait": "2m", "longest_wait": "10m", "max_age": "2h"},
        }
    )


async def test_back_from_the_confirmation_keeps_everything(site: Site, draft: str) -> None:
    shown = await asked(site, draft, "confirm", when="zone", at=AT, time_zone="Asia/Tokyo", emails_per_second="7")
    shown = await site.send(filled(shown.form("Back"), do="change"))
    assert (value_of(shown, "at"), value_of(shown, "time_zone")) == (AT, "Asia/Tokyo")
    assert value_of(shown, "emails_per_second") == "7"
    assert "checked" in shown.tree.one("input", id="when-zone").attributes


ZONED = {"when": "zone", "at": AT, "time_zone": "Europe/Oslo"}
SIZED = {"batches": "size", "batch_size": "10", "every": "1h"}


UNFIT: list[tuple[dict[str, str], str, str]] = [
    ({"when": "zone"}, "at", "Say on which day"),
    ({**ZONED, "at": XSS}, "at", "cannot be read"),
    ({**ZONED, "at": "2020-01-01T09:00"}, "at", "is in the past"),
    ({**ZONED, "at": "2126-01-01T09:00"}, "at", "more than ten years away"),
    ({**ZONED, "time_zone": ""}, "time_zone", "Say in which time zone"),
    ({**ZONED, "time_zone": "Oslo"}, "time_zone", "did you mean Europe/Oslo?"),
    ({**ZONED, "time_zone": XSS}, "time_zone", "is not an IANA time zone"),
    ({"when": "contacts", "at": AT, "fallback_time_zone": "x\ny"}, "fallback_time_zone", "is not an IANA"),
    ({"when": "contacts", "at": AT, "passed_zones": "later"}, "passed_zones", "is none of the choices"),
    ({**SIZED, "batch_size": ""}, "batch_size", "Say how many recipients"),
    ({**SIZED, "batch_size": "many"}, "batch_size", "is not a whole number"),
    ({**SIZED, "batch_size": "0"}, "batch_size", "must be from 1"),
    ({**SIZED, "batch_size": "9" * 5_000}, "batch_size", "is not a whole number"),
    ({**SIZED, "every": ""}, "every", "Say how long it is"),
    ({**SIZED, "every": "soon"}, "every", "is no length of time"),
    ({**SIZED, "every": "0s"}, "every", "must be from a second"),
    ({**SIZED, "ends_at": "2032-06-01T10:30"}, "ends_at", "no single time_zone"),
    ({**SIZED, "ends_at": XSS}, "ends_at", "cannot be read"),
    ({**SIZED, "ends_at": AT, "ends_at_zone": "x"}, "ends_at_zone", "is not an IANA time zone"),
    ({"batches": "number", "max_batches": ""}, "max_batches", "Say in how many"),
    ({"batches": "number", "max_batches": "1.5"}, "max_batches", "is not a whole number"),
    ({"emails_per_second": "fast"}, "emails_per_second", "is not a number"),
    ({"emails_per_second": "nan"}, "emails_per_second", "must be from"),
    ({"emails_per_second": "-1"}, "emails_per_second", "must be from"),
    ({"tries": "0"}, "tries", "must be from 1"),
    ({"tries": "1_0"}, "tries", "is not a whole number"),
    ({"first_wait": "2h"}, "first_wait", "is longer than longest_wait"),
    ({"longest_wait": XSS}, "longest_wait", "is no length of time"),
    ({"max_age": "9999999999d"}, "max_age", "no length of time"),
]


async def test_what_cannot_be_is_said_at_its_field_before_sending(site: Site, draft: str) -> None:
    for fields, field, said in UNFIT:
        shown = await asked(site, draft, "confirm", **fields)
        assert shown.status == 422, fields
        assert said in wrong(shown).get(field, ""), fields
        for name, typed in fields.items():
            if name not in ("when", "batches", "passed_zones"):
                assert value_of(shown, name) == typed
        assert await site.harness.status(draft) is MessageStatus.DRAFT


async def test_choices_that_there_are_not_are_refused(site: Site, draft: str) -> None:
    for field, value in (("when", XSS), ("batches", "x")):
        shown = await asked(site, draft, "confirm", **{field: value})
        assert shown.status == 422
        assert "is none of the choices" in shown.text


async def test_an_empty_audience_is_sent_only_when_somebody_insists(site: Site) -> None:
    await site.harness.use_cases.create_list("nobody")
    draft = await site.harness.draft(lists=("nobody",))
    shown = await asked(site, draft, "confirm")
    assert "The audience is empty" in shown.text
    shown = await site.send(filled(shown.form("Continue…"), do="confirm", allow_empty="yes"))
    assert "0 contacts get it." in shown.text
    await site.send(filled(shown.form("Send"), do="send"))
    assert await site.harness.status(draft) is MessageStatus.SCHEDULED


async def test_a_link_that_would_be_dead_is_said_in_the_editor_the_preview_and_before_sending(site: Site) -> None:
    await site.harness.add_contacts(3)
    draft = await site.harness.draft()
    form = (await site.get(f"/messages/{draft}/edit")).form("Save")
    shown = await site.send(form, do="save", text="Enough?\n{{ unsubscribe_url }}")
    assert "The draft is saved." in shown.text, "a draft may wait for the settings"
    said = "line 2: unsubscribe_url would be empty, a dead link; set SENDGATE_PUBLIC_URL"
    assert said in wrong(shown)["text"]
    assert said in (await site.get(f"/messages/{draft}/preview")).text
    assert said in (await asked(site, draft, "plan")).text
    assert "Enough?" in (await site.get(f"/messages/{draft}/preview")).tree.one("pre").text, "and yet there is one"
    for do in ("confirm", "send"):
        shown = await asked(site, draft, do)
        assert (shown.status, await site.harness.status(draft)) == (422, MessageStatus.DRAFT)
    site.harness.use_cases = site.harness.make_use_cases(public_url="https://mail.example.org")
    told = Site(
        site.harness,
        base_url="https://sendgate.test",
        public_url="https://mail.example.org",
        secret_key=SecretStr(SECRET_KEY),
    )
    await told.sign_in()
    assert not wrong(await told.get(f"/messages/{draft}/edit"))
    assert "dead link" not in (await told.get(f"/messages/{draft}/preview")).text
    assert "3 contacts get it." in (await asked(told, draft, "confirm")).text
    await told.aclose()


async def test_an_exclusion_that_is_not_over_is_said_before_sending(site: Site, draft: str) -> None:
    copy = (await site.harness.use_cases.copy(draft, exclude_recipients=True)).id
    await site.harness.send(draft, at="2032-06-01T09:00:00+00:00")
    shown = await asked(site, copy, "confirm")
    assert shown.status == 409
    assert "could still mail them" in shown.text


async def test_a_message_that_is_no_draft_any_more_is_not_sent_again(site: Site, draft: str) -> None:
    shown = await asked(site, draft, "confirm")
    await site.harness.send(draft, at="2032-06-01T09:00:00+00:00")
    assert (await site.get(f"/messages/{draft}/send")).status == 409
    shown = await site.send(filled(shown.form("Send"), do="send"))
    assert shown.status == 409
    assert "it is scheduled already" in shown.text


@pytest.mark.parametrize("changed_before", ["confirm", "send"])
async def test_a_draft_that_somebody_changed_meanwhile_is_to_be_looked_at_again(
    site: Site, draft: str, changed_before: str
) -> None:
    """What was filled in stays; sent is what was seen, or nothing."""
    shown = await site.get(f"/messages/{draft}/send")
    form = filled(shown.form("Continue…"), do="confirm", emails_per_second="7")
    if changed_before == "send":
        form = filled((await site.send(form)).form("Send"), do="send")
    await site.harness.pool.execute("update messages set updated_at = clock_timestamp() where id = $1", draft)
    shown = await site.send(form)
    assert shown.status == 409
    assert "Somebody has changed the draft meanwhile" in shown.text
    assert value_of(shown, "emails_per_second") == "7"
    assert (await site.harness.use_cases.message(draft)).status is MessageStatus.DRAFT
    shown = await site.send(filled(shown.form("Continue…"), do="confirm"))
    shown = await site.send(filled(shown.form("Send"), do="send"))
    assert (await site.harness.use_cases.message(draft)).status is MessageStatus.SCHEDULED


async def test_under_a_hold_the_confirmation_says_that_nothing_leaves(site: Site, draft: str) -> None:
    await site.harness.pool.execute("insert into hold (actor, reason) values ('anna', 'fire')")
    assert "nothing leaves before the hold is released" in (await asked(site, draft, "confirm")).text


def read(**fields: str) -> Schedule:
    form = empty_form("UTC", seen=datetime.now(UTC))
    return schedule_in(
        Fields({name: [value] for name, value in form.pairs()} | {name: [value] for name, value in fields.items()})
    )


def test_what_is_not_chosen_is_not_read() -> None:
    ignored: dict[str, Any] = {"at": "x", "time_zone": "x", "fallback_time_zone": "x", "batch_size": "x", "every": "x"}
    assert read(**ignored) == Schedule()


def test_an_end_date_without_a_zone_is_on_the_clocks_of_the_send() -> None:
    throttled = read(**ZONED, **SIZED, ends_at="2032-06-01T10:30").throttle
    assert throttled is not None
    assert throttled.ends_at == datetime(2032, 6, 1, 10, 30)  # noqa: DTZ001  # wall-clock
    throttled = read(**SIZED, ends_at="2032-06-01T10:30", ends_at_zone="Asia/Tokyo").throttle
    assert throttled is not None
    assert throttled.ends_at == datetime(2032, 6, 1, 1, 30, tzinfo=UTC)
    assert throttled.every == timedelta(hours=1)


def test_every_field_that_cannot_be_read_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        read(when="zone", time_zone="x", batches="size", every="x", tries="x", max_age="x")
    assert set(caught.value.details["fields"]) == {"at", "time_zone", "batch_size", "every", "tries", "max_age"}
