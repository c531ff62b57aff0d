"""A message's own page: counts, timeline, recipients, who is in doubt, history, and the stream that keeps it live."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from client.serve import listening_on, serving
from client.web import message as message_pages
from client.web.timeline import Look, timeline
from client.web.words import Clock
from models.api_keys import Role
from models.message import MessageStatus
from models.recipient import RecipientStatus
from models.schedule import CONTACT, PassedZones, Schedule
from tests.api.slow_reader import pages_of_recipients, reading
from tests.eventually import eventually
from tests.harness import asked_by
from tests.web.site import ADMIN_KEY, Site


@pytest.fixture
async def sent(site: Site) -> str:
    """A message that was sent to 120 contacts, three of whom are in doubt."""
    await site.harness.add_contacts(120)
    await site.harness.prepare_server()
    message_id = await site.harness.draft()
    async with site.harness.worker():
        await site.harness.use_cases.send(message_id, Schedule(), asked_by())
        await site.harness.until(message_id, MessageStatus.SENT)
    await site.harness.pool.execute(
        "update recipients set status = 'in_doubt' where message_id = $1 and contact_id <= 3", message_id
    )
    return message_id


async def test_every_count_stands_there_and_they_add_up(site: Site, sent: str) -> None:
    shown = await site.get(f"/messages/{sent}")
    counts = [line.one("b").text for line in shown.tree.one("ul", class_="counts").all("li")]
    assert len(counts) == len(RecipientStatus)
    assert sum(map(int, counts)) == 120
    assert sum(
        float(rect["width"].rstrip("%")) for rect in shown.tree.one("svg", class_="bar").all("rect")
    ) == pytest.approx(100)
    assert "117 sent" in shown.text
    assert "3 in doubt" in shown.text


async def test_a_send_under_way_says_its_pace_and_when_its_last_email_leaves(site: Site) -> None:
    harness = site.harness
    await harness.add_contacts(600)
    message_id = await harness.draft()
    async with harness.worker():
        await harness.send(message_id, emails_per_second=5)

        async def estimated() -> bool:
            shown = await site.get(f"/messages/{message_id}")
            told = {
                label.text: value.text
                for facts in (shown.tree.all("dl", class_="tiles") + shown.tree.all("dl", class_="facts"))
                for label, value in zip(facts.all("dt"), facts.all("dd"), strict=True)
            }
            done = told.get("Done about", "–")
            return done != "–" and told["Last email"] == f"about {done}" and told["Pace"].endswith("emails/s")

        await eventually(estimated, within=60)


async def test_no_cell_of_the_download_is_a_formula(site: Site, sent: str) -> None:
    """Spreadsheets run what begins like one; the API's file is for programs, and has everything as it is."""
    cells = ["=cmd|'/C'!A0@x.org", "+1@x.org", "-1@x.org", "@x.org", "\tx", "\rx", "c7@x.org"]
    for number, cell in enumerate(cells, 1):
        await site.harness.pool.execute(
            "update recipients set address = $3::text, address_key = $3, reply = $3"
            " where message_id = $1 and contact_id = $2",
            sent,
            number,
            cell,
        )
    response = await site.client.get(f"/messages/{sent}/recipients.csv")
    rows = {row["contact_id"]: row for row in csv.DictReader(io.StringIO(response.text, newline=""))}
    for field in ("address", "reply"):
        assert [rows[str(n)][field] for n in range(1, 8)] == [f"'{cell}" for cell in cells[:6]] + cells[6:]
    raw = await site.client.get(
        f"/v1/batchmessages/{sent}/recipients",
        headers={"Accept": "text/csv", "Authorization": f"Bearer {ADMIN_KEY}"},
    )
    rows = {row["contact_id"]: row for row in csv.DictReader(io.StringIO(raw.text, newline=""))}
    assert [rows[str(n)]["reply"] for n in range(1, 8)] == cells


async def test_recipients_are_filtered_paged_and_exported(site: Site, sent: str) -> None:
    first = await site.get(f"/messages/{sent}/recipients")
    pages = [first]
    while "Next page" in pages[-1].links:
        pages.append(await site.get(pages[-1].links["Next page"]))
    addresses = [row.all("td")[0].text for shown in pages for row in shown.tree.one("tbody").all("tr")]
    assert len(pages) == 3
    assert len(set(addresses)) == 120
    shown = await site.send(first.form("Show"), status="in_doubt")
    assert len(shown.tree.one("tbody").all("tr")) == 3
    response = await site.client.get(shown.links["CSV"])
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert [row["status"] for row in csv.DictReader(io.StringIO(response.text))] == ["in_doubt"] * 3
    response = await site.client.get(first.links["CSV"])
    assert len(list(csv.DictReader(io.StringIO(response.text)))) == 120
    for path in ("recipients?status=nobody", "recipients.csv?status=<b>", "recipients?after=-1", "in-doubt?after=x"):
        assert (await site.get(f"/messages/{sent}/{path}")).status == 422, path


async def test_those_in_doubt_are_decided_about_one_by_one_and_all_together(site: Site, sent: str) -> None:
    path = f"/messages/{sent}/in-doubt"
    shown = await site.get(path)
    rows = shown.tree.one("tbody").all("tr")
    assert len(rows) == 3
    assert rows[0].one("td", class_="mono").text.startswith("<")
    shown = await site.send(shown.form("Take as sent"), reason="kept")
    assert shown.status == 422
    assert "Nobody is chosen" in shown.text
    assert dict(shown.form("Take as sent").values)["reason"] == "kept"
    shown = await site.send(shown.form("Take as sent"), contact="1", reason="it is in the log")
    assert shown.tree.one("h1").text == "Taken as sent"
    assert "it is in the log" in shown.text
    async with site.harness.worker():
        form = (await site.get(path)).form("Take as sent")
        form.action = form.action.replace("accept", "resend")  # the other button
        shown = await site.send(form, whom="everybody")
        assert shown.tree.one("h1").text == "To be mailed again"
        await site.harness.until(sent, MessageStatus.SENT)
    assert (await site.harness.counts(sent)).sent == 120
    assert "Nobody is in doubt" in (await site.get(path)).text
    assert (await site.send(form, whom="everybody", command_id="another")).status == 409


async def test_a_viewer_sees_who_is_in_doubt_and_decides_nothing(site: Site, sent: str) -> None:
    await site.sign_in_as(Role.VIEWER)
    shown = await site.get(f"/messages/{sent}/in-doubt")
    assert len(shown.tree.one("tbody").all("tr")) == 3
    assert not shown.tree.all("input", type="checkbox")


async def test_the_history_says_who_did_what_why_and_through_what(site: Site, sent: str) -> None:
    shown = await site.get(f"/messages/{sent}/history")
    assert [entry.text.split()[0] for entry in shown.tree.all("h2")] == ["Accepted"]
    assert "operator, through test" in shown.text
    receipt = await site.get(shown.links["Accepted"])
    assert receipt.tree.one("h1").text == "Accepted"


async def test_the_workflow_is_linked_where_the_temporal_ui_is_known(site: Site, sent: str) -> None:
    assert "In the Temporal UI" not in (await site.get(f"/messages/{sent}")).links
    other = Site(site.harness, temporal_ui_url="http://127.0.0.1:8233/namespaces/default")
    await other.sign_in()
    links = (await other.get(f"/messages/{sent}")).links
    assert links["In the Temporal UI"] == f"http://127.0.0.1:8233/namespaces/default/workflows/batch-send%2F{sent}%2F1"
    await other.aclose()


async def test_zones_stand_on_an_axis_of_26_hours(site: Site) -> None:
    """Nine o'clock by each contact's own clock: passed where it was, to come where it will be."""
    harness = site.harness
    for n, zone in enumerate(("Pacific/Kiritimati", "Asia/Tokyo", "UTC", "America/New_York", "Etc/GMT+12")):
        await harness.add_contacts(n + 1, prefix=f"z{n}x", time_zone=zone)
    await harness.prepare_server()
    message_id = await harness.draft()
    at = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(minutes=30)
    schedule = Schedule(at=at, time_zone=CONTACT, passed_zones=PassedZones.SEND)
    async with harness.worker():
        await harness.use_cases.send(message_id, schedule, asked_by())
        await harness.until_left(3)
        shown = await site.get(f"/messages/{message_id}")
        assert shown.tree.one("h2", id="timeline-title").text == "Time zones"
        assert len(shown.tree.one("svg", class_="timeline").all("g")) == 4, "those that had passed are one slot"
        message, progress = await harness.use_cases.message(message_id), await harness.use_cases.progress(message_id)
    drawn = timeline(message, progress, Clock("UTC"), now=datetime.now(UTC))
    assert drawn is not None
    lefts = [bar.left for bar in drawn.bars]
    assert lefts == sorted(lefts)
    assert 0 < lefts[0] < lefts[-1] < 100
    assert [bar.look for bar in drawn.bars][1:] == [Look.TO_COME] * 3
    assert drawn.now is not None
    assert "contacts’ time" in (await site.get("/messages")).text


async def test_the_stream_tells_of_changes_and_of_the_end(site: Site) -> None:
    harness = site.harness
    await harness.add_contacts(60)
    await harness.prepare_server()
    message_id = await harness.draft()
    cookies = dict(site.client.cookies)
    stop = asyncio.Event()
    with listening_on("127.0.0.1", 0) as listener:
        async with serving(site.app, listener, stop), harness.worker():
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            named = {f"sendgate-{listener.getsockname()[1]}": value for value in cookies.values()}
            events: list[str] = []
            async with (
                httpx.AsyncClient(base_url=url, cookies=named, timeout=60) as client,
                client.stream("GET", f"/messages/{message_id}/stream") as response,
            ):
                assert response.headers["content-type"].startswith("text/event-stream")
                async for line in response.aiter_lines():
                    if line.startswith("event: "):
                        events.append(line.removeprefix("event: "))
                        if len(events) == 1:  # not before: the whole send may be over by the first look
                            await harness.use_cases.send(message_id, Schedule(emails_per_second=30), asked_by())
    assert events.count("change") >= 2
    assert events[-1] == "end"


async def signed_out(site: Site, message_id: str) -> None:
    await site.press(f"/messages/{message_id}", "Sign out")


async def revoked(site: Site, message_id: str) -> None:
    (key,) = await site.harness.use_cases.keys()
    await site.harness.use_cases.revoke_key(key.id)


async def deleted(site: Site, message_id: str) -> None:
    await site.harness.use_cases.delete(message_id)


async def cut_off(site: Site, message_id: str) -> None:
    await site.harness.cut_off_whoever_reads("messages")


@pytest.mark.parametrize("happens", [signed_out, revoked, deleted, cut_off])
async def test_a_stream_that_nobody_may_or_can_follow_any_more_ends_as_it_should(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    happens: Callable[[Site, str], Awaitable[None]],
) -> None:
    """Its body is whole, and says nothing of an end of the message."""
    monkeypatch.setattr(message_pages, "LOOK_EVERY_SECONDS", 0.02)
    await site.harness.add_contacts(1)
    message_id = await site.harness.draft()
    await site.sign_in_as(Role.VIEWER)
    (token,) = dict(site.client.cookies).values()
    with listening_on("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        async with (
            serving(site.app, listener, asyncio.Event()),
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", cookies={f"sendgate-{port}": token}, timeout=60
            ) as client,
            client.stream("GET", f"/messages/{message_id}/stream") as response,
        ):
            lines = response.aiter_lines()
            assert await anext(lines) == "event: change"
            await happens(site, message_id)
            async with asyncio.timeout(30):
                assert [line async for line in lines if line.startswith("event: end")] == []
    assert not caplog.records


async def test_the_csv_reads_a_page_only_when_the_one_before_it_is_taken(
    site: Site, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_pages, "_ROWS_OF_CSV", 50)
    pages = pages_of_recipients(site.harness.use_cases, monkeypatch)
    cookie = "; ".join(f"{name}={value}" for name, value in site.client.cookies.items())
    headers = {"Host": "sendgate.test", "Cookie": cookie}
    async with reading(site.app, f"/messages/{sent}/recipients.csv", headers) as reader:
        assert (await reader.piece()).startswith(b"contact_id,")
        for number in range(1, 4):
            assert (await reader.piece()).count(b"\n") == (50 if number < 3 else 20)
            assert len(pages) == number
        assert await reader.piece() == b""


async def test_a_scheduled_message_has_its_plan_as_the_same_picture(site: Site) -> None:
    """All is to come, for the audience as it is: before a workflow has adopted the message, and afterwards."""
    harness = site.harness
    await harness.add_contacts(2, prefix="t", time_zone="Asia/Tokyo")
    await harness.add_contacts(3, prefix="o", time_zone="Europe/Oslo")
    message_id = await harness.draft()
    await harness.send(message_id, at="2031-06-01T09:00", time_zone="contact")
    shown = await site.get(f"/messages/{message_id}")
    assert [bar.one("title").text for bar in shown.tree.one("svg", class_="timeline").all("g")] == [
        "09:00 Asia/Tokyo, 1 Jun 2031, 00:00:00: to come, 2",
        "09:00 Europe/Oslo, 1 Jun 2031, 07:00:00: to come, 3",
    ]
    assert "Counts are as of now" in shown.text
    async with harness.worker():
        await harness.until_asleep(message_id)
    await harness.add_contacts(4, prefix="u", time_zone="Etc/UTC")
    rows = (await site.get(f"/messages/{message_id}")).tree.one("section", aria_labelledby="timeline-title").all("tr")
    assert [row.all("td")[-1].text for row in rows[1:]] == ["2", "3", "4"], "counted anew"


async def test_a_scheduled_throttle_has_its_batches_to_come(site: Site) -> None:
    await site.harness.add_contacts(95)
    message_id = await site.harness.draft()
    throttle = {"batch_size": 10, "every": "1h"}
    await site.harness.send(message_id, at="2031-06-01T09:00:00+00:00", throttle=throttle)
    panel = (await site.get(f"/messages/{message_id}")).tree.one("section", aria_labelledby="timeline-title")
    assert panel.one("h2").text == "Batches"
    assert [row.text for row in panel.all("tr")[1:]][-2:] == [
        "Batch 9 1 Jun 2031, 17:00:00 10",
        "Batch 10 1 Jun 2031, 18:00:00 5",
    ]


async def test_who_is_due_at_one_instant_has_no_picture(site: Site) -> None:
    await site.harness.add_contacts(3)
    message_id = await site.harness.draft()
    await site.harness.send(message_id, at="2031-06-01T09:00:00+00:00")
    assert not (await site.get(f"/messages/{message_id}")).tree.all("svg", class_="timeline")
