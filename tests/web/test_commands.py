"""The seed's stories on pages, without JavaScript: each command with what it asks first, and its receipt."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from models.message import MessageStatus
from models.schedule import Schedule, Throttle
from tests.eventually import eventually
from tests.harness import Harness, asked_by
from tests.web.site import Shown, Site

SLOW = Schedule(emails_per_second=5)  # it does not end by itself while it is looked at, however slowly
#: The button, for whom no script asks, of what a resume would do.
LOOK = "Show what it would do"


@pytest.fixture
async def draft(site: Site) -> str:
    await site.harness.add_contacts(200)
    await site.harness.prepare_server()
    return await site.harness.draft(name="May news")


def facts(shown: Shown) -> dict[str, str]:
    """What the lists of facts say, by their labels."""
    told: dict[str, str] = {}
    for facts in shown.tree.all("dl", class_="facts"):
        told |= dict(zip((dt.text for dt in facts.all("dt")), (dd.text for dd in facts.all("dd")), strict=True))
    return told


async def test_a_send_is_paused_resumed_and_canceled_with_a_receipt_each_and_copied(site: Site, draft: str) -> None:
    harness = site.harness
    async with harness.worker():
        await harness.use_cases.send(draft, SLOW, asked_by())
        await harness.until_left(3)
        shown = await site.get((await site.get(f"/messages/{draft}")).links["Pause"])
        assert "Pause “May news”?" in shown.text
        shown = await site.send(shown.form("Pause"), reason="the link is broken")
        left = len(harness.smtp.accepted())
        assert shown.tree.one("h1").text == "Paused"
        told = facts(shown)
        assert re.fullmatch(r"\d+ \w{3} \d{4}, [\d:]+\.\d{3}", told["Stopped at"])
        assert re.fullmatch(r"[\d.]+ m?s", told["Took"])
        assert (told["Sent"], told["In doubt"], told["Not sent"]) == (str(left), "0", str(200 - left))
        assert (told["By"], told["Reason"]) == ("admin, through web", "the link is broken")
        await harness.add_contacts(7, prefix="joiner")
        shown = await site.press(shown.links["Resume"], LOOK, do="look")
        assert f"{207 - left} would be mailed." in shown.text
        assert facts(shown)["Joined the audience"] == "7, also mailed"
        assert "the link is broken" in shown.text
        shown = await site.send(shown.form("Resume"))
        assert shown.tree.one("h1").text == "Resumed"
        shown = await site.press(f"/messages/{draft}/cancel", "Cancel", reason="")
        told = facts(shown)
        assert shown.tree.one("h1").text == "Canceled"
        assert int(told["Sent"]) + int(told["Not sent"]) == 207
    form = (await site.get(shown.links["Copy as Draft"])).form("Copy as Draft")
    assert dict(form.values)["exclude_recipients"] == "yes", "ticked for a canceled message"
    shown = await site.send(form)
    assert "This is the copy" in shown.text
    assert facts(shown)["Not reached by"] == draft
    await harness.assert_once_each(draft)


async def test_the_same_form_sent_twice_acts_once(site: Site, draft: str) -> None:
    async with site.harness.worker():
        await site.harness.use_cases.send(draft, SLOW, asked_by())
        await site.harness.until_left(1)
        form = (await site.get(f"/messages/{draft}/pause")).form("Pause")
        assert (await site.send(form)).address == (await site.send(form)).address
    assert len(await site.harness.use_cases.history(draft)) == 2


async def test_a_stop_that_is_not_confirmed_says_so_and_is_seen_when_it_is(
    site: Site, draft: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.web.commands.WAIT", timedelta(0))
    await site.harness.use_cases.send(draft, SLOW, asked_by())
    shown = await site.press(f"/messages/{draft}/cancel", "Cancel")
    assert shown.tree.one("h1").text == "Cancel asked for"
    assert "not confirmed yet" in shown.text
    assert "do not take it as stopped" in shown.text
    assert "http-equiv" in shown.response.text, "it keeps looking without JavaScript"
    assert "Cancel asked for, not confirmed" in (await site.get("/messages?tab=scheduled")).text
    async with site.harness.worker():
        await site.harness.until(draft, MessageStatus.CANCELED)

    async def confirmed() -> bool:
        return (await site.get(shown.address)).tree.one("h1").text == "Canceled"

    await eventually(confirmed)


async def test_a_form_that_was_open_while_somebody_else_canceled_says_what_is_legal_now(site: Site, draft: str) -> None:
    async with site.harness.worker():
        await site.harness.use_cases.send(draft, SLOW, asked_by())
        await site.harness.until_left(1)
        form = (await site.get(f"/messages/{draft}/pause")).form("Pause")
        await site.harness.use_cases.cancel(draft, asked_by())
        shown = await site.send(form)
    assert shown.status == 409
    assert "The message is canceled, so pause is refused" in shown.text
    assert "Copy as Draft" in shown.links
    assert "Pause" not in shown.links
    for command in ("pause", "resume", "cancel", "unschedule", "delete"):
        assert (await site.get(f"/messages/{draft}/{command}")).status == 409, command


async def test_editing_a_scheduled_message_says_that_it_becomes_a_draft(site: Site, draft: str) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    for item in ("Unschedule", "Edit"):
        await site.harness.use_cases.send(draft, Schedule(at=at), asked_by())
        shown = await site.get("/messages?tab=scheduled")
        shown = await site.get(shown.links[item])
        assert "Editing this message will change its status from scheduled to draft." in shown.text
        assert await site.harness.status(draft) is MessageStatus.SCHEDULED, "nothing is changed by looking"
        shown = await site.send(shown.form("Yes, Continue Editing"))
        assert await site.harness.status(draft) is MessageStatus.DRAFT
        assert "The message is a draft again" in shown.text


async def test_a_reason_that_is_too_long_is_kept_in_the_form(site: Site, draft: str) -> None:
    async with site.harness.worker():
        await site.harness.use_cases.send(draft, SLOW, asked_by())
        await site.harness.until_left(1)
        long = "line one\n" + "x" * 500
        for command, button in (("pause", "Pause"), ("cancel", "Cancel")):
            shown = await site.press(f"/messages/{draft}/{command}", button, reason=long)
            assert shown.status == 422
            assert "at most 500 characters" in shown.tree.one("p", id="reason-error").text
            assert dict(shown.form(button).values)["reason"] == long
        assert await site.harness.status(draft) is MessageStatus.SENDING
        await site.press(f"/messages/{draft}/pause", "Pause", reason="two\nlines <b>")
        shown = await site.press(f"/messages/{draft}/resume", LOOK, do="look")
        shown = await site.send(shown.form("Resume"), reason=long)
        assert shown.status == 422
        assert dict(shown.form("Resume").values)["reason"] == long


async def test_a_form_that_was_tampered_with_is_refused_and_changes_nothing(site: Site, draft: str) -> None:
    async with site.harness.worker():
        await site.harness.use_cases.send(draft, SLOW, asked_by())
        await site.harness.until_left(1)
        (sent,) = await site.harness.use_cases.history(draft)
        for command, button in (("pause", "Pause"), ("cancel", "Cancel")):
            for command_id in ("x" * 201, "a\0b", sent.command_id):
                shown = await site.press(f"/messages/{draft}/{command}", button, command_id=command_id)
                assert shown.status == 422
        assert len(await site.harness.use_cases.history(draft)) == 1


async def test_a_throttled_send_shows_what_another_end_date_would_do_before_it_is_resumed(
    harness: Harness, site: Site, draft: str
) -> None:
    schedule = Schedule(throttle=Throttle(batch_size=50, every=timedelta(hours=1)))
    async with harness.worker():
        await harness.use_cases.send(draft, schedule, asked_by())
        await harness.until_left(50)
        await harness.use_cases.pause(draft, asked_by())
        shown = await site.press(f"/messages/{draft}/resume", LOOK, do="look")
        assert facts(shown)["Next batch"].endswith("of 3 to come")
        form = shown.form("Resume")
        ends_at = (datetime.now(UTC) + timedelta(minutes=90)).isoformat()
        shown = await site.send(form, ends_at=ends_at, do="look")
        assert "100 will have no turn before it" in facts(shown)["End date"]
        assert dict(shown.form("Resume").values)["ends_at"] == ends_at
        assert await harness.status(draft) is MessageStatus.PAUSED
        for wrong in ("soon", "2020-01-01T00:00Z", "<b>"):
            for do in ("look", None):
                shown = await site.send(form, ends_at=wrong, do=do)
                assert shown.status == 422
                assert dict(shown.form("Resume").values)["ends_at"] == wrong
                assert shown.tree.one("p", id="ends_at-error").text
        shown = await site.get(f"/messages/{draft}")
        assert shown.tree.one("h2", id="timeline-title").text == "Batches"
        assert "1 past, 3 to come" in shown.tree.one("svg", class_="timeline")["aria-label"]
        shown = await site.send(form, ends_at=ends_at)
        assert shown.tree.one("h1").text == "Resumed"


async def test_the_page_of_a_resume_comes_before_the_audience_is_counted(
    harness: Harness, site: Site, draft: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting takes seconds for a million, and there is no Resume to press before it is known what that would do."""
    async with harness.worker():
        await harness.use_cases.send(draft, SLOW, asked_by())
        await harness.until_left(1)
        await harness.use_cases.pause(draft, asked_by())
    path = f"/messages/{draft}/resume"
    with monkeypatch.context() as patched:
        patched.setattr(type(site.harness.use_cases), "resume_preview", None)
        shown = await site.get(path)
    assert shown.status == 200
    assert not [button for button in shown.tree.all("button") if button.text == "Resume"]
    assert "would be mailed. Nobody" in (await site.press(path, LOOK, do="look")).text


async def test_a_draft_is_deleted_after_a_question(site: Site, draft: str) -> None:
    shown = await site.get(f"/messages/{draft}/delete")
    assert "cannot be brought back" in shown.text
    shown = await site.send(shown.form("Delete"))
    assert "The draft is deleted." in shown.text
    assert (await site.get(f"/messages/{draft}")).status == 404


async def test_what_there_is_not_is_a_404_with_a_sentence(site: Site) -> None:
    for path in (
        "",
        "/pause",
        "/copy",
        "/history",
        "/recipients",
        "/recipients.csv",
        "/in-doubt",
        "/receipts/x",
        "/stream",
    ):
        shown = await site.get(f"/messages/zzz{path}")
        assert shown.status == 404, path
        assert "There is no message zzz." in shown.text
