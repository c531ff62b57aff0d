"""The editor: what is stored is what was typed, what is wrong is said where it is, and nothing typed is lost."""

from __future__ import annotations

import asyncio

import pytest

from client.web.words import Clock
from models.audience import Audience
from models.message import MessageStatus
from tests.eventually import eventually
from tests.web.filling import BREAKS, LONG, XSS, assert_no_markup_of_ours, filled, value_of, wrong
from tests.web.site import Shown, Site

GOOD: dict[str, str | list[str]] = {
    "name": "May news",
    "from_address": "news@example.com",
    "from_name": "The News",
    "reply_to": "answers@example.com",
    "subject": "Hello {{ contact.first_name }}",
    "html": "<p>Dear {{ contact.first_name }}</p>\n",
    "text": "\nDear {{ contact.first_name }},\n\nall is well.\n",
    "lists": ["everybody"],
}


@pytest.fixture(autouse=True)
async def _contacts(site: Site) -> None:
    await site.harness.add_contacts(3)
    await site.harness.add_contacts(2, list_name="staff", prefix="s")


async def save(site: Site, **fields: str | list[str]) -> Shown:
    form = (await site.get("/messages/new")).form("Save")
    return await site.send(filled(form, **({"do": "save"} | fields)))


async def drafts(site: Site) -> list[str]:
    found, _ = await site.harness.use_cases.messages()
    return [message.id for message in found]


async def test_a_draft_is_what_was_typed_and_stays_so_when_it_is_saved_again(site: Site) -> None:
    messages = await site.get("/messages")
    assert messages.links["New draft"] == "/messages/new"
    shown = await save(
        site,
        **GOOD,
        exclude_lists=["staff"],
        where_attribute=["first_name", "age", ""],
        where_operator=["ne", "gte", "eq"],
        where_value=["N2", "30", ""],
    )
    (message_id,) = await drafts(site)
    assert shown.address == f"/messages/{message_id}/edit?notice=saved"
    assert "The draft is saved." in shown.text
    message = await site.harness.use_cases.message(message_id)
    for name, value in GOOD.items():
        if name != "lists":
            assert getattr(message, name) == value, name
    expected = Audience(
        lists=("everybody",), exclude_lists=("staff",), where={"first_name": {"ne": "N2"}, "age": {"gte": 30}}
    )
    assert message.audience == expected
    await site.send(filled(shown.form("Save"), do="save"))
    again = await site.harness.use_cases.message(message_id)
    assert again.model_copy(update={"updated_at": message.updated_at}) == message


async def test_the_buttons_lead_on_to_the_preview_and_to_the_schedule(site: Site) -> None:
    for do in ("preview", "send"):
        assert (await save(site, do=do, **GOOD)).address.endswith(f"/{do}")


async def test_count_counts_what_is_typed_and_stores_nothing(site: Site) -> None:
    await site.harness.use_cases.suppress(["c1@example.com"], reason="")
    shown = await save(
        site,
        do="count",
        name=XSS,
        lists=["everybody", "staff"],
        exclude_lists=["staff"],
        where_attribute=["first_name"],
        where_operator=["ne"],
        where_value=["N3"],
    )
    assert "2 contacts, of whom 1 is suppressed and gets nothing; 2 more are kept out by exclusions." in shown.text
    assert value_of(shown, "name") == XSS
    assert not wrong(shown)
    assert not await drafts(site)


async def test_counting_needs_only_the_fields_of_the_audience(site: Site) -> None:
    # So the script asks, while somebody types.
    form = (await site.get("/messages/new")).form("Save")
    about = [pair for pair in form.values if pair[0] == "csrf"]
    response = await site.client.post(form.action, data=dict(about) | {"do": "count", "lists": "everybody"})
    assert "3 contacts" in site.shown(response).tree.one("div", id="count").text


async def test_nobody_is_counted_before_the_page_is_there(site: Site, counts: list[str]) -> None:
    message_id = await site.harness.draft()
    draft = f"/messages/{message_id}/edit"
    refused = await save(site, **(GOOD | {"name": ""}))
    counts.clear()
    for shown in (await site.get("/messages/new"), await site.get(draft), refused):
        assert "Not counted yet." in shown.tree.one("div", id="count").text
        (asking,) = [each for each in shown.tree.all("section") if "data-ask" in each.attributes]
        assert "data-at-once" in asking.attributes, "the script does not ask"
    assert counts == []
    shown = await site.press(draft, "Save", do="count")
    assert "preview" in counts
    assert "3 contacts" in shown.tree.one("div", id="count").text


async def test_a_list_that_is_no_more_is_said_before_anybody_counts(site: Site) -> None:
    message_id = await site.harness.draft()
    await site.harness.pool.execute("delete from lists where name = 'everybody'")
    shown = await site.get(f"/messages/{message_id}/edit")
    assert "There is no list 'everybody'" in wrong(shown)["lists"]
    assert "It cannot be counted like this." in shown.text


UNFIT: list[tuple[str, str]] = [
    ("name", ""),
    ("name", BREAKS),
    ("name", LONG),
    ("from_address", XSS),
    ("from_address", BREAKS),
    ("from_address", LONG),
    ("from_name", BREAKS),
    ("from_name", LONG),
    ("reply_to", XSS),
    ("reply_to", "nobody"),
    ("subject", ""),
    ("subject", BREAKS),
    ("subject", LONG),
    ("subject", "{{ contact.first_name"),
    ("html", "{% for %}" + XSS),
    ("html", "x" * (1024 * 1024 + 1)),
    ("text", "{{ nothing.here }}"),
    ("text", "\x00"),
]


async def test_what_does_not_fit_is_said_at_its_field_and_kept(site: Site) -> None:
    for field, bad in UNFIT:
        shown = await save(site, **(GOOD | {field: bad}))
        assert shown.status == 422
        assert list(wrong(shown)) == [field]
        for name, typed in (GOOD | {field: bad}).items():
            if isinstance(typed, str):
                assert value_of(shown, name) == typed, name
        assert "checked" in shown.tree.one("input", name="lists", value="everybody").attributes
        assert not await drafts(site)


async def test_all_that_is_wrong_is_said_at_once(site: Site) -> None:
    shown = await save(site, name="", from_address="x", subject="", where_json="{", lists=["everybody"])
    assert set(wrong(shown)) == {"name", "from_address", "subject", "html", "where_json"}


NO_AUDIENCES: list[tuple[dict[str, str | list[str]], str, str]] = [
    ({"lists": ["nothing"]}, "lists", "There is no list 'nothing'"),
    ({"exclude_lists": ["everybodx"]}, "exclude_lists", "did you mean 'everybody'?"),
    ({"exclude_recipients_of": ["unknown"]}, "further_messages", "There is no message unknown"),
    ({"further_messages": "unknown"}, "further_messages", "There is no message unknown"),
    ({"where_attribute": [XSS], "where_value": ["1"]}, "where", "cannot be the name of an attribute"),
    ({"where_attribute": [""], "where_value": ["1"]}, "where", "cannot be the name of an attribute"),
    (
        {"where_attribute": ["age"], "where_operator": ["gt"], "where_value": ["old"]},
        "where",
        "takes a number or an ISO date",
    ),
    ({"where_attribute": ["a"], "where_operator": ["like"], "where_value": ["x"]}, "where", "unknown operator"),
    ({"where_attribute": ["a", "a"], "where_operator": ["eq", "eq"], "where_value": ["x", "y"]}, "where", "two"),
    ({"where_json": "[1]"}, "where_json", "Not a JSON object"),
    ({"where_json": '{"a": 1, "a": 2}'}, "where_json", "given twice"),
    ({"where_json": '{"a": {"b": {"c": 1}}}'}, "where_json", "not a condition"),
]


async def test_an_audience_that_there_is_not_is_said_at_its_part(site: Site) -> None:
    for fields, field, said in NO_AUDIENCES:
        shown = await save(site, **(GOOD | fields))
        assert shown.status == 422
        assert list(wrong(shown)) == [field]
        assert said in wrong(shown)[field]
        assert "It cannot be counted like this." in shown.text or field == "further_messages"
        assert not await drafts(site)
        kept = {pair for pair in shown.form("Save").values if pair[0] in fields}
        for name, values in fields.items():
            for value in [values] if isinstance(values, str) else values:
                assert (name, value) in kept or (name, value) in shown.form("Save").values


async def test_what_is_typed_becomes_no_markup(site: Site) -> None:
    message_id = await site.harness.draft(
        name=XSS[:190], from_name=XSS[:190], subject="{{ '" + "<b>" + "' }}", html=XSS.replace("{{ 7777777*7 }}", "")
    )
    await site.harness.pool.execute("update lists set name = $1 where name = 'staff'", XSS[:90])
    shown = await site.get(f"/messages/{message_id}/edit")
    assert value_of(shown, "name") == XSS[:190]
    assert value_of(shown, "html") == XSS.replace("{{ 7777777*7 }}", "")
    assert_no_markup_of_ours(shown)


async def test_conditions_that_rows_cannot_say_stay_json(site: Site) -> None:
    where = {"age": 30, "city": {"in": ["Oslo, S", "Rome"]}}
    message_id = await site.harness.draft(audience=Audience(lists=("everybody",), where=where))
    shown = await site.get(f"/messages/{message_id}/edit")
    assert '"age": 30' in value_of(shown, "where_json")
    await site.send(filled(shown.form("Save"), do="save", name="another"))
    assert (await site.harness.use_cases.message(message_id)).audience.where == where


async def test_messages_that_were_sent_can_be_excluded_also_by_their_id(site: Site) -> None:
    ids = [await site.harness.draft(name=f"Sent {n}") for n in range(3)]
    await site.harness.pool.execute("update messages set status = $1::text::message_status", MessageStatus.SENT)
    shown = await save(site, **GOOD, exclude_recipients_of=[ids[0]], further_messages=f"{ids[1]}, {ids[2]}")
    message_id = shown.address.split("/")[2]
    message = await site.harness.use_cases.message(message_id)
    assert message.audience.exclude_recipients_of == tuple(ids)
    ticked = [each["value"] for each in shown.tree.all("input", name="exclude_recipients_of", checked="")]
    assert ticked == ids
    assert "Sent 0" in shown.text


async def test_what_was_typed_is_kept_when_somebody_else_sends_the_draft_meanwhile(site: Site) -> None:
    message_id = await site.harness.draft()
    form = (await site.get(f"/messages/{message_id}/edit")).form("Save")
    await site.harness.pool.execute("update messages set status = $1::text::message_status", MessageStatus.SENDING)
    shown = await site.send(filled(form, do="save", text="what took me an hour"))
    assert shown.status == 409
    assert "so edit is refused" in shown.text
    assert value_of(shown, "text") == "what took me an hour"
    assert (await site.get(f"/messages/{message_id}/edit")).status == 409


async def test_a_save_over_somebody_else_s_is_refused_until_somebody_says_so(site: Site) -> None:
    message_id = await site.harness.draft()
    mine = (await site.get(f"/messages/{message_id}/edit")).form("Save")
    theirs = await site.press(f"/messages/{message_id}/edit", "Save", do="save", subject="Theirs", text="two hours")
    assert "The draft is saved." in theirs.text
    for _ in range(2):  # the button beside the others never saves over it
        shown = await site.send(filled(mine, do="save", text="an hour"))
        assert shown.status == 409
        assert "This draft was changed after you had opened it, so yours is not saved" in shown.text
        changed_at = (await site.harness.use_cases.message(message_id)).updated_at
        assert f"It was changed at {Clock('UTC').second(changed_at)}" in shown.text
        assert "The two differ in: subject, text." in shown.text
        assert value_of(shown, "text") == "an hour"
        assert (await site.harness.use_cases.message(message_id)).text == "two hours"
        mine = shown.form("Save")
    other = await site.get(next(path for text, path in shown.links.items() if "as it is now" in text))
    assert (value_of(other, "subject"), value_of(other, "text")) == ("Theirs", "two hours")
    (over,) = [b for b in shown.tree.all("button") if b.attributes.get("name") == "over"]
    await site.send(other.form("Save"), do="save", name="saved once more")
    form = filled(shown.form("Save"), over=over["value"])
    assert (await site.send(form)).status == 409, "it says over which version"
    (over,) = [b for b in (await site.send(form)).tree.all("button") if b.attributes.get("name") == "over"]
    shown = await site.send(filled(form, over=over["value"]))
    assert "The draft is saved." in shown.text
    message = await site.harness.use_cases.message(message_id)
    assert (message.subject, message.text) == ("Hello {{ contact.first_name }}", "an hour")


async def test_the_same_form_sent_twice_is_no_conflict(site: Site) -> None:
    message_id = await site.harness.draft()
    form = filled((await site.get(f"/messages/{message_id}/edit")).form("Save"), do="save", text="an hour")
    for _ in range(2):
        assert "The draft is saved." in (await site.send(form)).text


async def test_a_form_that_says_no_version_saves_over_none(site: Site) -> None:
    message_id = await site.harness.draft()
    form = (await site.get(f"/messages/{message_id}/edit")).form("Save")
    unread: list[str | list[str]] = [[], "", XSS, "2026-01-01T00:00:00", "9999-99-99", "0001-01-01T00:00:00+14:00"]
    for seen in unread:
        shown = await site.send(filled(form, do="save", text="an hour", seen=seen))
        assert shown.status == 409
        assert value_of(shown, "text") == "an hour"
        assert_no_markup_of_ours(shown)


async def test_of_two_saves_at_the_same_moment_one_is_told(site: Site) -> None:
    """Both have passed every check before either stores: what decides is the statement that stores."""
    message_id = await site.harness.draft()
    form = (await site.get(f"/messages/{message_id}/edit")).form("Save")
    pool = site.harness.pool
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

    async def both_wait() -> bool:
        return bool(await pool.fetchval(waiting) == 2)  # in a transaction it would see the same at every look

    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select from messages where id = $1 for update", message_id)
        saves = [asyncio.create_task(site.send(filled(form, do="save", text=text))) for text in ("one", "two")]
        await eventually(both_wait)
    shown = await asyncio.gather(*saves)
    assert sorted(each.status for each in shown) == [200, 409]
    (refused,) = [each for each in shown if each.status == 409]
    assert (await site.harness.use_cases.message(message_id)).text != value_of(refused, "text")


async def test_editing_a_scheduled_message_asks_first_and_leads_to_the_editor(site: Site) -> None:
    message_id = await site.harness.draft()
    await site.harness.send(message_id, at="2032-01-01T09:00:00+00:00")
    shown = await site.get(f"/messages/{message_id}/edit")
    assert "change its status from scheduled to draft" in shown.text
    shown = await site.send(shown.form("Yes, Continue Editing"))
    assert shown.address.startswith(f"/messages/{message_id}/edit")
    assert "is a draft again" in shown.text
    assert value_of(shown, "subject") == "Hello {{ contact.first_name }}"
