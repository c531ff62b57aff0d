"""Contacts, lists and suppressions: found, changed and removed; what does not fit is said where it is."""

from __future__ import annotations

import pytest

from client.web.messages import ROWS_A_PAGE
from models.api_keys import Role
from models.contact import UNSUBSCRIBED, Contact, ContactChanges
from models.errors import NotFound
from tests.web.filling import BREAKS, LONG, XSS, assert_no_markup_of_ours, filled, value_of, wrong
from tests.web.site import Shown, Site


def addresses(shown: Shown) -> list[str]:
    return [row.all("a")[0].text for row in shown.tree.one("tbody").all("tr")]


async def ada(site: Site) -> Contact:
    await site.harness.use_cases.create_list("news")
    return await site.harness.use_cases.create_contact(
        "ada@example.org", time_zone="Europe/Oslo", attributes={"first_name": "Ada", "city": "Oslo"}, lists=["news"]
    )


# contacts


async def test_contacts_are_searched_and_read_page_by_page(site: Site) -> None:
    assert "There are no contacts yet." in (await site.get("/contacts")).text
    await site.harness.add_contacts(ROWS_A_PAGE + 2)
    await site.harness.add_contacts(1, prefix="z")
    shown = await site.get("/contacts")
    seen = addresses(shown)
    assert len(seen) == ROWS_A_PAGE
    shown = await site.get(shown.links["Next page"])
    assert len(set(seen + addresses(shown))) == ROWS_A_PAGE + 3
    assert "Next page" not in shown.links
    assert addresses(await site.get(shown.links["First page"])) == seen
    assert addresses(await site.send(shown.form("Search"), q="Z")) == ["z1@example.com"]
    shown = await site.send(shown.form("Search"), q=XSS)
    assert "No address begins with" in shown.text
    assert_no_markup_of_ours(shown)


async def test_a_contact_is_what_was_typed(site: Site) -> None:
    await site.harness.use_cases.create_list("news")
    form = (await site.get("/contacts/new")).form("Save")
    shown = await site.send(
        filled(
            form,
            address=" ada@example.org ",
            time_zone="Europe/Oslo",
            attribute_name=["first_name", "", "city"],
            attribute_value=["Ada <b>", "", "Oslo"],
            lists=["news"],
        )
    )
    assert "The contact is saved." in shown.text
    (made,) = await site.harness.use_cases.contacts()
    assert (made.address, made.time_zone, made.lists) == ("ada@example.org", "Europe/Oslo", ["news"])
    assert made.attributes == {"first_name": "Ada <b>", "city": "Oslo"}
    shown = await site.send(shown.form("Save"))
    assert await site.harness.use_cases.contact(made.id) == made, "saving what is shown changes nothing"


async def test_a_change_changes_what_was_changed_and_removes_what_was_emptied(site: Site) -> None:
    contact = await ada(site)
    form = (await site.get(f"/contacts/{contact.id}")).form("Save")
    # Somebody else's change to what this form leaves as it was.
    await site.harness.pool.execute("update contacts set time_zone = 'Asia/Tokyo'")
    await site.send(
        filled(
            form,
            address="ada@example.net",
            time_zone="Asia/Tokyo",
            attribute_name=["first_name", "city", "age"],
            attribute_value=["Ada", "", "36"],
        )
    )
    changed = await site.harness.use_cases.contact(contact.id)
    assert changed.address == "ada@example.net"
    assert changed.attributes == {"first_name": "Ada", "age": "36"}
    form = (await site.get(f"/contacts/{contact.id}")).form("Save")
    await site.send(filled(form, time_zone="", attribute_name=[], attribute_value=[]))
    changed = await site.harness.use_cases.contact(contact.id)
    assert (changed.time_zone, changed.attributes) == (None, {})


async def test_a_save_leaves_alone_what_somebody_else_changed_meanwhile(site: Site) -> None:
    contact = await ada(site)
    form = (await site.get(f"/contacts/{contact.id}")).form("Save")
    theirs = ContactChanges(
        address="ada@example.net", time_zone="Asia/Tokyo", attributes={"first_name": None, "city": "Tokyo", "age": "36"}
    )
    await site.harness.use_cases.change_contact(contact.id, theirs)
    # What does not fit is mended on the page that says so: what the form was opened with goes along.
    typed = filled(form, attribute_name=["first_name", "city", "title"], attribute_value=["Ada", "Oslo", "Dr"])
    shown = await site.send(typed, time_zone="Oslo")
    assert shown.status == 422
    await site.send(shown.form("Save"), time_zone="Europe/Oslo")
    changed = await site.harness.use_cases.contact(contact.id)
    assert (changed.address, changed.time_zone) == ("ada@example.net", "Asia/Tokyo")
    assert changed.attributes == {"city": "Tokyo", "age": "36", "title": "Dr"}


async def test_what_two_have_changed_is_as_the_later_has_it(site: Site) -> None:
    contact = await ada(site)
    form = (await site.get(f"/contacts/{contact.id}")).form("Save")
    await site.harness.use_cases.change_contact(contact.id, ContactChanges(attributes={"city": "Tokyo"}))
    await site.send(filled(form, attribute_name=["first_name", "city"], attribute_value=["", "Bergen"]))
    assert (await site.harness.use_cases.contact(contact.id)).attributes == {"city": "Bergen"}
    await site.send(filled(form, attribute_name=["first_name"], attribute_value=["Ada"]))  # opened before
    assert (await site.harness.use_cases.contact(contact.id)).attributes == {}


async def test_a_value_of_several_lines_keeps_them(site: Site) -> None:
    contact = await ada(site)
    note = "\none\n\ttwo <b>\n"
    await site.harness.use_cases.change_contact(contact.id, ContactChanges(attributes={"note": note}))
    path = f"/contacts/{contact.id}"
    form = (await site.get(path)).form("Save")
    await site.send(form, time_zone="Asia/Tokyo")
    changed = await site.harness.use_cases.contact(contact.id)
    assert (changed.time_zone, changed.attributes["note"]) == ("Asia/Tokyo", note)
    shown = await site.get(path)
    assert [area["name"] for area in shown.tree.all("textarea")] == ["attribute_value"]
    await site.harness.use_cases.change_contact(contact.id, ContactChanges(attributes={"note": "theirs"}))
    await site.send(shown.form("Save"))
    assert (await site.harness.use_cases.contact(contact.id)).attributes["note"] == "theirs"


UNFIT: list[tuple[dict[str, str | list[str]], str]] = [
    ({"address": ""}, "The address is empty."),
    ({"address": XSS}, "is not an email address"),
    ({"address": f"{LONG}@example.org"}, "is not an email address"),
    ({"address": BREAKS}, "is not an email address"),
    ({"address": "bob@example.org"}, "already"),
    ({"time_zone": "Oslo"}, "did you mean Europe/Oslo?"),
    ({"time_zone": XSS}, "is not an IANA time zone"),
    ({"attribute_name": ["first name"], "attribute_value": ["x"]}, "cannot be the name of an attribute"),
    ({"attribute_name": [XSS], "attribute_value": ["x"]}, "cannot be the name of an attribute"),
    ({"attribute_name": [""], "attribute_value": ["x"]}, "cannot be the name of an attribute"),
    ({"attribute_name": ["a", "a"], "attribute_value": ["x", "y"]}, "a is there twice."),
    ({"attribute_name": ["a"], "attribute_value": [LONG]}, "3,000 characters"),
    ({"attribute_name": ["a"], "attribute_value": ["\x00"]}, "control character"),
]


async def test_what_does_not_fit_is_said_and_kept_and_nothing_is_changed(site: Site) -> None:
    contact = await ada(site)
    await site.harness.use_cases.create_contact("bob@example.org")
    for path in ["/contacts/new", "/contacts/{id}"]:
        for fields, said in UNFIT:
            form = (await site.get(path.format(id=contact.id))).form("Save")
            shown = await site.send(filled(form, **({"address": "new@example.org"} | fields)))
            assert shown.status in (409, 422)
            assert any(said in element.text for element in shown.tree.all("p", class_="wrong")) or said in shown.text
            kept = shown.form("Save").values
            for name, values in fields.items():
                for value in [values] if isinstance(values, str) else values:
                    assert (name, value) in kept or not value
            assert_no_markup_of_ours(shown)
            assert await site.harness.use_cases.contact(contact.id) == contact
            assert len(await site.harness.use_cases.contacts()) == 2


async def test_an_address_that_is_taken_leads_to_who_has_it(site: Site) -> None:
    contact = await ada(site)
    shown = await site.press("/contacts/new", "Save", address="ADA@example.org")
    assert "already" in wrong(shown)["address"]
    assert shown.links["Open the contact that has it"] == f"/contacts/{contact.id}"


async def test_unknown_lists_of_a_new_contact_store_nothing(site: Site) -> None:
    form = (await site.get("/contacts/new")).form("Save")
    assert (await site.send(filled(form, address="a@example.org", lists=["nothing"]))).status == 404
    assert not await site.harness.use_cases.contacts()


async def test_a_contact_is_put_on_lists_and_taken_off(site: Site) -> None:
    contact = await ada(site)
    await site.harness.use_cases.create_list("a/b <i>")
    path = f"/contacts/{contact.id}"
    shown = await site.press(path, "Add")
    assert (await site.harness.use_cases.contact(contact.id)).lists == ["a/b <i>", "news"]
    await site.send(shown.form("news × : take off"))
    assert (await site.harness.use_cases.contact(contact.id)).lists == ["a/b <i>"]
    assert (await site.press(path, "Add", list="nothing")).status == 404


async def test_deleting_a_contact_asks_first(site: Site) -> None:
    contact = await ada(site)
    asked = await site.get((await site.get(f"/contacts/{contact.id}")).links["Delete…"])
    assert "Delete ada@example.org?" in asked.text
    shown = await site.send(asked.form("Delete"))
    assert "The contact is deleted." in shown.text
    with pytest.raises(NotFound):
        await site.harness.use_cases.contact(contact.id)
    assert (await site.get(f"/contacts/{contact.id}")).status == 404
    assert (await site.get("/contacts/nobody")).status == 422


async def test_whoever_only_looks_sees_a_contact_and_no_form(site: Site) -> None:
    contact = await ada(site)
    await site.harness.use_cases.suppress(["ada@example.org"], reason="asked by phone")
    await site.sign_in_as(Role.VIEWER)
    shown = await site.get(f"/contacts/{contact.id}")
    assert "Ada" in shown.text
    assert "asked by phone" in shown.text
    assert [form.buttons for form in map(shown._form, shown.tree.all("form"))] == [["Sign out"]]
    for path, words in (
        ("/contacts", ("New contact", "Import CSV")),
        ("/lists", ("Create",)),
        ("/suppressions", ("Lift…", "Suppress")),
    ):
        shown = await site.get(path)
        texts = [element.text for element in shown.tree.walk() if element.name in ("a", "button", "summary")]
        assert not set(words) & set(texts)


# lists


async def test_a_list_is_made_and_filled_by_address(site: Site) -> None:
    assert "There are no lists yet." in (await site.get("/lists")).text
    await site.harness.add_contacts(12)
    name = "a/b & <i>ä</i>"
    shown = await site.press("/lists", "Create", name=f" {name} ")
    assert "Nobody is on this list." in shown.text
    shown = await site.send(shown.form("Add to the list"), address="C1@example.com")
    shown = await site.send(shown.form("Add to the list"), address="c12@example.com")
    assert addresses(shown) == ["c1@example.com", "c12@example.com"]
    assert addresses(await site.send(shown.form("Search"), q="c12")) == ["c12@example.com"]
    assert (await site.get("/lists")).links[name].startswith("/lists/members?list=a%2Fb")
    forms = [form for form in map(shown._form, shown.tree.all("form")) if form.buttons == ["Take off"]]
    shown = await site.send(forms[0])
    assert addresses(shown) == ["c12@example.com"]


async def test_a_name_that_no_list_can_have_is_said_and_kept(site: Site) -> None:
    for name in ["", BREAKS, LONG, "\x00"]:
        shown = await site.press("/lists", "Create", name=name)
        assert shown.status == 422
        assert "A list's name is one line" in wrong(shown)["name"]
        assert value_of(shown, "name") == name
        assert not await site.harness.use_cases.lists()


async def test_who_cannot_be_put_on_a_list_is_said(site: Site) -> None:
    await ada(site)
    for address, said in ((XSS, "is not an email address"), ("bob@example.org", "no contact"), ("", "empty")):
        shown = await site.press("/lists/members?list=news", "Add to the list", address=address)
        assert shown.status == 422
        assert said in wrong(shown)["address"]
        assert value_of(shown, "address") == address
    form = (await site.get("/lists/members?list=news")).form("Add to the list")
    assert (await site.send(form, remove="x")).status == 422
    assert (await site.send(form, list="nothing", address="ada@example.org")).status == 404
    assert (await site.get("/lists/members?list=nothing")).status == 404


# suppressions


async def test_addresses_are_suppressed_found_and_let_go(site: Site) -> None:
    assert "No address is suppressed." in (await site.get("/suppressions")).text
    shown = await site.press(
        "/suppressions", "Suppress", addresses="ada@example.org,\nbob@example.org", reason="by <b>phone</b>"
    )
    assert "Nothing is sent there any more." in shown.text
    assert "by <b>phone</b>" in shown.text
    found = await site.send(shown.form("Search"), q="ADA")
    assert "ada@example.org" in found.text
    assert "bob@example.org" not in found.text
    shown = await site.send(found.form("Let ada@example.org be mailed again"))
    assert "Mail may go there again." in shown.text
    assert [each.address for each in await site.harness.use_cases.suppressions()] == ["bob@example.org"]


async def test_letting_somebody_go_who_unsubscribed_says_so(site: Site) -> None:
    await site.harness.use_cases.suppress(["ada@example.org"], reason=UNSUBSCRIBED)
    assert "who has unsubscribed" in (await site.get("/suppressions")).text


NOT_SUPPRESSED: list[tuple[dict[str, str], str]] = [
    ({"addresses": ""}, "addresses"),
    ({"addresses": "ada@example.org nobody"}, "addresses"),
    ({"addresses": XSS}, "addresses"),
    ({"addresses": "a@example.org " * 10_001}, "addresses"),
    ({"addresses": "ada@example.org", "reason": LONG}, "reason"),
    ({"addresses": "ada@example.org", "reason": "\x00"}, "reason"),
]


async def test_what_cannot_be_suppressed_is_said_and_nobody_is(site: Site) -> None:
    for fields, field in NOT_SUPPRESSED:
        shown = await site.press("/suppressions", "Suppress", **fields)
        assert shown.status == 422
        assert list(wrong(shown)) == [field]
        for name, typed in fields.items():
            assert value_of(shown, name) == typed
        assert not await site.harness.use_cases.suppressions()
