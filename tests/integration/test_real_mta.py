"""Whole sends through a real mail server: Exim, judged by what it holds on its queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.message import MessageStatus
from models.recipient import RecipientStatus
from tests.eventually import eventually
from tests.exim import HOW_TO_GET_IT, Exim, Program, Queued, find_exim, running_exim
from tests.harness import Harness, asked_by

SUBJECT = "Grüße aus Œuvre-sur-Mer, {{ contact.first_name }} ✉"
TEXT = "Hallo {{ contact.first_name }},\n\n.ein Punkt vorn\n..zwei\n.\n\nπ ≈ 3,14159 – schöne Grüße\n"
HTML = "<p>Hallo <b>{{ contact.first_name }}</b>,</p>\n<p>" + "π ≈ 3,14159 – schöne Grüße. " * 60 + "</p>\n"
PATIENT = {"first_wait": "1s", "longest_wait": "1s", "tries": 50, "max_age": "1h"}
RECIPIENTS = 150


@pytest.fixture(scope="module")
def program() -> Program:
    found = find_exim()
    if found is None:
        pytest.skip(HOW_TO_GET_IT)
    return found


@pytest.fixture(params=[True, False], ids=["pipelined", "one by one"])
def exim(request: pytest.FixtureRequest, program: Program) -> Iterator[Exim]:
    with running_exim(program, pipelining=request.param) as server:
        yield server


async def draft(harness: Harness) -> str:
    return await harness.draft(subject=SUBJECT, text=TEXT, html=HTML, from_name="Überlandbahn")


async def statuses(harness: Harness, message_id: str) -> dict[str, RecipientStatus]:
    rows = await harness.pool.fetch("select address, status from recipients where message_id = $1", message_id)
    return {row["address"]: RecipientStatus(row["status"]) for row in rows}


def part(email: Queued, kind: str) -> str:
    body = email.message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


async def assert_it_holds(harness: Harness, exim: Exim, message_id: str, names: dict[str, str]) -> None:
    """It holds one email for each of `names` (address → first name), which reads as it was written, and no other."""
    queued = exim.queued()
    assert sorted(email.recipients for email in queued) == sorted([address] for address in names)
    assert len({email.message["Message-ID"] for email in queued}) == len(names)
    for email in queued:
        [address] = email.recipients
        assert email.sender == "news@example.com"
        assert email.message["To"] == address
        for told, template in (
            (str(email.message["Subject"]), SUBJECT),
            (part(email, "plain"), TEXT),
            (part(email, "html"), HTML),
        ):
            assert told == template.replace("{{ contact.first_name }}", names[address])
        assert email.message["From"].addresses[0].display_name == "Überlandbahn"
    counts = await harness.counts(message_id)
    assert counts == await harness.counted(message_id)
    assert counts.sent == len(names)


def everybody(number: int) -> dict[str, str]:
    return {f"c{n}@example.com": f"N{n}" for n in range(1, number + 1)}


async def test_everybody_is_on_its_queue_once_over_a_pause(harness: Harness, exim: Exim) -> None:
    await harness.add_contacts(RECIPIENTS)
    message_id = await draft(harness)
    async with harness.worker(smtp_host=exim.host, smtp_port=exim.port, smtp_connections=4):
        await harness.send(message_id, emails_per_second=150)
        await eventually(lambda: exim.number_queued() >= 20)
        receipt = (await harness.use_cases.pause(message_id, asked_by())).receipt
        assert receipt is not None
        assert receipt.counts is not None
        assert (receipt.counts["claimed"], receipt.counts["in_doubt"]) == (0, 0)
        assert 0 < receipt.counts["sent"] == exim.number_queued() < RECIPIENTS
        await harness.use_cases.resume(message_id, asked_by())
        await harness.until(message_id, MessageStatus.SENT)
    await assert_it_holds(harness, exim, message_id, everybody(RECIPIENTS))


async def test_whom_it_refuses_has_bounced_and_whom_it_puts_off_gets_it_later(harness: Harness, exim: Exim) -> None:
    await harness.add_contacts(30)
    await harness.add_contacts(5, prefix="refused")
    await harness.add_contacts(5, prefix="later")
    message_id = await draft(harness)
    async with harness.worker(smtp_host=exim.host, smtp_port=exim.port, smtp_connections=4):
        await harness.send(message_id, retry=PATIENT)

        async def all_others_are_through() -> bool:
            counts = await harness.counts(message_id)
            return (counts.sent, counts.bounced, counts.deferred) == (30, 5, 5)

        await eventually(all_others_are_through)
        assert exim.number_queued() == 30
        exim.take_later()
        await harness.until(message_id, MessageStatus.SENT)
    names = everybody(30) | {f"later{n}@example.com": f"N{n}" for n in range(1, 6)}
    await assert_it_holds(harness, exim, message_id, names)
    replies = await harness.pool.fetch(
        "select smtp_code, enhanced_code, reply from recipients where message_id = $1 and status = 'bounced'",
        message_id,
    )
    assert {tuple(row) for row in replies} == {(550, "5.1.1", "5.1.1 No such user")}


async def test_what_is_larger_than_it_takes_ends_at_once_with_the_reason(harness: Harness, program: Program) -> None:
    await harness.add_contacts(20)
    message_id = await draft(harness)
    with running_exim(program, size_limit="2K") as exim:
        async with harness.worker(smtp_host=exim.host, smtp_port=exim.port):
            await harness.send(message_id)
            await harness.until(message_id, MessageStatus.SENT)
        assert exim.number_queued() == 0
    assert set((await statuses(harness, message_id)).values()) == {RecipientStatus.FAILED}
    reasons = await harness.pool.fetch("select distinct coalesce(reason, reply) as told from recipients")
    assert reasons
    assert all("2048" in row["told"] for row in reasons)


async def test_addresses_outside_ascii_reach_it_by_smtputf8(harness: Harness, exim: Exim) -> None:
    addresses = {"jürgen@example.com": "Jürgen", "δοκιμή@example.com": "Δοκιμή", "c1@example.com": "N1"}
    await harness.add_contacts(1)
    for address, name in addresses.items():
        if not address.isascii():
            await harness.pool.execute(
                "with made as (insert into contacts (address, address_key, attributes)"
                " values ($1, $1, jsonb_build_object('first_name', $2::text)) returning id)"
                " insert into list_members select lists.id, made.id from lists, made",
                address,
                name,
            )
    message_id = await draft(harness)
    async with harness.worker(smtp_host=exim.host, smtp_port=exim.port):
        await harness.send(message_id)
        await harness.until(message_id, MessageStatus.SENT)
    await assert_it_holds(harness, exim, message_id, addresses)
