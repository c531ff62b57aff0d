"""The hold's switch on every page, and the administrators' keys."""

from __future__ import annotations

import pytest

from client.web.navigation import PLACES
from models.api_keys import Action, Role, may
from models.hold import Hold
from tests.web.filling import BREAKS, LONG, XSS, assert_no_markup_of_ours, value_of, wrong
from tests.web.site import Shown, Site

# the hold


async def test_the_switch_asks_for_a_reason_and_says_what_it_does(site: Site) -> None:
    shown = await site.get((await site.get("/messages")).links["Hold"])
    assert "no email leaves any more" in shown.text
    shown = await site.send(shown.form("Hold everything"), reason=" the <b>server</b> burns ")
    assert "Everything is on hold." in shown.text
    hold = await site.harness.use_cases.hold()
    assert (hold.held, hold.actor, hold.reason) == (True, "admin", "the <b>server</b> burns")
    for place in PLACES:
        banner = (await site.get(place.path)).tree.one("div", class_="banner").text
        assert "the <b>server</b> burns" in banner
        assert "admin" in banner
        assert "Hold" not in (await site.get(place.path)).links
    shown = await site.get("/hold")
    assert shown.tree.one("h1").text == "Everything is on hold"
    shown = await site.get((await site.get("/contacts")).links["Release…"])
    assert "the <b>server</b> burns" in shown.text
    shown = await site.send(shown.form("Release"))
    assert "The hold is released" in shown.text
    assert await site.harness.use_cases.hold() == Hold(held=False)
    assert "There is no hold." in (await site.get("/hold/release")).text


async def test_without_a_good_reason_nothing_is_held_and_what_was_typed_is_kept(site: Site) -> None:
    for reason in ["", "  ", LONG, "\x00"]:
        shown = await site.press("/hold", "Hold everything", reason=reason)
        assert shown.status == 422
        assert wrong(shown)["reason"]
        assert value_of(shown, "reason") == reason
        assert not (await site.harness.use_cases.hold()).held


async def test_a_hold_that_is_on_keeps_its_reason(site: Site) -> None:
    form = (await site.get("/hold")).form("Hold everything")
    await site.send(form, reason="first")
    await site.send(form, reason="second")
    assert (await site.harness.use_cases.hold()).reason == "first"


def history(shown: Shown) -> list[list[str]]:
    """What, by whom and why, of each line; when is in the first column."""
    rows = shown.tree.one("section", id="history").all("tbody")[0].all("tr")
    return [[cell.text for cell in row.all("td")][1:] for row in rows]


async def test_every_hold_and_release_is_kept_for_everybody_to_see(site: Site) -> None:
    assert "Nobody has ever put the hold" in (await site.get("/hold")).text
    await site.press("/hold", "Hold everything", reason="the <b>server</b> burns")
    shown = await site.press("/hold/release", "Release", reason=LONG)
    assert (shown.status, value_of(shown, "reason")) == (422, LONG)
    await site.send(shown.form("Release"), reason="it is out")
    await site.press("/hold", "Hold everything", reason="again")
    await site.press("/hold/release", "Release")
    await site.sign_in_as(Role.VIEWER)
    shown = await site.get((await site.get("/lists")).links["History of the hold"])
    assert history(shown) == [
        ["Released", "admin through web", "–"],
        ["Put", "admin through web", "again"],
        ["Released", "admin through web", "it is out"],
        ["Put", "admin through web", "the <b>server</b> burns"],
    ]
    assert not shown.tree.all("textarea"), "a viewer only looks"


async def test_a_long_history_of_the_hold_has_pages(site: Site) -> None:
    for number in range(30):
        async with site.harness.pool.acquire() as connection:
            await connection.execute("insert into hold (actor, reason) values ('anna', $1)", str(number))
            await connection.execute("delete from hold")
    shown = await site.get("/hold")
    lines = history(shown)
    while "Next page" in shown.links:
        shown = await site.get(shown.links["Next page"])
        lines += history(shown)
    assert [reason for what, _, reason in lines if what == "Put"] == [str(n) for n in reversed(range(30))]
    assert "First page" in shown.links


@pytest.mark.parametrize("role", list(Role))
async def test_only_whoever_may_is_offered_the_switch_and_the_release(site: Site, role: Role) -> None:
    await site.sign_in_as(role)
    shown = await site.get("/messages")
    assert ("Hold" in shown.links) is may(role, Action.HOLD)
    assert [place.label for place in PLACES if place.label in shown.links] == [
        place.label for place in PLACES if may(role, place.needs)
    ]
    await site.harness.pool.execute("insert into hold (actor, reason) values ('anna', 'fire')")
    shown = await site.get("/messages")
    assert "Hold" not in shown.links
    assert ("Release…" in shown.links) is may(role, Action.RELEASE)


# keys


async def test_a_key_is_shown_once_and_opens_what_its_role_may(site: Site) -> None:
    assert "There are no keys yet." in (await site.get("/keys")).text
    shown = await site.press("/keys", "Create", name="anna <b>", role="operator")
    key = shown.tree.one("code").text
    assert key.startswith("sg_")
    assert "It is shown this once." in shown.text
    assert key not in (await site.get("/keys")).text
    assert "anna <b>" in (await site.get("/keys")).text
    operator = await site.sign_in(key)
    assert operator.address == "/messages"
    assert (await site.get("/keys")).status == 403


async def test_a_name_that_is_taken_makes_no_other_key(site: Site) -> None:
    await site.press("/keys", "Create", name="anna")
    shown = await site.press("/keys", "Create", name="anna")
    assert shown.status == 409
    assert "anna" in wrong(shown)["name"]
    assert not shown.tree.all("code")
    assert len(await site.harness.use_cases.keys()) == 1


NO_KEYS: list[tuple[dict[str, str], str]] = [
    ({"name": ""}, "name"),
    ({"name": BREAKS}, "name"),
    ({"name": LONG}, "name"),
    ({"name": "anna", "role": XSS}, "role"),
    ({"name": "anna", "role": ""}, "role"),
]


async def test_a_key_that_cannot_be_is_said_and_not_made(site: Site) -> None:
    for fields, field in NO_KEYS:
        shown = await site.press("/keys", "Create", **fields)
        assert shown.status == 422
        assert list(wrong(shown)) == [field]
        assert value_of(shown, "name") == fields["name"]
        assert_no_markup_of_ours(shown)
        assert not await site.harness.use_cases.keys()


async def test_revoking_a_key_asks_first_and_holds_at_once(site: Site) -> None:
    await site.sign_in_as(Role.EDITOR)
    editor = site.client
    await site.sign_in()
    (key,) = await site.harness.use_cases.keys()
    shown = await site.get((await site.get("/keys")).links["Revoke…"])
    assert f"Revoke the key {key.name}?" in shown.text
    shown = await site.send(shown.form("Revoke"))
    assert "The key opens nothing any more." in shown.text
    assert "Revoke…" not in shown.links
    site.client = editor
    assert (await site.get("/messages")).address == "/sign-in"
